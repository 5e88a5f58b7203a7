"""The scores of GLUE's tasks (Wang et al., arXiv 1804.07461, table 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from linmap.errors import EvaluationError, MissingExtraError, UnknownNameError

__all__ = ["GLUE_TASKS", "GlueScore", "glue_score"]

ACCURACY, F1, MATTHEWS, PEARSON, SPEARMAN = "accuracy", "f1", "matthews", "pearson", "spearman"
GLUE_TASKS = {
    "cola": (MATTHEWS,),
    "sst2": (ACCURACY,),
    "mrpc": (F1, ACCURACY),
    "stsb": (PEARSON, SPEARMAN),
    "qqp": (F1, ACCURACY),
    "mnli": (ACCURACY,),
    "qnli": (ACCURACY,),
    "rte": (ACCURACY,),
    "wnli": (ACCURACY,),
}
"""Each task with what it is scored by."""


@dataclass(frozen=True, slots=True)
class GlueScore:
    """What a model scores on a task.

    Args:
        value: Mean of the task's scores, as in the table of GLUE; -100 to 100.
        by_name: Each of them: accuracy and F1 0 to 100, correlations -100 to 100.
    """

    value: float
    by_name: dict[str, float]

    def __str__(self) -> str:
        return f"{self.value:.2f}"


def glue_score(predictions: Sequence[float], references: Sequence[float], task: str) -> GlueScore:
    """Scores predictions on a task of GLUE.

    Args:
        predictions: Numbers of classes; for stsb degrees of likeness.
        references: As many.
        task: One of `GLUE_TASKS`. F1 is that of class 1.

    Raises:
        UnknownNameError: No such task.
        EvaluationError: The numbers differ, there are none, some is no number, or for a class not whole.
        MissingExtraError: scikit-learn is not installed.

    Example:
        >>> score = glue_score([1, 0, 1, 1], [1, 0, 0, 1], "mrpc")
        >>> score.value, score.by_name
        (77.5, {'f1': 80.0, 'accuracy': 75.0})
    """
    if task not in GLUE_TASKS:
        raise UnknownNameError("task of GLUE", task, GLUE_TASKS)
    if len(predictions) != len(references) or not len(predictions):
        raise EvaluationError(
            f"{len(predictions)} predictions for {len(references)} references; give one each, and at least one."
        )
    try:
        found, right = (np.asarray(values, dtype=np.float64) for values in (predictions, references))
    except (TypeError, ValueError):  # a word, None, or rows of several lengths
        found = right = np.full(1, np.nan)
    if found.ndim != 1 or right.ndim != 1:
        raise EvaluationError(
            f"Predictions have the shape {found.shape} and references {right.shape}; give one number a row, such as "
            "the argmax of the logits."
        )
    if not (np.isfinite(found).all() and np.isfinite(right).all()):
        raise EvaluationError("Some prediction or reference is no finite number; mend it or leave it out.")
    if task != "stsb" and ((found % 1).any() or (right % 1).any()):
        raise EvaluationError(f"{task} has classes, and some prediction or reference is no whole number: take argmax.")
    scores = {name: 100 * _score(name, found, right) for name in GLUE_TASKS[task]}
    return GlueScore(sum(scores.values()) / len(scores), scores)


def _score(name: str, found: np.ndarray, right: np.ndarray) -> float:
    try:
        from scipy.stats import pearsonr, spearmanr  # type: ignore[import-untyped]
        from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
    except ImportError as error:
        raise MissingExtraError("scikit-learn", extra="eval") from error
    if name in (PEARSON, SPEARMAN):
        if found.std() == 0 or right.std() == 0 or len(found) < 2:
            return 0.0  # a constant is related to nothing; scipy says nan
        value = float((pearsonr if name == PEARSON else spearmanr)(found, right)[0])
        return 0.0 if math.isnan(value) else value
    if name == F1:
        return float(f1_score(right == 1, found == 1, zero_division=0.0))
    return float((accuracy_score if name == ACCURACY else matthews_corrcoef)(right.astype(int), found.astype(int)))
