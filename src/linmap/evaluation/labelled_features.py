"""Features with the class of each, checked, as NumPy: what linear classifiers on frozen features are fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from linmap.errors import EvaluationError
from linmap.evaluation.embeddings import targets_tensor

__all__ = [
    "LabelledFeatures",
    "class_names_of",
    "drawn_rows",
    "feature_rows",
    "labelled_features",
    "require_photos",
    "rows_of",
]

LabelledFeatures: TypeAlias = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]
"""(photos, channels), and the class of each, (photos,)."""

HELD_OUT = 0.2
"""Share of each class's training photos that a strength is chosen on where there is no validation set."""


def class_names_of(train: Any, test: Any, class_names: Sequence[str] | None) -> tuple[str, ...]:
    """The names of the classes; without any, the numbers up to the highest there is."""
    if class_names is not None:
        return tuple(class_names)
    most = max((int(torch.as_tensor(targets).max()) for targets in (train, test) if len(targets)), default=-1)
    return tuple(str(number) for number in range(most + 1))


def labelled_features(
    features: Tensor, targets: Tensor | Sequence[int], names: Sequence[str], what: str, width: int | None = None
) -> LabelledFeatures:
    """Both as NumPy.

    Args:
        features: `(photos, channels)`.
        targets: `(photos,)`, rows of `names`.
        names: Of the classes.
        what: What errors call the photos, such as `"training"`.
        width: Channels that the features must have.

    Raises:
        EvaluationError: Other shapes, features that are not finite, a class that is not there.
    """
    rows = feature_rows(features, what, width)
    return rows, targets_tensor(targets, f"{what} targets", len(rows), len(names)).numpy()


def feature_rows(features: Tensor, what: str, width: int | None) -> npt.NDArray[np.float64]:
    """The features as float64; see `labelled_features`."""
    if features.ndim != 2 or not len(features) or width not in (None, features.shape[1]):
        wanted = "dim" if width is None else width
        raise EvaluationError(f"The {what} features are {tuple(features.shape)}; expected (photos, {wanted}).")
    rows = features.detach().cpu().double().numpy()  # L-BFGS stalls on sums of float32
    if bad := int((~np.isfinite(rows).all(axis=1)).sum()):
        raise EvaluationError(f"{bad} of {len(rows)} {what} features are not finite; look at what made them.")
    return rows


def require_photos(targets: npt.NDArray[np.int64], names: Sequence[str], photos: int, what: str) -> None:
    """Checks that every class has as many photos as are asked for.

    Raises:
        EvaluationError: There is one class only, or a class has fewer photos; named.
    """
    if len(names) < 2:
        raise EvaluationError(f"There is one class, {names[0]!r}; a {what} tells at least two apart.")
    counts = np.bincount(targets, minlength=len(names))
    few = [f"{name!r} has {count}" for name, count in zip(names, counts, strict=True) if count < photos]
    if few:
        named = ", ".join(few[:5]) + (f" and {len(few) - 5} more classes" if len(few) > 5 else "")
        raise EvaluationError(
            f"A {what} needs at least {photos} training photos of each class: {named}. Add photos, ask for fewer, or "
            "leave these classes out."
        )


def drawn_rows(
    targets: npt.NDArray[np.int64], draw: np.random.Generator, count: int | None = None
) -> npt.NDArray[np.int64]:
    """`count` rows of each class, sorted; `None`: the share to hold out, at least one."""
    classes = [np.flatnonzero(targets == number) for number in np.unique(targets)]
    counts = [max(1, int(HELD_OUT * len(rows))) if count is None else count for rows in classes]
    drawn = [draw.choice(rows, size, replace=False) for rows, size in zip(classes, counts, strict=True)]
    return np.sort(np.concatenate(drawn))


def rows_of(labelled: LabelledFeatures, rows: npt.NDArray[np.int64]) -> LabelledFeatures:
    """Some of them, in the order of `rows`."""
    return labelled[0][rows], labelled[1][rows]
