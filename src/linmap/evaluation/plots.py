"""Scores as pictures (PNG); what cannot be written is an `EvaluationError`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from linmap.errors import EvaluationError
from linmap.evaluation.drawing import new_figure, save_figure

if TYPE_CHECKING:
    from linmap.evaluation.classification import ClassificationScores
    from linmap.evaluation.probing import ProbeScores, ShotScores
    from linmap.evaluation.retrieval import RetrievalScores
    from linmap.evaluation.shift import ShiftRow

__all__ = ["plot_confusion", "plot_recall", "plot_shift", "plot_shots", "plot_sweep"]

DRAWN_CLASSES = 200
"""Up to so many classes a confusion is drawn; of more, a cell would be smaller than what an eye or a printer tells."""

NAMED_CLASSES = 40
"""More classes than this have no names along the axes of a confusion plot."""

COUNTED_CLASSES = 15
"""Up to so many classes a confusion plot has numbers in its cells."""


def plot_recall(scores: RetrievalScores, path: str | Path) -> None:
    """Bars of recall both ways, with chance as a line on each.

    Args:
        scores: Of `retrieval_recall` or `fivefold_recall`.
        path: Where the PNG goes; replaced in one move.
    """
    figure = new_figure(6, 4)
    axes = figure.subplots()
    ways = (
        ("text to image", scores.text_to_image, scores.chance_text_to_image),
        ("image to text", scores.image_to_text, scores.chance_image_to_text),
    )
    places = np.arange(len(scores.text_to_image))
    for shift, (label, recalls, chance) in zip((-0.2, 0.2), ways, strict=True):
        bars = axes.bar(places + shift, list(recalls.values()), width=0.38, label=label)
        axes.bar_label(bars, fmt="%.1f", fontsize=8)
        heights = list(chance.values())
        line = "chance" if shift > 0 else "_"  # no second entry of the legend
        axes.hlines(heights, places + shift - 0.19, places + shift + 0.19, colors="black", linewidth=1.2, label=line)
    axes.set_xticks(places, list(scores.text_to_image))
    parts = f"; mean over {scores.folds} parts" if scores.folds > 1 else ""
    axes.set(ylabel="recall (%)", ylim=(0, 105), title=f"{scores.images} photos, {scores.texts} captions{parts}")
    axes.legend()
    save_figure(figure, path)


def plot_confusion(scores: ClassificationScores, path: str | Path) -> None:
    """Which class (row) was taken for which (column), in percent of the photos of the row.

    Args:
        scores: Of `classification_scores`.
        path: Where the PNG goes; replaced in one move.

    Raises:
        EvaluationError: More than 200 classes.
    """
    classes = len(scores.per_class)
    if classes > DRAWN_CLASSES:
        raise EvaluationError(
            f"The confusion of {classes} classes cannot be drawn, at most {DRAWN_CLASSES}; print per_class_table."
        )
    shares = scores.confusion.double() / scores.confusion.sum(dim=1, keepdim=True) * 100
    side = min(14.0, 4 + 0.3 * classes)
    figure = new_figure(side + 1, side)
    axes = figure.subplots()
    image = axes.imshow(shares.numpy(), vmin=0, vmax=100, cmap="Blues")
    figure.colorbar(image, ax=axes, label="photos of the class (%)", shrink=0.8)
    if classes <= NAMED_CLASSES:
        names = [one.name.replace("$", r"\$") for one in scores.per_class]  # no mathematics
        axes.set_xticks(range(classes), names, rotation=90)
        axes.set_yticks(range(classes), names)
    if classes <= COUNTED_CLASSES:
        for row, column in np.ndindex(classes, classes):
            share = float(shares[row, column])
            colour = "white" if share > 60 else "black"
            axes.text(column, row, f"{share:.0f}", ha="center", va="center", color=colour, fontsize=8)
    found = f"accuracy {scores.accuracy:.1f} %, chance {scores.chance:.1f} %, majority {scores.majority:.1f} %"
    axes.set(xlabel="taken for", ylabel="is", title=found)
    save_figure(figure, path)


def plot_shift(rows: Sequence[ShiftRow], path: str | Path) -> None:
    """Bars of accuracy, one a test set, with the drop against the first written on them and chance as a line.

    Args:
        rows: Of `distribution_shift`.
        path: Where the PNG goes; replaced in one move.
    """
    figure = new_figure(max(4.0, 1.4 * len(rows)), 4)
    axes = figure.subplots()
    bars = axes.bar(range(len(rows)), [row.scores.accuracy for row in rows])
    texts = [
        f"{row.scores.accuracy:.1f}" + (f"\n({round(-row.drop, 1) + 0.0:+.1f})" if number else "")
        for number, row in enumerate(rows)
    ]
    axes.bar_label(bars, texts, fontsize=8)
    axes.axhline(rows[0].scores.chance, color="black", linewidth=1, label="chance")
    axes.set_xticks(range(len(rows)), [row.name.replace("$", r"\$") for row in rows])
    axes.set(ylabel="accuracy (%)", ylim=(0, 110))
    axes.legend()
    save_figure(figure, path)


def plot_sweep(scores: ProbeScores, path: str | Path) -> None:
    """Validation accuracy over the strength of the regularisation, the chosen one marked.

    Args:
        scores: Of `linear_probe`.
        path: Where the PNG goes; replaced in one move.
    """
    figure = new_figure(6, 4)
    axes = figure.subplots()
    axes.semilogx(*zip(*scores.sweep, strict=True), "o-", markersize=3, linewidth=1, label="validation")
    axes.axvline(scores.strength, color="black", linewidth=1, label=f"chosen: {scores.strength:.3g}")
    axes.axhline(scores.test.accuracy, color="tab:green", linewidth=1, label=f"test: {scores.test.accuracy:.1f} %")
    axes.axhline(scores.test.chance, color="grey", linewidth=1, linestyle=":", label="chance")
    axes.set(xlabel="strength (L2)", ylabel="accuracy (%)")
    axes.grid(alpha=0.3)
    axes.legend()
    save_figure(figure, path)


def plot_shots(rows: Sequence[ShotScores], path: str | Path, least_squares: Sequence[ShotScores] | None = None) -> None:
    """Accuracy over the photos a class, with the spread over the draws.

    Args:
        rows: Of `n_shot`.
        path: Where the PNG goes; replaced in one move.
        least_squares: Of `least_squares_shots`, as a second curve.
    """
    figure = new_figure(6, 4)
    axes = figure.subplots()
    shots = [row.shots for row in rows]
    for found, label in ((rows, "logistic regression"), (least_squares or (), "least squares")):
        if found:
            means, spreads = [row.mean for row in found], [row.spread for row in found]
            axes.errorbar([row.shots for row in found], means, spreads, fmt="o-", capsize=3, markersize=3, label=label)
    if least_squares:
        axes.legend()
    axes.set_xscale("log", base=2)
    axes.set_xticks(shots, list(map(str, shots)))
    axes.minorticks_off()
    axes.set(xlabel="photos a class", ylabel="accuracy (%)")
    axes.grid(alpha=0.3)
    save_figure(figure, path)
