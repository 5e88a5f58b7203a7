"""Linear probes (CLIP, arXiv 2103.00020, section 3.2 and appendix A.3): logistic regression on frozen features."""

from __future__ import annotations

import logging
import statistics
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from linmap.errors import EvaluationError, MissingExtraError
from linmap.evaluation.classification import ClassificationScores, classification_scores
from linmap.evaluation.labelled_features import (
    LabelledFeatures,
    class_names_of,
    drawn_rows,
    feature_rows,
    labelled_features,
    require_photos,
    rows_of,
)

__all__ = ["ProbeScores", "ShotScores", "linear_probe", "n_shot"]

logger = logging.getLogger(__name__)

MAX_ITERATIONS = 1000
"""Of L-BFGS, as in the paper."""

TOLERANCE = 1e-6
"""Of the gradient: at scikit-learn's 1e-4 weakly regularised fits end far from their optimum and count as converged."""

STEPS_A_DECADE = 8
EXPONENTS = (-6, 6)
ENDS = tuple(exponent * STEPS_A_DECADE for exponent in EXPONENTS)
COARSE = 2 * STEPS_A_DECADE
RANGE = " to ".join(f"{10.0**exponent:g}" for exponent in EXPONENTS)


@dataclass(frozen=True, slots=True)
class ProbeScores:
    """What a linear classifier on frozen features reaches.

    Args:
        test: On the test set, after the fit on training and validation photos together.
        strength: Of the L2 regularisation, lambda in the paper, chosen on the validation photos; scikit-learn's C is
            1 / lambda.
        sweep: Every `(strength, validation accuracy in percent)` that was tried, by strength.
        train: Photos of the final fit: those for training and those for validation.
        validation: Of these, photos the strength was chosen on.
        unconverged: Fits, of `len(sweep) + 1`, that did not converge within 1,000 iterations.
        predict: The final classifier: from features `(n, dim)` to classes `(n,)` int64.
    """

    test: ClassificationScores
    strength: float
    sweep: tuple[tuple[float, float], ...]
    train: int
    validation: int
    unconverged: int
    predict: Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class ShotScores:
    """A linear probe on a few photos a class.

    Args:
        shots: Photos a class.
        mean: Of the test accuracies over the draws, in percent.
        spread: Their standard deviation (of a sample), in points.
        accuracies: One a seed.
        strengths: The strength chosen for each.
    """

    shots: int
    mean: float
    spread: float
    accuracies: tuple[float, ...]
    strengths: tuple[float, ...]


