"""Few-shot least squares: ridge regression as big_vision's few-shot evaluation has it, on the photos of `n_shot`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from linmap.errors import EvaluationError
from linmap.evaluation import least_squares_shots, n_shot
from linmap.evaluation.least_squares import _predictions

NAMES = ["cat", "dog", "horse"]
TRAIN, TEST = torch.arange(3).repeat(30), torch.arange(3).repeat(40)


def features(targets: torch.Tensor, seed: int, dim: int = 8) -> torch.Tensor:
    centres = 2 * torch.randn(3, dim, generator=torch.Generator().manual_seed(0))
    return centres[targets] + 1.5 * torch.randn(len(targets), dim, generator=torch.Generator().manual_seed(seed))


def test_it_finds_what_is_linearly_there_and_nothing_where_nothing_is():
    (found,) = least_squares_shots(features(TRAIN, 1), TRAIN, features(TEST, 2), TEST, shots=(10,))
    assert found.mean > 80
    noise = torch.randn(210, 8, generator=torch.Generator().manual_seed(3))
    (nothing,) = least_squares_shots(noise[:90], TRAIN, noise[90:], TEST, shots=(10,))
    assert nothing.mean == pytest.approx(100 / 3, abs=15)


@pytest.mark.parametrize("dim", [8, 200], ids=["more photos than channels", "more channels than photos"])
def test_the_weights_are_those_of_ridge_regression(dim):
    from sklearn.linear_model import Ridge

    train, test = features(TRAIN, 1, dim).double().numpy(), features(TEST, 2, dim).double().numpy()
    mean, spread = train.mean(axis=0), train.std(axis=0) + 1e-5
    pad = ((0, 0), (0, 1))
    fitted, met = (np.pad((rows - mean) / spread, pad, constant_values=100.0) for rows in (train, test))
    ridge = Ridge(alpha=50.0, fit_intercept=False, solver="svd").fit(fitted, 2 * np.eye(3)[TRAIN] - 1)
    np.testing.assert_array_equal(
        _predictions((train, TRAIN.numpy()), test, 3, 50.0), ridge.predict(met).argmax(axis=1)
    )


def test_scale_and_shift_of_the_features_do_not_matter():
    given = features(TRAIN, 1), features(TEST, 2)
    moved = [1000 * one + 7 for one in given]
    (found,) = least_squares_shots(given[0], TRAIN, given[1], TEST, shots=(5,))
    (other,) = least_squares_shots(moved[0], TRAIN, moved[1], TEST, shots=(5,))
    assert found.accuracies == other.accuracies


def test_the_draws_are_those_of_the_logistic_regression_and_follow_the_seed():
    given = features(TRAIN, 1), TRAIN, features(TEST, 2), TEST
    (found,) = least_squares_shots(*given, shots=(2,), seeds=(0, 1, 2))
    assert found == least_squares_shots(*given, shots=(2,), seeds=(0, 1, 2))[0]
    assert found.accuracies != least_squares_shots(*given, shots=(2,), seeds=(3, 4, 5))[0].accuracies
    assert (found.shots, len(found.accuracies)) == (n_shot(*given, shots=(2,))[0].shots, 3)
    assert found.strengths == (1024.0,) * 3


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"shots": ()}, r"shots=\(\) must be at least 1"),
        ({"seeds": (0,)}, r"seeds=\(0,\) at least two"),
        ({"strength": 0.0}, r"strength=0\.0 above 0"),
        ({"shots": (31,)}, r"least-squares probe on 31 a class needs at least 31 training photos of each class: 'cat'"),
    ],
)
def test_what_cannot_be_drawn_is_said(settings, words):
    with pytest.raises(EvaluationError, match=words):
        least_squares_shots(features(TRAIN, 1), TRAIN, features(TEST, 2), TEST, class_names=NAMES, **settings)
