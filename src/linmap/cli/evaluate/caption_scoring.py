"""From the captions of a run to its report: the scores of every captioner, with its controls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from linmap.cli.evaluate.options import Control
from linmap.errors import CaptionDataError, UnknownNameError

if TYPE_CHECKING:
    from linmap.cli.evaluate.caption_nearness import Nearness
    from linmap.cli.evaluate.caption_run import Pass, Run
    from linmap.evaluation import CaptionScores

__all__ = [
    "METRICS",
    "OF_PHOTOS",
    "ScoredRow",
    "metrics_named",
    "report_of",
    "require_java",
    "row_label",
    "scored_rows",
]

METRICS = {
    "cider_d": ("CIDEr-D",),
    "bleu": ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"),
    **{f"bleu_{n}": (f"BLEU-{n}",) for n in range(1, 5)},
    "rouge_l": ("ROUGE-L",),
    "meteor": ("METEOR",),
    "clip_score": ("CLIPScore",),
    "ref_clip_score": ("RefCLIPScore",),
}
"""What `--metric` takes, and the columns it stands for."""

OF_PHOTOS = ("CLIPScore", "RefCLIPScore")
"""Those that compare captions with photos, through a dual encoder."""


def metrics_named(text: str) -> list[str]:
    """The columns that the words after `--metric` stand for.

    Raises:
        UnknownNameError: A word stands for none.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words or [text]:
        if word not in METRICS:
            raise UnknownNameError("metric", word, METRICS)
    return list(dict.fromkeys(name for word in words for name in METRICS[word]))


def require_java(metrics: Sequence[str], tokenizer: str) -> None:
    """Runs the tokenizer once, where scores of texts are asked for.

    Raises:
        MissingJavaError: Java is needed, and is not there or fails.
        MissingExtraError: pycocoevalcap is not installed.
    """
    from linmap.evaluation import tokenise
    from linmap.evaluation.meteor import java_for_meteor

    if "METEOR" in metrics:
        java_for_meteor()
    if not set(metrics) <= set(OF_PHOTOS):
        tokenise(["Java is there"], "ptb" if "METEOR" in metrics else tokenizer)


@dataclass(frozen=True)
class ScoredRow:
    """One row of the table: a captioner, or a control of it.

    Args:
        of: The captioner.
        control: None for the captioner itself.
        captions: One a scored photo.
        found: What they score.
    """

    of: Pass
    control: Control | None
    captions: list[str]
    found: CaptionScores

    @property
    def label(self) -> str:
        """What tables call it."""
        return row_label(self.of.model.name, self.control)


def row_label(name: str, control: str | None) -> str:
    """What tables call a captioner, or a control of it."""
    return name if control is None else f"{name}, {control}"


def scored_rows(
    passes: Sequence[Pass],
    run: Run,
    metrics: Sequence[str],
    controls: Sequence[Control],
    tokenizer: str,
    near: Nearness | None = None,
) -> tuple[list[ScoredRow], list[int]]:
    """Every captioner scored, its controls under it, on the photos that all of them could read.

    The blind control costs nothing: as a caption depends on its photo alone, the captions that shuffled features would
    give are the same captions in another order.

    Args:
        passes: The captioners, all captions made.
        run: What they have in common.
        metrics: Columns of `METRICS`.
        controls: What is asked for; those with an encoder of their own are passes.
        tokenizer: See `cider_d`.
        near: Measures those of `OF_PHOTOS`.

    Returns:
        The rows, and the places of the photos they are of.

    Raises:
        CaptionDataError: Fewer than two photos can be read.
    """
    from linmap.evaluation import derangement, score_captions

    done, records = [one.captions.done for one in passes], run.photos.records
    photos = [place for place in range(len(records)) if all(answers[place].error is None for answers in done)]
    if len(photos) < 2:
        raise CaptionDataError(
            f"Of the {len(records)} photos {len(photos)} can be read; a score and its control need at least two."
        )
    order = derangement(len(photos), run.seed)
    said: list[tuple[Pass, Control | None, list[str]]] = []
    for one, answers in zip(passes, done, strict=True):
        captions = [answers[place].caption or "" for place in photos]
        said.append((one, one.control, captions))
        if one.control is None and Control.BLIND in controls:
            said.append((one, Control.BLIND, [captions[other] for other in order]))
    by_label = {row_label(one.model.name, control): captions for one, control, captions in said}
    references = [records[place].captions for place in photos]
    asked = [name for name in metrics if name in OF_PHOTOS]
    images = [records[place].image for place in photos]
    found = score_captions(
        by_label,
        references,
        metrics=[name for name in metrics if name not in OF_PHOTOS],
        tokenizer=tokenizer,
        domains=[records[place].domain for place in photos],
        measured=near(asked, images, by_label, references) if near else None,
    )
    rows = [
        ScoredRow(one, control, captions, scores)
        for (one, control, captions), scores in zip(said, found.values(), strict=True)
    ]
    return rows, photos


def report_of(rows: Sequence[ScoredRow], tokenizer: str, seed: int) -> dict[str, Any]:
    """The report: the first model's first score and its control on top, for whoever wants one number; then all."""
    metrics = list(rows[0].found.scores)
    facts = [_row_facts(row) for row in rows]
    first = facts[0]
    held = next((row for row in facts[1:] if row["name"] == first["name"]), None)
    return {
        "metric": metrics[0],
        "score": first["scores"][metrics[0]],
        "control": None if held is None else held["scores"][metrics[0]],
        "control_kind": None if held is None else held["control"],
        "control_seed": None if held is None else seed,
        "n": rows[0].found.photos,
        "tokenizer": str(tokenizer),
        "comparable": tokenizer == "ptb",
        "decoding": first["decoding"],
        "model": first["model"],
        "metrics": metrics,
        "domains": _ordered(rows[0].found.domains),
        "rows": facts,
    }


def _row_facts(row: ScoredRow) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": row.of.model.name,
        "model": row.of.model.shown,
        "control": None if row.control is None else str(row.control),
        "decoding": row.of.decoding,
        "scores": _rounded(row.found.scores),
    }
    if row.found.domains:
        parts = row.found.domains
        facts["domains"] = {
            domain: {"photos": parts[domain].photos, "scores": _rounded(parts[domain].scores)}
            for domain in _ordered(parts)
        }
    return facts


def _rounded(scores: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in scores.items()}


def _ordered(domains: Iterable[str]) -> list[str]:
    """The domains in the order of NoCaps' tables, others behind them."""
    from linmap.data.caption_files import DOMAINS

    return sorted(domains, key=lambda name: (DOMAINS.index(name) if name in DOMAINS else len(DOMAINS), name))