def linear_probe(
    train_features: Tensor,
    train_targets: Tensor | Sequence[int],
    test_features: Tensor,
    test_targets: Tensor | Sequence[int],
    *,
    validation: tuple[Tensor, Tensor | Sequence[int]] | None = None,
    class_names: Sequence[str] | None = None,
    seed: int = 0,
) -> ProbeScores:
    """Fits a logistic regression, its strength chosen as the paper does, and scores it on the test set.

    The strength is searched for on 8 steps a decade from 1e-6 to 1e6: first every second decade, then the interval
    around the best is halved until neighbours are one step apart. Of steps that are equally good the middle one is
    taken (the stronger of two): on few photos many tie, and the ends of such a plateau are next to something worse.
    A strength at the end of the range is warned of. Then training and validation photos are fitted together, in float64
    as all fits are. Features are taken as they are, as in the paper.

    Args:
        train_features: `(n, dim)`, such as the image encoder's before its projection.
        train_targets: `(n,)` classes, counted from 0.
        test_features: `(m, dim)`.
        test_targets: `(m,)`; every class has a photo there.
        validation: Features and targets to choose the strength on. `None` holds out a fifth of the training photos of
            each class, at least one.
        class_names: For errors and scores; `None` calls the classes by their numbers.
        seed: Of that draw.

    Raises:
        EvaluationError: One class only; a class with too few photos, named; widths or lengths that differ; features
            that are not finite.
        MissingExtraError: scikit-learn is not installed.

    Example:
        >>> features, targets = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]]), [0, 0, 1, 1]
        >>> linear_probe(features, targets, features, targets).test.accuracy
        100.0
    """
    names = class_names_of(train_targets, test_targets, class_names)
    train = labelled_features(train_features, train_targets, names, "training")
    test = labelled_features(test_features, test_targets, names, "test", train[0].shape[1])
    require_photos(train[1], names, 1 if validation is not None else 2, "linear probe")
    if validation is None:
        held = drawn_rows(train[1], np.random.default_rng(seed))
        kept = np.setdiff1d(np.arange(len(train[1])), held)
        (fitted, chosen_on) = rows_of(train, kept), rows_of(train, held)
    else:
        fitted, chosen_on = train, labelled_features(*validation, names, "validation", train[0].shape[1])
    search = _Search(fitted, chosen_on)
    strength = search.best()
    if search.at_the_end(strength):
        logger.warning(
            "The strength chosen, %g, is at the end of the range that is searched, %s; a better one may lie beyond it.",
            strength,
            RANGE,
        )
    both = np.concatenate([fitted[0], chosen_on[0]]), np.concatenate([fitted[1], chosen_on[1]])
    classifier, converged = _fit(*both, strength)
    unconverged = search.unconverged + (not converged)
    if unconverged:
        logger.warning(
            "%d of %d logistic regressions did not converge within %d iterations%s.",
            unconverged,
            len(search.accuracies) + 1,
            MAX_ITERATIONS,
            "" if converged else ", the final one among them",
        )

    def predict(features: Tensor) -> Tensor:
        return torch.from_numpy(classifier.predict(feature_rows(features, "probed", both[0].shape[1])))

    return ProbeScores(
        test=classification_scores(predict(test_features), test[1].tolist(), names),
        strength=strength,
        sweep=search.sweep(),
        train=len(both[1]),
        validation=len(chosen_on[1]),
        unconverged=unconverged,
        predict=predict,
    )


def n_shot(
    train_features: Tensor,
    train_targets: Tensor | Sequence[int],
    test_features: Tensor,
    test_targets: Tensor | Sequence[int],
    *,
    shots: Sequence[int] = (1, 2, 4, 8, 16),
    seeds: Sequence[int] = (0, 1, 2),
    validation: tuple[Tensor, Tensor | Sequence[int]] | None = None,
    class_names: Sequence[str] | None = None,
) -> tuple[ShotScores, ...]:
    """Linear probes on a few photos of each class, drawn anew for every seed.

    The strength is searched for as `linear_probe` does, but the validation photos are never fitted.

    Args:
        train_features: `(n, dim)`, to draw from.
        train_targets: `(n,)` classes, counted from 0.
        test_features: `(m, dim)`.
        test_targets: `(m,)`; every class has a photo there.
        shots: Photos a class.
        seeds: One draw each; at least two, since one draw says nothing of the spread.
        validation: Features and targets to choose the strength on. `None` draws min(shots, 4) further photos a
            class for that, as the code of CoOp does (arXiv 2109.01134).
        class_names: For errors; `None` calls the classes by their numbers.

    Returns:
        One a number of shots, in their order.

    Raises:
        EvaluationError: A class with fewer photos than are to be drawn, named; and see `linear_probe`.
        MissingExtraError: scikit-learn is not installed.
    """
    if len(seeds) < 2 or not shots or min(shots) < 1:
        raise EvaluationError(f"shots={tuple(shots)} must be at least 1, and seeds={tuple(seeds)} at least two.")
    names = class_names_of(train_targets, test_targets, class_names)
    train = labelled_features(train_features, train_targets, names, "training")
    test = labelled_features(test_features, test_targets, names, "test", train[0].shape[1])
    given = None if validation is None else labelled_features(*validation, names, "validation", train[0].shape[1])
    for count in shots:
        extra = "" if given else f" and {min(count, 4)} to choose the strength on"
        require_photos(train[1], names, count + (0 if given else min(count, 4)), f"probe on {count} a class{extra}")
    found = []
    unconverged = fits = at_the_end = 0
    for count in shots:
        accuracies, strengths = [], []
        for seed in seeds:
            draw = np.random.default_rng(seed)
            rows = drawn_rows(train[1], draw, count)
            held = given
            if held is None:
                left = np.setdiff1d(np.arange(len(train[1])), rows)
                held = rows_of(train, left[drawn_rows(train[1][left], draw, min(count, 4))])
            search = _Search(rows_of(train, rows), held)
            strengths.append(search.best())
            classifier, converged = _fit(*rows_of(train, rows), strengths[-1])
            unconverged += search.unconverged + (not converged)
            fits += len(search.accuracies) + 1
            at_the_end += search.at_the_end(strengths[-1])
            scores = classification_scores(torch.from_numpy(classifier.predict(test[0])), test[1].tolist(), names)
            accuracies.append(scores.accuracy)
        mean, spread = statistics.fmean(accuracies), statistics.stdev(accuracies)
        found.append(ShotScores(count, mean, spread, tuple(accuracies), tuple(strengths)))
    if unconverged:
        logger.warning(
            "%d of %d logistic regressions of the probes on few photos did not converge within %d iterations.",
            unconverged,
            fits,
            MAX_ITERATIONS,
        )
    if at_the_end:
        logger.warning(
            "The strength chosen is at the end of the range that is searched, %s, in %d of %d probes on few photos.",
            RANGE,
            at_the_end,
            len(shots) * len(seeds),
        )
    return tuple(found)


