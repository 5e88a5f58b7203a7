"""Several captioners on the same photos: the scores of the whole set, of its domains, and of single photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from linmap.errors import EvaluationError, UnknownNameError
from linmap.evaluation.bleu import bleu_of_tokens
from linmap.evaluation.caption_metrics import METRICS
from linmap.evaluation.cider import cider_of_tokens, require_pairs
from linmap.evaluation.meteor import meteor_of_tokens
from linmap.evaluation.rouge_l import rouge_l_of_tokens
from linmap.evaluation.tokenisation import tokenise_lists

__all__ = ["ENTIRE", "CaptionScores", "score_captions"]

ENTIRE = "entire"
"""What NoCaps calls all photos together."""


@dataclass(frozen=True, slots=True)
class CaptionScores:
    """What one captioner scored.

    Args:
        scores: By metric, over all photos.
        photos: How many those were.
        per_photo: By metric, the score of every photo, in order, of those metrics that have one: their mean is the
            score of the whole. BLEU and METEOR are of a set and have none.
        domains: By domain, the scores of its photos taken as a set of their own; empty where there are no domains.
    """

    scores: dict[str, float]
    photos: int
    per_photo: dict[str, tuple[float, ...]] = field(default_factory=dict)
    domains: dict[str, CaptionScores] = field(default_factory=dict)


def score_captions(
    captions: Mapping[str, Sequence[str]],
    references: Sequence[Sequence[str]],
    *,
    metrics: Sequence[str] = ("CIDEr-D",),
    tokenizer: str = "ptb",
    domains: Sequence[str | None] | None = None,
    measured: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
) -> dict[str, CaptionScores]:
    """Scores the captions of several captioners for the same photos, tokenised in one run.

    A domain is scored as a set of its own, with document frequencies of its own references: so are the NoCaps scores of
    LiMBeR (arXiv 2209.15162), where no shares of the three domains give the column "all" in every row, as they would
    with frequencies in common.

    Args:
        captions: For each captioner's name its captions, one a photo.
        references: At least one a photo.
        metrics: Some of `METRICS`, in the order of the result.
        tokenizer: See `cider_d`.
        domains: Of each photo, where there are any; a photo without one counts in the whole alone.
        measured: Scores of single photos that need more than texts, such as CLIPScore: for each captioner by metric one
            a photo. They are averaged.

    Returns:
        For each captioner its scores. A domain of fewer than two photos is left out: CIDEr-D says nothing there.

    Raises:
        CaptionDataError: As `cider_d`.
        EvaluationError: There are more or fewer domains or measured scores than photos.
        UnknownNameError: No such metric or tokenizer.
        MissingExtraError: pycocoevalcap is not installed.
        MissingJavaError: `"ptb"` or METEOR without Java.

    Example:
        >>> references = [["a dog runs on grass"], ["two men ride bicycles"]]
        >>> said = {"copies": ["a dog runs on grass", "two men ride bicycles"], "one": ["a dog"] * 2}
        >>> found = score_captions(said, references, metrics=["CIDEr-D", "ROUGE-L"], tokenizer="simple")
        >>> {name: round(one.scores["ROUGE-L"], 1) for name, one in found.items()}
        {'copies': 100.0, 'one': 26.5}
    """
    for name in metrics:
        if name not in METRICS:
            raise UnknownNameError("metric of captions", name, METRICS)
    for candidates in captions.values():
        require_pairs(candidates, references)
    measured = {name: dict((measured or {}).get(name, {})) for name in captions}
    for what, values in [("domains", domains), *((key, row) for of in measured.values() for key, row in of.items())]:
        if values is not None and len(values) != len(references):
            raise EvaluationError(f"{what}: {len(values)} for {len(references)} photos; give one a photo.")
    tokens = tokenise_lists([*captions.values(), *references], tokenizer)
    ours, theirs = tokens[: len(captions)], tokens[len(captions) :]
    parts = {name: rows for name, rows in _rows_of(domains or ()).items() if len(rows) > 1}
    whole = _scored(ours, theirs, list(measured.values()), metrics, tokenizer)
    found = {}
    by_domain = {
        domain: _scored(
            [[texts[row] for row in rows] for texts in ours],
            [theirs[row] for row in rows],
            [{name: [values[row] for row in rows] for name, values in of.items()} for of in measured.values()],
            metrics,
            tokenizer,
        )
        for domain, rows in parts.items()
    }
    for number, (name, one) in enumerate(zip(captions, whole, strict=True)):
        found[name] = CaptionScores(
            one.scores, one.photos, one.per_photo, {domain: scores[number] for domain, scores in by_domain.items()}
        )
    return found


def _rows_of(domains: Sequence[str | None]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, domain in enumerate(domains):
        if domain is not None:
            rows.setdefault(domain, []).append(row)
    return rows


def _scored(
    captions: Sequence[Sequence[str]],
    references: Sequence[list[str]],
    measured: Sequence[Mapping[str, Sequence[float]]],
    metrics: Sequence[str],
    tokenizer: str,
) -> list[CaptionScores]:
    """The scores of tokenised captions, one result a captioner."""
    found = []
    for candidates, more in zip(captions, measured, strict=True):
        per_photo = {name: tuple(map(float, values)) for name, values in more.items()}
        scores: dict[str, float] = {}
        if "CIDEr-D" in metrics:
            per_photo["CIDEr-D"] = cider_of_tokens(candidates, references, tokenizer).per_image
        if "ROUGE-L" in metrics:
            per_photo["ROUGE-L"] = rouge_l_of_tokens(candidates, references)
        if any(name.startswith("BLEU") for name in metrics):
            scores |= {f"BLEU-{n}": value for n, value in enumerate(bleu_of_tokens(candidates, references), start=1)}
        scores |= {name: sum(values) / len(values) for name, values in per_photo.items()}
        found.append(CaptionScores(scores, len(references), per_photo))
    if "METEOR" in metrics:
        for one, value in zip(found, meteor_of_tokens(captions, references), strict=True):
            one.scores["METEOR"] = value
    for one, more in zip(found, measured, strict=True):
        asked = {name: one.scores[name] for name in [*metrics, *more]}
        one.scores.clear()
        one.scores.update(asked)
    return found
