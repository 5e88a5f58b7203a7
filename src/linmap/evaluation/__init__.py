"""Measuring models: scores, and the controls that belong beside them. Only callables and tensors come in, no model."""

from linmap.evaluation.attributes import AttributeTable
from linmap.evaluation.bleu import BleuScore, bleu
from linmap.evaluation.caption_metrics import caption_metrics, compare_captions
from linmap.evaluation.caption_plots import plot_caption_scores, plot_captions, plot_sizes
from linmap.evaluation.caption_scores import ENTIRE, METRICS, CaptionScores, score_captions
from linmap.evaluation.captioning import (
    CaptioningExample,
    EvaluatedCaptions,
    blinded,
    derangement,
    evaluate_captions,
)
from linmap.evaluation.cider import Score, cider_d
from linmap.evaluation.classification import ClassAccuracy, ClassificationScores, classification_scores
from linmap.evaluation.clip_score import CLIP_PROMPT, ClipScore, clip_prompts, clip_scores, ref_clip_scores
from linmap.evaluation.concept_names import Animal, AnimalNames, NamedAnimal
from linmap.evaluation.concept_plots import concept_columns, concept_table, plot_concepts
from linmap.evaluation.concepts import AttributeScores, ClassNaming, ConceptScores, ScoredConcepts, concept_scores
from linmap.evaluation.gallery import GalleryPhoto, gallery_page, thumbnail
from linmap.evaluation.gap_plots import GapPairs, plot_gap, plot_gaps
from linmap.evaluation.least_squares import least_squares_shots
from linmap.evaluation.meteor import meteor
from linmap.evaluation.metrics import metric_path
from linmap.evaluation.modality_gap import ModalityGap, modality_gap
from linmap.evaluation.plots import plot_confusion, plot_recall, plot_shift, plot_shots, plot_sweep
from linmap.evaluation.probing import ProbeScores, ShotScores, linear_probe, n_shot
from linmap.evaluation.retrieval import RetrievalScores, count_duplicate_captions, fivefold_recall, retrieval_recall
from linmap.evaluation.rouge_l import rouge_l
from linmap.evaluation.shift import ShiftRow, distribution_shift
from linmap.evaluation.sizes import SizeScores, scores_by_size
from linmap.evaluation.strategies import ComparedStrategies, compare_strategies
from linmap.evaluation.tables import (
    caption_table,
    per_class_table,
    retrieval_table,
    shift_table,
    shots_table,
    size_table,
)
from linmap.evaluation.tokenisation import tokenise
from linmap.evaluation.vqa import VQA_METRICS, AnswersScore, plot_vqa, score_answers, vqa_metrics_for, vqa_table
from linmap.evaluation.vqa_accuracy import ExactMatchScore, VqaScore, exact_match, normalise_answer, vqa_accuracy
from linmap.evaluation.written_captions import WrittenCaption, WrittenCaptions
from linmap.evaluation.wups import WupsScore, wups
from linmap.evaluation.zero_shot import TEMPLATES, classify, load_templates, zero_shot_classifier

__all__ = [
    "CLIP_PROMPT",
    "ENTIRE",
    "METRICS",
    "TEMPLATES",
    "VQA_METRICS",
    "Animal",
    "AnimalNames",
    "AnswersScore",
    "AttributeScores",
    "AttributeTable",
    "BleuScore",
    "CaptionScores",
    "CaptioningExample",
    "ClassAccuracy",
    "ClassNaming",
    "ClassificationScores",
    "ClipScore",
    "ComparedStrategies",
    "ConceptScores",
    "EvaluatedCaptions",
    "ExactMatchScore",
    "GalleryPhoto",
    "GapPairs",
    "ModalityGap",
    "NamedAnimal",
    "ProbeScores",
    "RetrievalScores",
    "Score",
    "ScoredConcepts",
    "ShiftRow",
    "ShotScores",
    "SizeScores",
    "VqaScore",
    "WrittenCaption",
    "WrittenCaptions",
    "WupsScore",
    "bleu",
    "blinded",
    "caption_metrics",
    "caption_table",
    "cider_d",
    "classification_scores",
    "classify",
    "clip_prompts",
    "clip_scores",
    "compare_captions",
    "compare_strategies",
    "concept_columns",
    "concept_scores",
    "concept_table",
    "count_duplicate_captions",
    "derangement",
    "distribution_shift",
    "evaluate_captions",
    "exact_match",
    "fivefold_recall",
    "gallery_page",
    "least_squares_shots",
    "linear_probe",
    "load_templates",
    "meteor",
    "metric_path",
    "modality_gap",
    "n_shot",
    "normalise_answer",
    "per_class_table",
    "plot_caption_scores",
    "plot_captions",
    "plot_concepts",
    "plot_confusion",
    "plot_gap",
    "plot_gaps",
    "plot_recall",
    "plot_shift",
    "plot_shots",
    "plot_sizes",
    "plot_sweep",
    "plot_vqa",
    "ref_clip_scores",
    "retrieval_recall",
    "retrieval_table",
    "rouge_l",
    "score_answers",
    "score_captions",
    "scores_by_size",
    "shift_table",
    "shots_table",
    "size_table",
    "thumbnail",
    "tokenise",
    "vqa_accuracy",
    "vqa_metrics_for",
    "vqa_table",
    "wups",
    "zero_shot_classifier",
]