class _Search:
    """The paper's search for the strength: a coarse grid, then halving the interval around its peak."""

    def __init__(self, fitted: LabelledFeatures, chosen_on: LabelledFeatures) -> None:
        self.fitted = fitted
        self.chosen_on = chosen_on
        self.accuracies: dict[int, float] = {}  # by the exponent, in steps
        self.unconverged = 0

    def best(self) -> float:
        """The strength of the highest validation accuracy, the middle one of equals."""
        low, high = ENDS
        for step in range(low, high + 1, COARSE):
            self._try(step)
        distance = COARSE // 2
        while distance >= 1:
            peak = self._peak()
            for step in (peak - distance, peak + distance):
                if low <= step <= high:
                    self._try(step)
            distance //= 2
        return _strength(self._peak())

    @staticmethod
    def at_the_end(strength: float) -> bool:
        """Whether a better strength may lie beyond the range."""
        return strength in map(_strength, ENDS)

    def sweep(self) -> tuple[tuple[float, float], ...]:
        """What was tried, by strength."""
        return tuple((_strength(step), accuracy) for step, accuracy in sorted(self.accuracies.items()))

    def _peak(self) -> int:
        highest = max(self.accuracies.values())
        tied = sorted(step for step, accuracy in self.accuracies.items() if accuracy == highest)
        return tied[len(tied) // 2]

    def _try(self, step: int) -> None:
        if step not in self.accuracies:
            classifier, converged = _fit(*self.fitted, _strength(step))
            right = classifier.predict(self.chosen_on[0]) == self.chosen_on[1]
            self.accuracies[step] = 100 * float(np.mean(right))
            self.unconverged += not converged


def _strength(step: int) -> float:
    return 10.0 ** (step / STEPS_A_DECADE)


def _fit(features: npt.NDArray[np.float64], targets: npt.NDArray[np.int64], strength: float) -> tuple[Any, bool]:
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise MissingExtraError("scikit-learn", extra="eval") from error
    classifier = LogisticRegression(C=1 / strength, solver="lbfgs", max_iter=MAX_ITERATIONS, tol=TOLERANCE)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ConvergenceWarning)
        classifier.fit(features, targets)
    return classifier, not any(issubclass(warning.category, ConvergenceWarning) for warning in said)
