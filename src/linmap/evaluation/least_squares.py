"""Few-shot probes by least squares, as the papers of big_vision report "10-shot" (CLIPPO, arXiv 2212.08045, section 4).

Features are standardised by the photos that are fitted, a constant of 100 stands beside them, which is as good as not
regularised, and the targets of a photo are 1 for its class and -1 for the others. The weights are those of ridge
regression, (X'X + strength) W = X'Y, with one strength for all: there is nothing to search for, and no validation
photos are drawn.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from linmap.errors import EvaluationError
from linmap.evaluation.classification import classification_scores
from linmap.evaluation.labelled_features import (
    LabelledFeatures,
    class_names_of,
    drawn_rows,
    labelled_features,
    require_photos,
    rows_of,
)
from linmap.evaluation.probing import ShotScores

__all__ = ["STRENGTH", "least_squares_shots"]

STRENGTH = 2.0**10
"""Of the L2 regularisation, as big_vision's configurations have it."""

CONSTANT = 100.0
"""The feature that is the same for all photos: a large one needs a small weight, which costs next to nothing."""

SMALLEST_SPREAD = 1e-5
"""Added to the standard deviation of a channel, which may be 0 over few photos."""


def least_squares_shots(
    train_features: Tensor,
    train_targets: Tensor | Sequence[int],
    test_features: Tensor,
    test_targets: Tensor | Sequence[int],
    *,
    shots: Sequence[int] = (1, 5, 10, 25),
    seeds: Sequence[int] = (0, 1, 2),
    strength: float = STRENGTH,
    class_names: Sequence[str] | None = None,
) -> tuple[ShotScores, ...]:
    """Least squares on a few photos of each class, drawn anew for every seed: the same photos as `n_shot` draws.

    Args:
        train_features: `(n, dim)`, to draw from: the features in front of the head.
        train_targets: `(n,)` classes, counted from 0.
        test_features: `(m, dim)`.
        test_targets: `(m,)`; every class has a photo there.
        shots: Photos a class.
        seeds: One draw each; at least two, since one draw says nothing of the spread.
        strength: Of the L2 regularisation, above 0.
        class_names: For errors; `None` calls the classes by their numbers.

    Returns:
        One a number of shots, in their order.

    Raises:
        EvaluationError: A class with fewer photos than are to be drawn, named; one class only; widths or lengths that
            differ; features that are not finite.

    Example:
        >>> features, targets = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]]), [0, 0, 1, 1]
        >>> least_squares_shots(features, targets, features, targets, shots=(2,))[0].mean
        100.0
    """
    if len(seeds) < 2 or not shots or min(shots) < 1 or not strength > 0:
        raise EvaluationError(
            f"shots={tuple(shots)} must be at least 1, seeds={tuple(seeds)} at least two, and strength={strength} "
            "above 0."
        )
    names = class_names_of(train_targets, test_targets, class_names)
    train = labelled_features(train_features, train_targets, names, "training")
    test = labelled_features(test_features, test_targets, names, "test", train[0].shape[1])
    require_photos(train[1], names, max(shots), f"least-squares probe on {max(shots)} a class")
    found = []
    for count in shots:
        accuracies = []
        for seed in seeds:
            fitted = rows_of(train, drawn_rows(train[1], np.random.default_rng(seed), count))
            predicted = _predictions(fitted, test[0], len(names), strength)
            accuracies.append(classification_scores(torch.from_numpy(predicted), test[1].tolist(), names).accuracy)
        mean, spread = statistics.fmean(accuracies), statistics.stdev(accuracies)
        found.append(ShotScores(count, mean, spread, tuple(accuracies), (strength,) * len(seeds)))
    return tuple(found)


def _predictions(
    fitted: LabelledFeatures, features: npt.NDArray[np.float64], classes: int, strength: float
) -> npt.NDArray[np.int64]:
    mean, spread = fitted[0].mean(axis=0), fitted[0].std(axis=0) + SMALLEST_SPREAD
    x = _with_constant((fitted[0] - mean) / spread)
    y = 2 * np.eye(classes)[fitted[1]] - 1
    photos, channels = x.shape
    if photos >= channels:
        weights = np.linalg.solve(x.T @ x + strength * np.eye(channels), x.T @ y)
    else:  # the same weights, from the smaller of the two systems
        weights = x.T @ np.linalg.solve(x @ x.T + strength * np.eye(photos), y)
    return np.argmax(_with_constant((features - mean) / spread) @ weights, axis=1)


def _with_constant(features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.pad(features, ((0, 0), (0, 1)), constant_values=CONSTANT)
