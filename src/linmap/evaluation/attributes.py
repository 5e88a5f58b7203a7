"""What animals look like, by a table of classes and attributes, and which of it a caption says."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from importlib.resources import files

import numpy as np
import yaml

from linmap.errors import EvaluationError
from linmap.evaluation.concept_names import ANIMAL, Animal, NamedAnimal, words_of
from linmap.evaluation.wordnet import ancestors

__all__ = ["AttributeTable", "visible_words"]

IN_FRONT = 4
"""Words before an animal's name that may tell of it."""

WORDS_OF_A_NAME = 2
"""Words of the longest way to say an attribute, as in `long necked`."""

NEW_PHRASE = {
    *("a", "an", "the", "this", "that", "these", "those", "some", "his", "her", "its", "their", "s", "of", "in", "on"),
    *("at", "with", "by", "to", "from", "for", "into", "over", "through", "near", "behind", "under", "is", "are"),
}
"""Words that what stands before them has nothing to do with the name that follows."""


def visible_words(attributes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The attributes that can be seen, each with the words that a caption says it by.

    Args:
        attributes: As a table names them. Those of Animals with Attributes 2 come with their words, and without those
            that cannot be seen (`smelly`); another is visible and said by its own name, or by several with bars
            between them (`spotted|spots`).

    Raises:
        EvaluationError: None of them is visible.

    Example:
        >>> visible_words(["gray", "smelly", "long|tall"])
        {'gray': ('gray', 'grey'), 'long|tall': ('long', 'tall')}
    """
    packaged = yaml.safe_load((files("linmap.evaluation") / "attribute_words" / "awa2.yaml").read_text("utf-8"))
    found = {}
    for name in attributes:
        if name in packaged["invisible"]:
            continue
        said = packaged["visible"].get(name, name.split("|"))
        found[name] = tuple(" ".join(words_of(one)) for one in said if words_of(one))
    if not found:
        raise EvaluationError(
            f"None of the {len(attributes)} attributes can be seen in a photo; give a table of others."
        )
    return found


class AttributeTable:
    """Which animals have which visible attributes.

    Args:
        table: For each class its attributes, 0 (has it not) to 1; every class has the same.
        photographed: Classes of the photos, which may be wider than those of the table ("dog") or narrower ("puppy").

    Raises:
        EvaluationError: WordNet does not know a class as an animal, or the classes have different attributes.

    Example:
        >>> table = AttributeTable({"zebra": {"stripes": 1.0}, "horse": {"stripes": 0.0}})
        >>> table.of("zebra.n.01"), table.of("equine.n.01"), table.of("dog.n.01")
        (array([1.]), array([0.5]), None)
    """

    def __init__(self, table: Mapping[str, Mapping[str, float]], photographed: Sequence[Animal] = ()) -> None:
        if len({tuple(row) for row in table.values()}) != 1:
            raise EvaluationError(
                "The classes of a table of attributes must all have the same attributes, in one order."
            )
        self.words = visible_words(list(next(iter(table.values()))))
        self.attributes = tuple(self.words)
        self.animals = tuple(Animal.called(name) for name in table)
        self._rows = np.array([[row[name] for name in self.attributes] for row in table.values()])
        self._photographed = tuple(photographed)
        self._places = {said: self.attributes.index(name) for name, words in self.words.items() for said in words}
        self.of = functools.lru_cache(maxsize=1 << 16)(self._of)

    def _of(self, sense: str) -> np.ndarray | None:
        """The attributes (visible attributes,) of an animal by its sense, 0 to 1; None where the table does not tell.

        Of a kind of animal that has several classes in the table ("dog": dalmatian, collie, …) it is the share of them
        that has each; of a kind of one class, that class's. An animal as such has none.
        """
        if sense == ANIMAL:
            return None
        below = [not ancestors_of(animal).isdisjoint({sense}) for animal in self.animals]
        rows = self._rows[below] if any(below) else self._rows[[animal.covers(sense) for animal in self.animals]]
        if len(rows):
            return rows.mean(axis=0)
        wider = [animal for animal in self._photographed if animal.covers(sense) and sense not in animal.senses]
        return self.of(wider[0].senses[0]) if wider else None

    def of_animal(self, animal: Animal) -> np.ndarray | None:
        """The attributes of a class of photos, likewise."""
        return next((row for row in map(self.of, animal.senses) if row is not None), None)

    def said(self, caption: str, named: Sequence[NamedAnimal]) -> list[int]:
        """The places in `attributes` of what a caption says of the animals it names, in front of their names.

        Args:
            caption: The caption.
            named: The animals that it names.

        Example:
            >>> table = AttributeTable({"zebra": {"stripes": 1.0, "big": 1.0}})
            >>> caption = "a striped zebra and a big man"
            >>> [table.attributes[place] for place in table.said(caption, [NamedAnimal("zebra", "zebra.n.01", 2)])]
            ['stripes']
        """
        words = words_of(caption)
        ends = [0, *(one.start + len(one.words.split()) for one in named)]
        found = []
        for one, end in zip(named, ends, strict=False):
            first = max(end, one.start - IN_FRONT)
            phrase = words[first : one.start]
            starts = [place for place, word in enumerate(phrase, start=1) if word in NEW_PHRASE]
            found += self._matches(phrase[starts[-1] :] if starts else phrase)
        return found

    def _matches(self, phrase: list[str]) -> list[int]:
        found, place = [], 0
        while place < len(phrase):
            for length in range(WORDS_OF_A_NAME, 0, -1):
                said = " ".join(phrase[place : place + length])
                if said in self._places:
                    found.append(self._places[said])
                    place += length
                    break
            else:
                place += 1
        return found


def ancestors_of(animal: Animal) -> frozenset[str]:
    """Every sense above a class of animals, its own included."""
    return frozenset().union(*map(ancestors, animal.senses))
