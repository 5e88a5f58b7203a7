"""Lexical against perceptual (LiMBeR, arXiv 2209.15162, section 5): the animal a caption names, and how near it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from linmap.errors import EvaluationError
from linmap.evaluation.attributes import AttributeTable
from linmap.evaluation.concept_names import Animal, AnimalNames, NamedAnimal
from linmap.evaluation.wordnet import lemmas

__all__ = ["AttributeScores", "ClassNaming", "ConceptScores", "ScoredConcepts", "concept_scores"]


@dataclass(frozen=True, slots=True)
class ConceptScores:
    """What captions say of the animals in the photos, in percent; None where there was nothing to count.

    Args:
        names_animal: Captions that name any animal.
        right_class: Captions that name the photo's class or a kind of it.
        mean_per_class: The same, of each class, then their mean: what is worth as much of a rare animal as of a usual.
        wu_palmer: Wu-Palmer (x 100) between the photo's class and the nearest animal named, over captions with one.
        wu_palmer_wrong: The same over captions that name an animal and not the right one.
        properties: Share of the visible attributes of the animal named that the photo's class has; over captions that
            name an animal of the table.
        properties_wrong: The same over captions that do not name the right one.
        said: Share of the attribute words said of an animal ("a brown dog") that the photo's class has.
    """

    names_animal: float | None
    right_class: float | None
    mean_per_class: float | None
    wu_palmer: float | None
    wu_palmer_wrong: float | None
    properties: float | None
    properties_wrong: float | None
    said: float | None


@dataclass(frozen=True, slots=True)
class ClassNaming:
    """What the photos of one class are called.

    Args:
        name: The class.
        photos: How many.
        names_animal: Captions that name any animal, in percent.
        right: Captions that name the class, in percent.
        taken_for: The animals named in place of it, the most frequent first, each with its captions.
    """

    name: str
    photos: int
    names_animal: float
    right: float
    taken_for: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class AttributeScores:
    """How often an attribute is said of an animal, and how often rightly, in percent.

    Args:
        name: The attribute, as its table has it.
        times: How often it is said, in captions of photos whose class the table knows.
        right: Share of photos' classes that have it.
        blind: The same, had the captions been written for other photos.
    """

    name: str
    times: int
    right: float
    blind: float


@dataclass(frozen=True, slots=True)
class ScoredConcepts:
    """Scores of the captions, and of the same captions held against other photos.

    Args:
        scores: Of every caption and its own photo.
        blind: The control: of every caption and every other photo, averaged, so that no shuffle is drawn.
        classes: One entry a class, in the order of their names.
        attributes: One entry an attribute that was said.
        photos: How many.
        wrong: Captions that name an animal and not the right one.
        in_table: Captions that name an animal of the table of attributes, about a photo of one.
        times_said: Attribute words said of an animal, in captions of photos whose class is in the table.
    """

    scores: ConceptScores
    blind: ConceptScores
    classes: tuple[ClassNaming, ...]
    attributes: tuple[AttributeScores, ...]
    photos: int
    wrong: int
    in_table: int
    times_said: int


def concept_scores(
    captions: Sequence[str], classes: Sequence[str], table: Mapping[str, Mapping[str, float]] | None = None
) -> ScoredConcepts:
    """Scores what captions of animals say: their names, names of others near them, their looks.

    Where a caption names several animals, the one nearest to the photo's counts. Nothing but the words is read: "no
    dog" names a dog.

    Args:
        captions: One a photo; at least two.
        classes: What each photo shows, as a dictionary has it ("polar bear").
        table: For each class its attributes, 0 to 1, such as `read_attributes` gives them; its classes need not be
            those of the photos. None leaves the looks out.

    Raises:
        EvaluationError: Different numbers of captions and classes, fewer than two, or a class that is no animal of
            WordNet's.
        WeightsUnavailableError: WordNet is not to be had.

    Example:
        >>> captions, classes = ["a dog runs", "a horse", "two men"], ["dog", "zebra", "zebra"]
        >>> found = concept_scores(captions, classes)
        >>> round(found.scores.right_class), found.classes[1].taken_for, round(found.scores.wu_palmer_wrong)
        (33, (('horse', 1),), 93)
    """
    if len(captions) != len(classes) or len(captions) < 2:
        raise EvaluationError(
            f"{len(captions)} captions were given for {len(classes)} classes; expected one each, and at least two."
        )
    names = sorted(set(classes))
    animals = [Animal.called(name) for name in names]
    attributes = None if table is None else AttributeTable(table, animals)
    finder = AnimalNames([*animals, *(attributes.animals if attributes else ())], names)
    judged = [_Judged(caption, finder.in_caption(caption), animals, attributes) for caption in captions]
    rows = np.array([names.index(name) for name in classes])
    seeing = np.eye(len(names))[rows]  # captions x classes
    blind = (seeing.sum(axis=0) - seeing) / (len(captions) - 1)
    facts = _Facts(judged, animals, attributes)
    return ScoredConcepts(
        scores=facts.scores(seeing),
        blind=facts.scores(blind),
        classes=tuple(_naming(name, judged, rows, place) for place, name in enumerate(names)),
        attributes=facts.attributes(seeing, blind),
        photos=len(captions),
        wrong=int((seeing * facts.named * (1 - facts.right)).sum()),
        in_table=int((seeing * facts.in_table).sum()),
        times_said=int((seeing * facts.known * facts.counts.sum(axis=1, keepdims=True)).sum()),
    )


class _Judged:
    """One caption, held against every class.

    Args:
        caption: The caption.
        named: The animals it names.
        animals: The classes of the photos.
        attributes: What animals look like, or None.
    """

    def __init__(
        self, caption: str, named: list[NamedAnimal], animals: Sequence[Animal], attributes: AttributeTable | None
    ) -> None:
        self.named = named
        likeness = np.array([[animal.likeness(one.sense) for one in named] for animal in animals])
        self.nearest = [named[place] for place in likeness.argmax(axis=1)] if named else []
        self.likeness = likeness.max(axis=1) if named else np.zeros(len(animals))
        self.right = np.array([any(animal.covers(one.sense) for one in named) for animal in animals], dtype=float)
        self.properties = np.full(len(animals), np.nan)
        self.counts = np.zeros(len(attributes.attributes) if attributes else 0)
        if attributes is None:
            return
        np.add.at(self.counts, attributes.said(caption, named), 1)
        for place, (one, animal) in enumerate(zip(self.nearest, animals, strict=bool(named))):
            ours, theirs = attributes.of(one.sense), attributes.of_animal(animal)
            if ours is not None and theirs is not None and ours.any():
                self.properties[place] = np.minimum(ours, theirs).sum() / ours.sum()


class _Facts:
    """All captions, each held against every class: arrays (captions, classes)."""

    def __init__(self, judged: Sequence[_Judged], animals: Sequence[Animal], attributes: AttributeTable | None) -> None:
        self.named = np.array([[float(bool(one.named))] for one in judged])  # (captions, 1)
        self.right = np.array([one.right for one in judged])
        self.likeness = np.array([one.likeness for one in judged])
        properties = np.array([one.properties for one in judged])
        self.in_table = (~np.isnan(properties)).astype(float)
        self.properties = np.nan_to_num(properties)
        self.counts = np.array([one.counts for one in judged])  # (captions, attributes)
        rows = [attributes.of_animal(animal) if attributes else None for animal in animals]
        self.known = np.array([float(row is not None) for row in rows])  # (classes,)
        self.looks = np.array([np.zeros(self.counts.shape[1]) if row is None else row for row in rows])
        self._names = attributes.attributes if attributes else ()

    def scores(self, weights: np.ndarray) -> ConceptScores:
        """The scores, each pair of a caption and a class counting as `weights` (captions, classes) says."""
        wrong = weights * self.named * (1 - self.right)
        of_class = (weights * self.right).sum(axis=0) / weights.sum(axis=0)
        said = weights * self.known
        return ConceptScores(
            names_animal=_percent((weights * self.named).sum(), weights.sum()),
            right_class=_percent((weights * self.right).sum(), weights.sum()),
            mean_per_class=100 * float(of_class.mean()),
            wu_palmer=_percent((weights * self.named * self.likeness).sum(), (weights * self.named).sum()),
            wu_palmer_wrong=_percent((wrong * self.likeness).sum(), wrong.sum()),
            properties=_percent((weights * self.in_table * self.properties).sum(), (weights * self.in_table).sum()),
            properties_wrong=_percent((wrong * self.in_table * self.properties).sum(), (wrong * self.in_table).sum()),
            said=_percent((said * (self.counts @ self.looks.T)).sum(), (said.sum(axis=1) @ self.counts).sum()),
        )

    def attributes(self, seeing: np.ndarray, blind: np.ndarray) -> tuple[AttributeScores, ...]:
        """The same, attribute by attribute, of those that were said."""
        found = []
        for place, name in enumerate(self._names):
            times = [(weights * self.known).sum(axis=1) @ self.counts[:, place] for weights in (seeing, blind)]
            right = [
                ((weights * self.known).T @ self.counts[:, place]) @ self.looks[:, place] for weights in (seeing, blind)
            ]
            if times[0]:
                shares = [100 * float(share / count) for share, count in zip(right, times, strict=True)]
                found.append(AttributeScores(name, int(times[0]), *shares))
        return tuple(found)


def _naming(name: str, judged: Sequence[_Judged], rows: np.ndarray, place: int) -> ClassNaming:
    own = [one for one, row in zip(judged, rows, strict=True) if row == place]
    others = Counter(_called(one.nearest[place]) for one in own if one.named and not one.right[place])
    return ClassNaming(
        name=name,
        photos=len(own),
        names_animal=100 * sum(bool(one.named) for one in own) / len(own),
        right=100 * sum(one.right[place] for one in own) / len(own),
        taken_for=tuple(others.most_common()),
    )


def _called(named: NamedAnimal) -> str:
    """One word for an animal, whatever number and synonym the caption has."""
    return lemmas(named.sense)[0]


def _percent(part: float, whole: float) -> float | None:
    return 100 * float(part / whole) if whole else None
