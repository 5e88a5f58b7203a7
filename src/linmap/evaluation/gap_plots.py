"""The modality gap as a picture (PNG): photos and texts of one model, or of several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from torch import Tensor

from linmap.errors import EvaluationError
from linmap.evaluation.drawing import new_figure, save_figure
from linmap.evaluation.modality_gap import modality_gap, paired, project

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["GapPairs", "plot_gap", "plot_gaps"]

DRAWN_PAIRS = 300
"""Pairs drawn in a picture of the gap; of more, evenly spaced ones."""

IN_A_ROW = 4
"""Models side by side in a picture of several."""


class GapPairs(NamedTuple):
    """The embeddings of one model.

    Args:
        images: `(images, dim)`.
        texts: `(texts, dim)`.
        image_of_text: As for `modality_gap`.
    """

    images: Tensor
    texts: Tensor
    image_of_text: Sequence[int] | Tensor | None = None


def plot_gap(
    image_embeddings: Tensor,
    text_embeddings: Tensor,
    path: str | Path,
    image_of_text: Sequence[int] | Tensor | None = None,
) -> None:
    """Photos and texts in the plane in which they vary most (SVD), pairs linked; of many pairs some.

    Args:
        image_embeddings: `(images, dim)`.
        text_embeddings: `(texts, dim)`.
        path: Where the PNG goes; replaced in one move.
        image_of_text: As for `modality_gap`.

    Raises:
        EvaluationError: As `modality_gap` does, or embeddings of one dimension.
    """
    figure = new_figure(6, 5)
    axes = figure.subplots()
    title = _draw(axes, GapPairs(image_embeddings, text_embeddings, image_of_text))
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(xlabel="first singular vector", ylabel="second singular vector", title=title)
    axes.legend()
    save_figure(figure, path)


def plot_gaps(models: Mapping[str, GapPairs], path: str | Path) -> None:
    """Several models side by side, each in the plane in which its own embeddings vary most, all to one scale.

    Args:
        models: By name, in the order in which they are drawn.
        path: Where the PNG goes; replaced in one move.

    Raises:
        EvaluationError: No model; and see `plot_gap`.

    Example:
        >>> plot_gaps({"near": GapPairs(photos, texts), "far": GapPairs(photos, others)}, "gaps.png")  # doctest: +SKIP
    """
    if not models:
        raise EvaluationError("There is no model to draw; give at least one.")
    columns = min(IN_A_ROW, len(models))
    rows = -(-len(models) // columns)
    figure = new_figure(3.2 * columns + 0.6, 3.6 * rows + 0.5)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (name, pairs) in zip(panels, models.items(), strict=False):
        said = _draw(axes, pairs)
        axes.set_title(f"{name}\n{said}".replace("$", r"\$"), fontsize=9)
        axes.set_box_aspect(1)
    drawn = panels[: len(models)]
    reach = 1.05 * max(abs(end) for axes in drawn for end in (*axes.dataLim.intervalx, *axes.dataLim.intervaly))
    for axes in drawn:
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
    for axes in panels[len(models) :]:
        axes.set_visible(False)
    panels[0].legend(fontsize=8)
    figure.supxlabel("first singular vector", fontsize=9)
    figure.supylabel("second singular vector", fontsize=9)
    save_figure(figure, path)


def _draw(axes: Axes, pairs: GapPairs) -> str:
    """Draws one model, and returns what its title says."""
    gap = modality_gap(*pairs)
    images, texts, owners = paired(*pairs)
    photos, words = (flat.numpy() for flat in project(images, texts))
    shown = np.unique(np.linspace(0, len(words) - 1, min(DRAWN_PAIRS, len(words))).astype(int))
    linked = photos[owners.cpu().numpy()[shown]], words[shown]
    axes.plot(*np.stack(linked).transpose(2, 0, 1), color="grey", linewidth=0.3, alpha=0.5, zorder=1)
    for points, label in zip(linked, ("photos", "texts"), strict=True):
        axes.scatter(points[:, 0], points[:, 1], s=6, label=label, zorder=2)
    return f"gap {gap.distance:.2f}, {len(shown)} of {len(words)} pairs"
