"""The scores of GLUE."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from linmap.errors import EvaluationError, UnknownNameError
from linmap.evaluation.glue import GLUE_TASKS, glue_score

DRAW = np.random.default_rng(0)
RIGHT = DRAW.integers(0, 2, 50)
FOUND = np.where(DRAW.random(50) < 0.7, RIGHT, 1 - RIGHT)


def test_every_task_is_scored_as_scikit_learn_and_scipy_do():
    expected = {
        "accuracy": metrics.accuracy_score(RIGHT, FOUND),
        "f1": metrics.f1_score(RIGHT, FOUND),
        "matthews": metrics.matthews_corrcoef(RIGHT, FOUND),
        "pearson": stats.pearsonr(FOUND, RIGHT)[0],
        "spearman": stats.spearmanr(FOUND, RIGHT)[0],
    }
    for task, names in GLUE_TASKS.items():
        score = glue_score(FOUND.tolist(), RIGHT.tolist(), task)
        assert score.by_name == pytest.approx({name: 100 * expected[name] for name in names})
        assert score.value == pytest.approx(np.mean([100 * expected[name] for name in names]))


def test_whoever_always_says_the_same_has_no_correlation():
    for task in ("cola", "stsb"):
        assert glue_score([1] * 50, RIGHT, task).value == 0.0


@pytest.mark.parametrize(
    ("found", "right", "task", "error", "says"),
    [
        ([1], [1, 0], "rte", EvaluationError, "1 predictions for 2 references"),
        ([], [], "rte", EvaluationError, "0 predictions for 0 references"),
        ([0.4], [1], "rte", EvaluationError, "no whole number: take argmax"),
        ([float("nan")], [1], "stsb", EvaluationError, "no finite number"),
        (["yes"], [1], "rte", EvaluationError, "no finite number"),
        ([1], [None], "stsb", EvaluationError, "no finite number"),
        ([[0.2, 0.8]], [1], "rte", EvaluationError, r"the shape \(1, 2\) .* give one number a row"),
        ([1], [1], "sst", UnknownNameError, r"Unknown task of GLUE 'sst'\. Did you mean 'sst2'\?"),
    ],
)
def test_what_cannot_be_scored_is_refused(found, right, task, error, says):
    with pytest.raises(error, match=says):
        glue_score(found, right, task)
