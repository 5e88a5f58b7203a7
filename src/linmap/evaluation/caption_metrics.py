"""The metrics of the COCO evaluation beside CIDEr-D, through pycocoevalcap: BLEU, ROUGE-L, METEOR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from linmap.errors import UnknownNameError
from linmap.evaluation.bleu import bleu_of_tokens
from linmap.evaluation.cider import cider_of_tokens, require_pairs
from linmap.evaluation.meteor import meteor_of_tokens
from linmap.evaluation.rouge_l import rouge_l_of_tokens
from linmap.evaluation.tokenisation import tokenise_lists

__all__ = ["METRICS", "caption_metrics", "compare_captions", "metrics_with"]

METRICS = ("CIDEr-D", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "METEOR")


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
    for name in metrics:
        if name not in METRICS:
            raise UnknownNameError("metric of captions", name, METRICS)
    for candidates in captions.values():
        require_pairs(candidates, references, at_least=2 if "CIDEr-D" in metrics else 1)
    tokens = tokenise_lists([*captions.values(), *references], tokenizer)
    ours, theirs = tokens[: len(captions)], tokens[len(captions) :]
    found: list[dict[str, float]] = [{} for _ in captions]
    for scores, candidates in zip(found, ours, strict=True):
        if "CIDEr-D" in metrics:
            scores["CIDEr-D"] = cider_of_tokens(candidates, theirs, tokenizer).value
        if any(name.startswith("BLEU") for name in metrics):
            scores |= {f"BLEU-{n}": value for n, value in enumerate(bleu_of_tokens(candidates, theirs), start=1)}
        if "ROUGE-L" in metrics:
            per_image = rouge_l_of_tokens(candidates, theirs)
            scores["ROUGE-L"] = sum(per_image) / len(per_image)
    if "METEOR" in metrics:
        for scores, value in zip(found, meteor_of_tokens(ours, theirs), strict=True):
            scores["METEOR"] = value
    return {name: {metric: scores[metric] for metric in metrics} for name, scores in zip(captions, found, strict=True)}
