"""What `linmap evaluate retrieval` says: of one model in one language both ways in full, of several one table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table

    from linmap.clippo.embedding import LostText
    from linmap.evaluation import RetrievalScores

__all__ = ["Measured", "lost_facts", "lost_words", "means_of", "plots_of", "rows_table", "scores_facts"]

WAYS = {"text_to_image": "text to image", "image_to_text": "image to text"}


class Measured(NamedTuple):
    """One row of a table.

    Args:
        name: Of the model.
        language: Of the captions; None where the file tells none.
        scores: Recall both ways.
        held: That of the control, where there is one.
        facts: Everything a report says of the row.
    """

    name: str
    language: str | None
    scores: RetrievalScores
    held: RetrievalScores | None
    facts: dict[str, Any]


def scores_facts(scores: RetrievalScores, held: RetrievalScores | None) -> dict[str, Any]:
    """Recall both ways in percent, beside chance and the control."""
    from linmap.cli.evaluate.output import rounded

    return {
        "text_to_image": rounded(scores.text_to_image),
        "image_to_text": rounded(scores.image_to_text),
        "chance": {
            "text_to_image": rounded(scores.chance_text_to_image),
            "image_to_text": rounded(scores.chance_image_to_text),
        },
        "median_rank": {
            "text_to_image": scores.median_rank_text_to_image,
            "image_to_text": scores.median_rank_image_to_text,
        },
        "control": held
        and {"text_to_image": rounded(held.text_to_image), "image_to_text": rounded(held.image_to_text)},
    }


def lost_facts(lost: LostText | None) -> dict[str, Any] | None:
    """How many texts a model does not read in full, how many characters or tokens of all; None: not counted."""
    return lost and {"texts": lost.texts, lost.unit: lost.pieces, "of": lost.of}


def lost_words(lost: Mapping[str, Any] | None) -> str:
    """The same in a cell of a table: the number of texts, and the share of all they hold."""
    if lost is None:
        return ""
    pieces = next(count for unit, count in lost.items() if unit not in ("texts", "of"))
    return f"{lost['texts']:,} ({100 * pieces / lost['of'] if lost['of'] else 0:.1f} %)"


def means_of(rows: Sequence[Measured]) -> list[dict[str, Any]]:
    """Over the languages, each counting alike: recall, chance and control of every model; none of a single language."""
    found = []
    for name in dict.fromkeys(row.name for row in rows):
        own = [row.facts for row in rows if row.name == name]
        if len(own) > 1:
            found.append(
                {
                    "name": name,
                    "languages": len(own),
                    **{way: _mean([facts[way] for facts in own]) for way in WAYS},
                    "chance": {way: _mean([facts["chance"][way] for facts in own]) for way in WAYS},
                    "control": own[0]["control"] and {way: _mean([one["control"][way] for one in own]) for way in WAYS},
                }
            )
    return found


def rows_table(rows: Sequence[Measured], means: Sequence[Mapping[str, Any]]) -> Table:
    """One row a model and language, chance and control below; the mean over the languages stands at the end."""
    from rich import box
    from rich.table import Table

    spoken = any(row.language is not None for row in rows)
    counted = any(row.facts["overflow"] for row in rows)
    table = Table("model", box=box.SIMPLE_HEAD)
    if spoken:
        table.add_column("language")
    recalls = list(rows[0].facts["text_to_image"])
    arrows = [f"{mark} {name} %" for mark in ("T→I", "I→T") for name in recalls]
    for heading in ("parameters", "photos", "captions", *arrows, *(["texts cut"] if counted else [])):
        table.add_column(heading, justify="right")

    def add(name: str, language: str | None, facts: Mapping[str, Any], sizes: Sequence[str], cut: str = "") -> None:
        found = [f"{value:.1f}" for way in WAYS for value in facts[way].values()]
        table.add_row(name, *([language or ""] if spoken else []), *sizes, *found, *([cut] if counted else []))

    for language in dict.fromkeys(row.language for row in rows):
        of = [row for row in rows if row.language == language]
        for row in of:
            facts = row.facts
            sizes = (f"{facts['parameters']:,}", f"{facts['images']:,}", f"{facts['texts']:,}")
            add(row.name, language, facts, sizes, lost_words(facts["overflow"]))
            if facts["control"]:
                add(f"  {facts['control_kind']}", language, facts["control"], ("",) * 3)
        add("  chance", language, of[0].facts["chance"], ("",) * 3)
    for mean in means:
        add(mean["name"], f"mean of {mean['languages']}", mean, ("",) * 3)
        if mean["control"]:
            add("  control", f"mean of {mean['languages']}", mean["control"], ("",) * 3)
    if means:
        add("  chance", f"mean of {means[0]['languages']}", means[0]["chance"], ("",) * 3)
    return table


def plots_of(rows: Sequence[Measured]) -> dict[str, Any]:
    """What `write` draws: of one model its recall and chance, of several bars side by side, one picture a way."""
    from linmap.evaluation import plot_caption_scores, plot_recall

    if len(rows) == 1:
        return {"": lambda path: plot_recall(rows[0].scores, path)}

    def drawing(way: str) -> Any:
        def draw(path: Path) -> None:
            plot_caption_scores(_bars(rows, way), path, ylabel=f"recall, {WAYS[way]} (%)")

        return draw

    return {"": drawing("text_to_image"), "-image-to-text": drawing("image_to_text")}


def _bars(rows: Sequence[Measured], way: str) -> dict[str, dict[str, float]]:
    """A row of bars a model, and one of chance; in several languages recall at the smallest k in each."""
    bars: dict[str, dict[str, float]] = {}
    for row in rows:
        for name, recalls in ((row.name, row.facts[way]), ("chance", row.facts["chance"][way])):
            shown = recalls if row.language is None else {f"{row.language}\n{(k := next(iter(recalls)))}": recalls[k]}
            bars.setdefault(name, {}).update(shown)
    return {**{name: found for name, found in bars.items() if name != "chance"}, "chance": bars["chance"]}


def _mean(recalls: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: round(statistics.fmean(one[name] for one in recalls), 2) for name in recalls[0]}
