"""Measuring captioners: scores, and the controls that belong beside them. Only callables come in, no model class."""

from linmap.evaluation.captioning import (
    CaptioningExample,
    EvaluatedCaptions,
    blinded,
    derangement,
    evaluate_captions,
)
from linmap.evaluation.cider import Score, cider_d
from linmap.evaluation.metrics import metric_path
from linmap.evaluation.tokenisation import tokenise

__all__ = [
    "CaptioningExample",
    "EvaluatedCaptions",
    "Score",
    "blinded",
    "cider_d",
    "derangement",
    "evaluate_captions",
    "metric_path",
    "tokenise",
]
