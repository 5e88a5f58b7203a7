"""What a measurement writes: tables for people or one line of JSON on stdout, and its plots."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

__all__ = ["class_rows", "rounded", "write"]

WIDE = 160
"""Columns where stdout is no terminal, so that nothing is folded that a program may read."""


def write(
    report: dict[str, Any],
    lines: Sequence[Any],
    plots: Mapping[str, Callable[[Path], None]],
    *,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Draws the plots that are asked for, then writes the report to stdout.

    Args:
        report: What `--json` writes; gets the paths of the plots under `"plots"`.
        lines: For people: texts and tables of rich.
        plots: What can be drawn, by what is put behind the name of the file; the first has nothing there.
        plot: The file that is asked for, or None.
        as_json: One line of JSON in place of `lines`.
    """
    drawn: list[str] = []
    if plot is not None:
        for suffix, draw in plots.items():
            path = plot.with_name(f"{plot.stem}{suffix}{plot.suffix}")
            draw(path)
            drawn.append(str(path))
    if as_json:
        typer.echo(json.dumps({**report, "plots": drawn}))
        return
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, emoji=False, width=WIDE)
    for line in lines:
        console.print(line, soft_wrap=isinstance(line, str))
    said = f"plot: {', '.join(drawn)}" if drawn else "plot: none written; --plot FILE.png draws it"
    console.print(said, soft_wrap=True)


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    """Percentages to two places, as reports give them."""
    return {name: round(value, 2) for name, value in values.items()}


def class_rows(scores: Any, labels: Sequence[str]) -> dict[str, Any]:
    """A report's part about a classification: the score, what it is held against, and every class.

    Args:
        scores: `ClassificationScores`.
        labels: Of the classes, in their order.
    """
    return {
        "accuracy": round(scores.accuracy, 2),
        "mean_per_class": round(scores.mean_per_class, 2),
        "chance": round(scores.chance, 2),
        "majority": round(scores.majority, 2),
        "majority_class": scores.majority_class,
        "n": scores.n,
        "classes": len(labels),
        "per_class": [
            {
                "label": label,
                "name": one.name,
                "photos": one.photos,
                "correct": one.correct,
                "accuracy": round(one.accuracy, 2),
                "mistaken_for": one.mistaken_for,
            }
            for label, one in zip(labels, scores.per_class, strict=True)
        ],
    }
