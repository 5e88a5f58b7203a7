"""The nouns of WordNet 3.0 (Miller 1995), read from the files of its distribution (formats: `man 5 wndb`).

Read here, and not by nltk, whose reader opens only folders that are entered in a list of the whole process and laid out
as its own, and takes a second to import. What is read equals what nltk reads: tests/golden/limber/wordnet.json.
"""

from __future__ import annotations

import functools
from pathlib import Path

__all__ = ["Nouns"]

# Endings that a plural may have for that of its singular (man 7 morphy, noun).
ENDINGS = (
    ("s", ""),
    ("ses", "s"),
    ("ves", "f"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
)
HYPERNYMS = (b"@", b"@i")  # a kind of, an instance of


class Nouns:
    """The noun part of the lexicon; a sense (synset) is known by its offset in `data.noun`.

    Args:
        folder: Where `data.noun`, `index.noun` and `noun.exc` lie.
    """

    def __init__(self, folder: Path) -> None:
        self._data = (folder / "data.noun").read_bytes()
        self._senses: dict[str, tuple[int, ...]] = {}
        for line in (folder / "index.noun").read_text(encoding="ascii").splitlines():
            if not line.startswith(" "):  # the licence stands in such lines
                lemma, _, count, *fields = line.split()
                self._senses[lemma] = tuple(map(int, fields[-int(count) :]))
        exceptions = (folder / "noun.exc").read_text(encoding="ascii").splitlines()
        self._singulars = {plural: tuple(rest) for plural, *rest in map(str.split, exceptions)}

    def senses(self, word: str) -> tuple[int, ...]:
        """The senses of a noun, the most usual first; of a plural, its singular's; () where it is unknown.

        Args:
            word: In any case; the words of a compound apart by spaces or underscores.
        """
        form = "_".join(word.lower().split())
        forms = [form, *self._singulars.get(form, ())]
        if form not in self._singulars:
            forms += [form.removesuffix(plural) + single for plural, single in ENDINGS if form.endswith(plural)]
        known = dict.fromkeys(known for known in forms if known in self._senses)
        return tuple(dict.fromkeys(offset for known_form in known for offset in self._senses[known_form]))

    @functools.lru_cache(maxsize=1 << 17)  # noqa: B019 - there is one lexicon in a process
    def _line(self, offset: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """The words and the hypernyms of one sense."""
        fields = self._data[offset : self._data.index(b"\n", offset)].split(b" | ", 1)[0].split()
        words = int(fields[3], 16)
        first = 4 + 2 * words
        pointers = fields[first + 1 : first + 1 + 4 * int(fields[first])]
        above = [
            int(to)
            for symbol in HYPERNYMS
            for kind, to in zip(pointers[::4], pointers[1::4], strict=True)
            if kind == symbol
        ]
        return tuple(word.decode("ascii") for word in fields[4:first:2]), tuple(above)

    def words(self, offset: int) -> tuple[str, ...]:
        """The words of a sense, as they are written, spaces as underscores."""
        return self._line(offset)[0]

    def above(self, offset: int) -> tuple[int, ...]:
        """The senses right above: its kinds, then those it is an instance of."""
        return self._line(offset)[1]

    def name(self, offset: int) -> str:
        """A sense's name: its first word and which sense of that word it is, as in `dog.n.01`."""
        word = self.words(offset)[0].lower()
        return f"{word}.n.{self._senses[word].index(offset) + 1:02d}"

    def named(self, name: str) -> int | None:
        """The sense of that name; None where there is none."""
        word, _, number = name.rpartition(".n.")
        senses = self._senses.get(word, ())
        return senses[int(number) - 1] if number.isdecimal() and 0 < int(number) <= len(senses) else None

    @functools.lru_cache(maxsize=1 << 17)  # noqa: B019 - as above
    def distances(self, offset: int) -> dict[int, int]:
        """Every sense above, itself included, and the fewest steps to it."""
        found, reached, steps = {offset: 0}, [offset], 0
        while reached:
            steps += 1
            reached = [to for one in reached for to in self.above(one) if to not in found]
            found.update(dict.fromkeys(reached, steps))
        return found

    @functools.lru_cache(maxsize=1 << 17)  # noqa: B019 - as above
    def depths(self, offset: int) -> tuple[int, int]:
        """Steps to the top by the shortest way and by the longest."""
        above = [self.depths(one) for one in self.above(offset)]
        return (1 + min(low for low, _ in above), 1 + max(high for _, high in above)) if above else (0, 0)
