"""Which animals a caption names, by WordNet, and how near each is to the animal in the photo."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import NamedTuple

from linmap.errors import EvaluationError
from linmap.evaluation.wordnet import ancestors, synsets, wu_palmer

__all__ = ["Animal", "AnimalNames", "NamedAnimal", "words_of"]

ANIMAL, HUMAN = "animal.n.01", "homo.n.02"

LONGEST_NAME = 3
"""Words of the longest name that is looked for, as in `german shepherd dog`."""

OTHERWISE_USED = {
    *("adult", "adults", "bat", "bats", "beef", "cricket", "entire", "feeder", "female", "females", "fly", "flys"),
    *("giant", "giants", "hind", "male", "males", "mice", "mount", "mounts", "mouse", "queen", "young"),
}
"""Words whose most usual sense is an animal in WordNet and another thing in captions, found by reading the animals of
Flickr8k's and COCO's captions; they count where such animals are among the photos."""


class Animal(NamedTuple):
    """A class of animals.

    Args:
        name: As people write it.
        senses: Of that name in WordNet, those that are animals.
    """

    name: str
    senses: tuple[str, ...]

    @classmethod
    def called(cls, name: str) -> Animal:
        """The animal of a class's name.

        Raises:
            EvaluationError: WordNet knows no animal of that name.
            WeightsUnavailableError: WordNet is not to be had.

        Example:
            >>> Animal.called("polar bear").senses
            ('ice_bear.n.01',)
        """
        senses = tuple(sense for sense in synsets(name) if _is_animal(sense))
        if not senses:
            raise EvaluationError(
                f"WordNet knows no animal called {name!r}. Give the class another name, one that a dictionary has; "
                "what is no animal cannot be measured by this."
            )
        return cls(name, senses)

    def covers(self, sense: str) -> bool:
        """Whether `sense` is this animal or a kind of it."""
        return not ancestors(sense).isdisjoint(self.senses)

    def likeness(self, sense: str) -> float:
        """Wu-Palmer of `sense` and this animal, 0 to 1; 1 for a kind of it, which is a right name for it."""
        return 1.0 if self.covers(sense) else max(wu_palmer(sense, own) for own in self.senses)


class NamedAnimal(NamedTuple):
    """An animal that a caption names.

    Args:
        words: As the caption has them.
        sense: What they mean, a name of WordNet's.
        start: Which word of the caption they begin with, from 0.
    """

    words: str
    sense: str
    start: int


class AnimalNames:
    """Finds the animals that captions name.

    A word is an animal where one of its senses is one of the `animals` themselves, or else its most usual sense is an
    animal; man is none. The longest name counts: "polar bear" names no other bear, and "hot dog" no dog. There is no
    tagger: a verb that is also an animal's name counts as one, but for the most usual such words.

    Args:
        animals: Classes whose names are animals whatever else they mean, as "seal" does.
        photographed: Names of those that photos show; words such as "bat" count only for them.

    Example:
        >>> names = AnimalNames([Animal.called("dog"), Animal.called("seal")])
        >>> [(one.words, one.sense) for one in names.in_caption("a man feeds two seals a hot dog")]
        [('seals', 'seal.n.09')]
    """

    def __init__(self, animals: Sequence[Animal], photographed: Sequence[str] = ()) -> None:
        self._senses = dict.fromkeys(sense for animal in animals for sense in animal.senses)
        self._otherwise = OTHERWISE_USED - {word for name in photographed for word in _forms(name)}
        self._sense = functools.lru_cache(maxsize=1 << 16)(self._sense_of)

    def in_caption(self, caption: str) -> list[NamedAnimal]:
        """The animals that `caption` names, in its order."""
        words = words_of(caption)
        found, place = [], 0
        while place < len(words):
            for length in range(min(LONGEST_NAME, len(words) - place), 0, -1):
                name = " ".join(words[place : place + length])
                known, sense = self._sense(name)
                if sense is not None:
                    found.append(NamedAnimal(name, sense, place))
                if known and (length > 1 or sense is not None):  # a compound that is no animal hides its last word
                    place += length
                    break
            else:
                place += 1
        return found

    def _sense_of(self, name: str) -> tuple[bool, str | None]:
        """Whether WordNet has the name at all, and the animal that it means."""
        if name in self._otherwise:
            return True, None
        senses = synsets(name)
        if not senses:
            return False, None
        own = next((sense for sense in senses if sense in self._senses), None)
        return True, own or (senses[0] if _is_animal(senses[0]) else None)


def words_of(caption: str) -> list[str]:
    """The words of a caption in lower case, hyphens taken as blanks.

    Example:
        >>> words_of("A long-necked giraffe's head, #2.")
        ['a', 'long', 'necked', 'giraffe', 's', 'head']
    """
    return re.findall(r"[^\W\d_]+", caption.lower())


@functools.lru_cache(maxsize=1 << 16)
def _is_animal(sense: str) -> bool:
    above = ancestors(sense)
    return ANIMAL in above and HUMAN not in above


def _forms(name: str) -> set[str]:
    """The words of `OTHERWISE_USED` that are `name`, in whatever number."""
    own = set(synsets(name))
    return {word for word in OTHERWISE_USED if not own.isdisjoint(synsets(word))}
