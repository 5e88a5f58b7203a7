"""Scores as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from linmap.evaluation.classification import ClassificationScores
    from linmap.evaluation.probing import ShotScores
    from linmap.evaluation.retrieval import RetrievalScores
    from linmap.evaluation.shift import ShiftRow
    from linmap.evaluation.sizes import SizeScores

__all__ = ["caption_table", "per_class_table", "retrieval_table", "shift_table", "shots_table", "size_table"]


def per_class_table(scores: ClassificationScores) -> Table:
    """One row a class, the worst first, for `rich.print`."""
    table = _table("class", photos="photos", correct="correct", accuracy="accuracy %")
    table.add_column("most often taken for")
    for one in sorted(scores.per_class, key=lambda one: one.accuracy):
        table.add_row(one.name, str(one.photos), str(one.correct), f"{one.accuracy:.1f}", one.mistaken_for or "")
    return table


def retrieval_table(scores: RetrievalScores) -> Table:
    """Both ways, chance beside each recall, for `rich.print`. Over several folds, ranks are of the photos of one."""
    table = _table(
        "" if scores.folds == 1 else f"mean over {scores.folds} parts",
        **{name: f"{name} %" for name in scores.text_to_image},
        rank="median rank",
        of="of",
    )
    ways = (
        ("text to image", scores.text_to_image, scores.median_rank_text_to_image, scores.images / scores.folds),
        ("  chance", scores.chance_text_to_image, None, None),
        ("image to text", scores.image_to_text, scores.median_rank_image_to_text, scores.texts / scores.folds),
        ("  chance", scores.chance_image_to_text, None, None),
    )
    for name, recalls, rank, count in ways:
        found = [f"{value:.1f}" for value in recalls.values()]
        table.add_row(name, *found, "" if rank is None else f"{rank:g}", "" if count is None else f"{count:.10g}")
    return table


def shift_table(rows: Sequence[ShiftRow]) -> Table:
    """One row a test set, its drop against the first in points and in percent of it, for `rich.print`."""
    headings = {"accuracy": "accuracy %", "per_class": "per class %", "drop": "drop (relative)"}
    table = _table("test set", photos="photos", **headings, chance="chance %")
    for number, row in enumerate(rows):
        relative = "" if row.relative_drop is None else f" ({round(row.relative_drop, 1) + 0.0:.1f} %)"
        drop = "" if number == 0 else f"{round(row.drop, 1) + 0.0:.1f}{relative}"  # no -0.0
        found = row.scores
        shown = (f"{value:.1f}" for value in (found.accuracy, found.mean_per_class))
        table.add_row(row.name, str(found.n), *shown, drop, f"{found.chance:.1f}")
    return table


def shots_table(rows: Sequence[ShotScores]) -> Table:
    """One row a number of photos a class, for `rich.print`."""
    table = _table("photos a class", accuracy="accuracy %", spread="spread (std)", draws="draws")
    for row in rows:
        table.add_row(str(row.shots), f"{row.mean:.1f}", f"{row.spread:.1f}", str(len(row.accuracies)))
    return table


def caption_table(rows: Mapping[str, Mapping[str, float]], heading: str = "strategy") -> Table:
    """One row a captioner, one column a metric, for `rich.print`; the control, where there is one, is a row of its own.

    Args:
        rows: For each row its scores by column, such as `ComparedStrategies.rows`; a score may be missing.
        heading: What the rows are.
    """
    columns = list(dict.fromkeys(column for scores in rows.values() for column in scores))
    table = _table(heading, **{column: column for column in columns})
    for name, scores in rows.items():
        table.add_row(name, *(f"{scores[column]:.1f}" if column in scores else "" for column in columns))
    return table


def size_table(rows: Sequence[SizeScores], heading: str = "size") -> Table:
    """One row a size, for each thing measured the mean over the draws and their range, for `rich.print`.

    Args:
        rows: Of `scores_by_size`.
        heading: What the sizes are of.
    """
    table = _table(heading, **{name: name for name in rows[0].scores}, draws="draws")
    for row in rows:
        shown = []
        for name in row.scores:
            low, high = row.range(name)
            shown.append(f"{row.mean(name):.1f}" + (f" ({low:.1f} to {high:.1f})" if row.draws > 1 else ""))
        table.add_row(f"{row.size:,}", *shown, str(row.draws))
    return table


def _table(first: str, **numbers: str) -> Table:
    table = Table(first, box=box.SIMPLE_HEAD)
    for heading in numbers.values():
        table.add_column(heading, justify="right")
    return table
