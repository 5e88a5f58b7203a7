"""Distribution shift (CLIP, arXiv 2103.00020, section 3.3): one classifier over several test sets, the drop named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from linmap.errors import EvaluationError
from linmap.evaluation.classification import ClassificationScores, classification_scores

__all__ = ["ShiftRow", "distribution_shift"]


@dataclass(frozen=True, slots=True)
class ShiftRow:
    """One test set.

    Args:
        name: Of the test set.
        scores: On it.
        drop: Accuracy on the first set less that on this one, in points of percent; negative where this one is easier.
        relative_drop: The same in percent of the accuracy on the first set; `None` where that is 0.
    """

    name: str
    scores: ClassificationScores
    drop: float
    relative_drop: float | None


def distribution_shift(
    classify: Callable[[Tensor], Tensor],
    test_sets: Mapping[str, tuple[Tensor, Tensor | Sequence[int]]],
    class_names: Sequence[str],
) -> tuple[ShiftRow, ...]:
    """Scores the same classifier on several test sets of the same classes, against the first.

    Args:
        classify: From `(images, dim)` to `(images,)` classes, such as
            `lambda images: classify(images, classifier)` or a linear probe's `predict`.
        test_sets: By name `(embeddings (images, dim), targets (images,))`; the first is the one in distribution.
        class_names: One a class; each has photos in every set.

    Raises:
        EvaluationError: Fewer than two sets; a set in which a class has no photo, both named.

    Example:
        >>> import torch
        >>> sets = {"photos": (torch.eye(2), [0, 1]), "sketches": (torch.ones(2, 2), [0, 1])}
        >>> rows = distribution_shift(lambda images: images.argmax(dim=1), sets, ["cat", "dog"])
        >>> [(row.name, row.scores.accuracy, row.drop, row.relative_drop) for row in rows]
        [('photos', 100.0, 0.0, 0.0), ('sketches', 50.0, 50.0, 50.0)]
    """
    if len(test_sets) < 2:
        raise EvaluationError(f"A shift is between test sets, and there are {len(test_sets)}; give at least two.")
    scores = {}
    for name, (embeddings, targets) in test_sets.items():
        try:
            scores[name] = classification_scores(classify(embeddings), targets, class_names)
        except EvaluationError as error:
            raise EvaluationError(f"Test set {name!r}: {error}") from error
    first = next(iter(scores.values())).accuracy
    return tuple(
        ShiftRow(name, found, drop := first - found.accuracy, 100 * drop / first if first else None)
        for name, found in scores.items()
    )
