"""What a measurement writes: tables for people or one line of JSON on stdout, and its plots."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from linmap.errors import EvaluationError

__all__ = ["class_rows", "confusion_is_drawn", "plot_files", "rounded", "write"]

logger = logging.getLogger(__name__)

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
    """Draws the plots that are asked for, and writes the report to stdout whatever becomes of them.

    Args:
        report: What `--json` writes; gets the paths of the plots under `"plots"`.
        lines: For people: texts and tables of rich.
        plots: What can be drawn, by what is put behind the name of the file; the first has nothing there.
        plot: The file that is asked for, or None.
        as_json: One line of JSON in place of `lines`.
    """
    drawn: list[str] = []
    try:
        for path, draw in zip(plot_files(plot, list(plots)), plots.values(), strict=True) if plot else ():
            draw(path)
            drawn.append(str(path))
    finally:  # a plot that fails is an error, and no reason to lose the numbers
        _print(report, lines, drawn, asked=plot is not None, as_json=as_json)


def plot_files(plot: Path, suffixes: Sequence[str]) -> list[Path]:
    """The files that `write` draws to, checked: call it before the work, with everything that may be drawn.

    Args:
        plot: The file that is asked for.
        suffixes: What is put behind its name, one a plot.

    Raises:
        EvaluationError: No picture can be written to one of them.
    """
    from linmap.cli.evaluate.options import why_no_picture

    files = [plot.with_name(f"{plot.stem}{suffix}{plot.suffix}") for suffix in suffixes]
    for file in files:
        if reason := why_no_picture(file):
            raise EvaluationError(f"--plot: {reason}")
    return files


def confusion_is_drawn(plot: Path | None, classes: int) -> bool:
    """Whether there is a confusion plot; warns where one is asked for and there are too many classes for it."""
    from linmap.evaluation.plots import DRAWN_CLASSES

    if plot is not None and classes > DRAWN_CLASSES:
        logger.warning(
            "The confusion of %d classes is not drawn, at most %d are; the table names what each is taken for.",
            classes,
            DRAWN_CLASSES,
        )
    return classes <= DRAWN_CLASSES


def _print(report: dict[str, Any], lines: Sequence[Any], drawn: list[str], *, asked: bool, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({**report, "plots": drawn}))
        return
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, emoji=False, width=WIDE)
    for line in lines:
        console.print(line, soft_wrap=isinstance(line, str))
    said = ", ".join(drawn) or ("none written" if asked else "none written; --plot FILE.png draws it")
    console.print(f"plot: {said}", soft_wrap=True)


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
