"""The metrics of the COCO evaluation beside CIDEr-D, through pycocoevalcap: BLEU, ROUGE-L, METEOR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from linmap.evaluation.caption_scores import METRICS, score_captions

__all__ = ["caption_metrics", "compare_captions", "metrics_with"]


def metrics_with(tokenizer: str) -> tuple[str, ...]:
    """The metrics of captions tokenised so: all with `"ptb"`; METEOR is Java itself, and missing with `"simple"`."""
    return METRICS if tokenizer == "ptb" else tuple(name for name in METRICS if name != "METEOR")


def caption_metrics(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    tokenizer: str = "ptb",
    *,
    metrics: Sequence[str] | None = None,
) -> dict[str, float]:
    """Scores one caption a photo against what people wrote about it, in the x100 units of papers.

    Args:
        candidates: One caption a photo.
        references: At least one a photo.
        tokenizer: `"ptb"` (needs Java), or `"simple"`, whose scores compare with no published ones.
        metrics: Some of `METRICS`; None takes those of `metrics_with(tokenizer)`.

    Returns:
        By name: CIDEr-D (0 to 1000), BLEU-1 to BLEU-4 of the whole set with the closest reference's length (0 to 100),
        ROUGE-L with beta 1.2 and METEOR 1.5 for English (0 to 100).

    Raises:
        CaptionDataError: As `cider_d`.
        UnknownNameError: No such metric or tokenizer.
        MissingExtraError: pycocoevalcap is not installed.
        MissingJavaError: `"ptb"` or METEOR without Java.

    Example:
        >>> references = [["a dog runs on grass"], ["two men ride bicycles"]]
        >>> scores = caption_metrics(["a dog runs on grass", "a red car"], references, "simple")
        >>> {name: round(value, 1) for name, value in scores.items() if name in ("CIDEr-D", "BLEU-1", "ROUGE-L")}
        {'CIDEr-D': 500.0, 'BLEU-1': 55.2, 'ROUGE-L': 50.0}
    """
    (scores,) = compare_captions({"": candidates}, references, tokenizer, metrics=metrics).values()
    return scores


def compare_captions(
    captions: Mapping[str, Sequence[str]],
    references: Sequence[Sequence[str]],
    tokenizer: str = "ptb",
    *,
    metrics: Sequence[str] | None = None,
) -> dict[str, dict[str, float]]:
    """`caption_metrics` of several captioners on the same photos, tokenised in one run.

    Args:
        captions: For each captioner's name its captions, one a photo.
        references: At least one a photo.
        tokenizer: See `caption_metrics`.
        metrics: As there.

    Returns:
        For each captioner its scores by name.
    """
    metrics = metrics_with(tokenizer) if metrics is None else metrics
    found = score_captions(captions, references, metrics=metrics, tokenizer=tokenizer)
    return {name: one.scores for name, one in found.items()}
