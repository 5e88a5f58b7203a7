"""What a classifier gets right: accuracy, by class, and what was taken for what, beside chance and majority."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from linmap.errors import EvaluationError
from linmap.evaluation.embeddings import targets_tensor

__all__ = ["ClassAccuracy", "ClassificationScores", "classification_scores"]

MAX_CLASSES = 25_000
"""The table of what was taken for what has a cell for any two classes: 2.5 GB of int32 at so many."""


@dataclass(frozen=True, slots=True)
class ClassAccuracy:
    """How one class fared.

    Args:
        name: Of the class.
        photos: Of it in the test set.
        correct: Of these, those the classifier found.
        mistaken_for: The other class its photos were taken for most often; `None` where there is none.
    """

    name: str
    photos: int
    correct: int
    mistaken_for: str | None

    @property
    def accuracy(self) -> float:
        """In percent."""
        return 100 * self.correct / self.photos


@dataclass(frozen=True, slots=True)
class ClassificationScores:
    """The scores, in percent, and what needs no looking.

    Args:
        accuracy: Of all photos.
        mean_per_class: The mean of the classes' accuracies, each class counting alike.
        per_class: One a class, in their order.
        confusion: `(classes, classes)` int32: photos of the class of the row taken for that of the column.
        chance: Accuracy of guessing evenly.
        majority: Accuracy of always naming the most frequent class of the test set.
        majority_class: Its name.
        n: Photos.
    """

    accuracy: float
    mean_per_class: float
    per_class: tuple[ClassAccuracy, ...]
    confusion: Tensor = field(compare=False, repr=False)
    chance: float
    majority: float
    majority_class: str
    n: int


def classification_scores(
    predictions: Tensor | Sequence[int], targets: Tensor | Sequence[int], class_names: Sequence[str]
) -> ClassificationScores:
    """Counts what `predictions` get right.

    Args:
        predictions: `(n,)` classes, as rows of `class_names`.
        targets: `(n,)` the right ones.
        class_names: One a class; each has at least one photo among `targets`.

    Raises:
        EvaluationError: A class without a photo, named; fewer than two classes, or more than 25,000; numbers that are
            no class; different lengths.

    Example:
        >>> scores = classification_scores([0, 1, 1, 1], [0, 0, 1, 1], ["cat", "dog"])
        >>> scores.accuracy, scores.chance, scores.per_class[0].accuracy, scores.confusion.tolist()
        (75.0, 50.0, 50.0, [[1, 1], [0, 2]])
    """
    classes, n = len(class_names), len(targets)
    if not classes:
        raise EvaluationError("There are no class names; give one a class.")
    if classes < 2:
        raise EvaluationError(f"There is one class, {class_names[0]!r}; classifying tells at least two apart.")
    if classes > MAX_CLASSES:
        raise EvaluationError(
            f"There are {classes:,} classes; what is taken for what is counted for at most {MAX_CLASSES:,}. Measure on "
            "fewer of them."
        )
    right = targets_tensor(targets, "targets", n, classes)
    found = targets_tensor(predictions, "predictions", n, classes)
    confusion = torch.zeros(classes**2, dtype=torch.int32)
    confusion = confusion.scatter_add_(0, right * classes + found, torch.ones(n, dtype=torch.int32))
    confusion = confusion.reshape(classes, classes)
    photos, correct = confusion.sum(dim=1), confusion.diagonal()
    if empty := [class_names[row] for row in (photos == 0).nonzero().squeeze(1).tolist()]:
        named = ", ".join(map(repr, empty[:5])) + (f" and {len(empty) - 5} more" if len(empty) > 5 else "")
        raise EvaluationError(
            f"{len(empty)} of {classes} classes have no photo in the test set: {named}. Their accuracy is unknown; add "
            "photos of them, or leave these classes out."
        )
    most = int(photos.argmax())
    per_class = tuple(
        ClassAccuracy(name, int(count), int(hits), _mistaken_for(row, number, class_names))
        for number, (name, count, hits, row) in enumerate(zip(class_names, photos, correct, confusion, strict=True))
    )
    return ClassificationScores(
        accuracy=100 * int(correct.sum()) / n,
        mean_per_class=sum(one.accuracy for one in per_class) / classes,
        per_class=per_class,
        confusion=confusion,
        chance=100 / classes,
        majority=100 * int(photos[most]) / n,
        majority_class=class_names[most],
        n=n,
    )


def _mistaken_for(row: Tensor, own: int, class_names: Sequence[str]) -> str | None:
    others = row.clone()
    others[own] = 0
    most = int(others.argmax())
    return class_names[most] if others[most] else None
