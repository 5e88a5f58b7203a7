"""Measuring models: scores, and the controls that belong beside them. Only callables and tensors come in, no model."""

from linmap.evaluation.captioning import (
    CaptioningExample,
    EvaluatedCaptions,
    blinded,
    derangement,
    evaluate_captions,
)
from linmap.evaluation.cider import Score, cider_d
from linmap.evaluation.classification import ClassAccuracy, ClassificationScores, classification_scores
from linmap.evaluation.metrics import metric_path
from linmap.evaluation.modality_gap import ModalityGap, modality_gap
from linmap.evaluation.plots import plot_confusion, plot_gap, plot_recall, plot_shift, plot_shots, plot_sweep
from linmap.evaluation.probing import ProbeScores, ShotScores, linear_probe, n_shot
from linmap.evaluation.retrieval import RetrievalScores, count_duplicate_captions, fivefold_recall, retrieval_recall
from linmap.evaluation.shift import ShiftRow, distribution_shift
from linmap.evaluation.tables import per_class_table, retrieval_table, shift_table, shots_table
from linmap.evaluation.tokenisation import tokenise
from linmap.evaluation.zero_shot import TEMPLATES, classify, load_templates, zero_shot_classifier

__all__ = [
    "TEMPLATES",
    "CaptioningExample",
    "ClassAccuracy",
    "ClassificationScores",
    "EvaluatedCaptions",
    "ModalityGap",
    "ProbeScores",
    "RetrievalScores",
    "Score",
    "ShiftRow",
    "ShotScores",
    "blinded",
    "cider_d",
    "classification_scores",
    "classify",
    "count_duplicate_captions",
    "derangement",
    "distribution_shift",
    "evaluate_captions",
    "fivefold_recall",
    "linear_probe",
    "load_templates",
    "metric_path",
    "modality_gap",
    "n_shot",
    "per_class_table",
    "plot_confusion",
    "plot_gap",
    "plot_recall",
    "plot_shift",
    "plot_shots",
    "plot_sweep",
    "retrieval_recall",
    "retrieval_table",
    "shift_table",
    "shots_table",
    "tokenise",
    "zero_shot_classifier",
]
