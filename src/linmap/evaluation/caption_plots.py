"""Captions as pictures (PNG): photos above what was said of them; scores side by side, and against a size."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from linmap.evaluation.drawing import new_figure, save_figure
from linmap.evaluation.sizes import SizeScores

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["plot_caption_scores", "plot_captions", "plot_sizes"]


def plot_captions(photos: Sequence[Image], captions: Sequence[str], path: str | Path) -> None:
    """Photos in a row, each above its caption.

    Args:
        photos: A few pictures.
        captions: One for each.
        path: Where the PNG goes; replaced in one move.

    Raises:
        EvaluationError: The file cannot be written.
    """
    figure = new_figure(2.13 * len(photos), 2.27)
    for axes, photo, caption in zip(figure.subplots(1, len(photos), squeeze=False)[0], photos, captions, strict=True):
        axes.imshow(photo)
        axes.set_axis_off()
        axes.set_anchor("N")
        words = textwrap.fill(caption.replace("$", r"\$"), width=32)
        axes.set_title(words, y=-0.05, va="top", fontsize=8)
    save_figure(figure, path)


def plot_caption_scores(
    rows: Mapping[str, Mapping[str, float]], path: str | Path, *, ylabel: str = "score (x 100)"
) -> None:
    """Groups of bars, one group a column of the table, one bar a row.

    Args:
        rows: For each row its scores by column, such as `ComparedStrategies.rows`; a score may be missing.
        path: Where the PNG goes; replaced in one move.
        ylabel: What is measured.

    Raises:
        EvaluationError: The file cannot be written.
    """
    columns = list(dict.fromkeys(column for scores in rows.values() for column in scores))
    figure = new_figure(max(6.0, 0.28 * len(rows) * len(columns) + 1.5), 4)
    axes = figure.subplots()
    width = 0.8 / len(rows)
    for number, (name, scores) in enumerate(rows.items()):
        there = [place for place, column in enumerate(columns) if column in scores]
        places = np.array(there) + (number - (len(rows) - 1) / 2) * width
        colour = "lightgrey" if name in ("blind", "chance") else None
        heights = [scores[columns[place]] for place in there]
        bars = axes.bar(places, heights, width=0.92 * width, label=name.replace("$", r"\$"), color=colour)
        axes.bar_label(bars, fmt="%.1f", fontsize=6)
    axes.set_xticks(range(len(columns)), [column.replace("$", r"\$") for column in columns])
    axes.set(ylabel=ylabel)
    axes.margins(y=0.1)
    axes.legend(fontsize=8)
    save_figure(figure, path)


def plot_sizes(rows: Sequence[SizeScores], path: str | Path, *, xlabel: str, ylabel: str = "CIDEr-D") -> None:
    """A curve for each thing measured, the mean over the draws with their range, over a logarithmic size.

    Args:
        rows: Of `scores_by_size`.
        path: Where the PNG goes; replaced in one move.
        xlabel: What the sizes are of.
        ylabel: What is measured.

    Raises:
        EvaluationError: The file cannot be written.
    """
    figure = new_figure(6, 4)
    axes = figure.subplots()
    sizes = [row.size for row in rows]
    for name in rows[0].scores:
        means = [row.mean(name) for row in rows]
        ranges = np.array([row.range(name) for row in rows])
        (line,) = axes.plot(sizes, means, "o-", markersize=3, linewidth=1, label=name)
        if name == "blind":
            line.set(color="grey", linestyle=":")
        axes.fill_between(sizes, ranges[:, 0], ranges[:, 1], alpha=0.15, color=line.get_color(), linewidth=0)
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes], fontsize=8)
    axes.minorticks_off()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    save_figure(figure, path)
