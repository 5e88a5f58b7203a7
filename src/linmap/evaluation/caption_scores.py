"""Several captioners on the same photos: the scores of the whole set, of its domains, and of single photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from linmap.errors import EvaluationError, UnknownNameError
from linmap.evaluation.bleu import bleu_of_tokens
from linmap.evaluation.cider import cider_of_tokens, require_pairs
from linmap.evaluation.meteor import meteor_of_tokens
from linmap.evaluation.rouge_l import rouge_l_of_tokens
from linmap.evaluation.tokenisation import tokenise_lists

__all__ = ["ENTIRE", "METRICS", "CaptionScores", "score_captions"]

METRICS = ("CIDEr-D", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "METEOR")
"""The scores of texts alone."""

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
        metrics: Some of `METRICS`, in the order of the result; where none is, texts are not looked at.
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
        require_pairs(candidates, references, at_least=2 if "CIDEr-D" in metrics else 1)
    measured = {name: dict((measured or {}).get(name, {})) for name in captions}
    for what, values in [("domains", domains), *((key, row) for of in measured.values() for key, row in of.items())]:
        if values is not None and len(values) != len(references):
            raise EvaluationError(f"{what}: {len(values)} for {len(references)} photos; give one a photo.")
    texts = [*captions.values(), *references]
    tokens = tokenise_lists(texts, tokenizer) if metrics else texts
    ours, theirs = tokens[: len(captions)], tokens[len(captions) :]
    parts = {name: rows for name, rows in _rows_of(domains or ()).items() if len(rows) > 1}
    sets = [range(len(references)), *parts.values()]
    meteor: Sequence[Sequence[float | None]] = [[None] * len(sets)] * len(ours)
    if "METEOR" in metrics:
        meteor = meteor_of_tokens(ours, theirs, sets)
    found = {}
    for name, candidates, of_sets in zip(captions, ours, meteor, strict=True):
        whole, *in_domains = (
            _scored(
                [candidates[row] for row in rows],
                [theirs[row] for row in rows],
                {metric: [values[row] for row in rows] for metric, values in measured[name].items()},
                metrics,
                tokenizer,
                value,
            )
            for rows, value in zip(sets, of_sets, strict=True)
        )
        found[name] = replace(whole, domains=dict(zip(parts, in_domains, strict=True)))
    return found


def _rows_of(domains: Sequence[str | None]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, domain in enumerate(domains):
        if domain is not None:
            rows.setdefault(domain, []).append(row)
    return rows


def _scored(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    measured: Mapping[str, Sequence[float]],
    metrics: Sequence[str],
    tokenizer: str,
    meteor: float | None,
) -> CaptionScores:
    """The scores of one captioner's tokenised captions, beside its METEOR, which Java makes of all sets at once."""
    per_photo = {name: tuple(map(float, values)) for name, values in measured.items()}
    scores = {} if meteor is None else {"METEOR": meteor}
    if "CIDEr-D" in metrics:
        per_photo["CIDEr-D"] = cider_of_tokens(candidates, references, tokenizer).per_image
    if "ROUGE-L" in metrics:
        per_photo["ROUGE-L"] = rouge_l_of_tokens(candidates, references)
    if any(name.startswith("BLEU") for name in metrics):
        scores |= {f"BLEU-{n}": value for n, value in enumerate(bleu_of_tokens(candidates, references), start=1)}
    scores |= {name: sum(values) / len(values) for name, values in per_photo.items()}
    asked = {name: scores[name] for name in [*metrics, *measured]}
    return CaptionScores(asked, len(references), per_photo)
