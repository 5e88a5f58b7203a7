"""The words of a prefix as a PNG: over the cells of the photo they come from, or in a list beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from linmap.cli.inspect.spelling import shown
from linmap.evaluation.drawing import new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from linmap.prefix.inspection import InspectedPrefix, NearWord

__all__ = ["write_picture"]

CELL = 0.95
"""Least side of a cell, in inches: six lines of 7 points and eleven letters fit into it."""

LEAST = 7.0
"""Least side of the picture, in inches."""


def write_picture(found: InspectedPrefix, name: str, path: Path) -> None:
    """Draws `found` to `path`.

    Args:
        found: What `inspect_photo` gave.
        name: Of the photo, for the title.
        path: Where the PNG goes; replaced in one move.

    Raises:
        EvaluationError: The file cannot be written.
    """
    caption = f"{shown(name, 60)}: nearest words by cosine{', centred' if found.centred else ''}".replace("$", r"\$")
    chance = f"grey: no nearer than the nearest word of a random direction ({found.chance:.2f})"
    if found.grid is None:
        _listed(found, f"{caption}\n{chance}", path)
    else:
        _over_cells(found, found.grid, f"{caption}\n{chance}", path)


def _over_cells(found: InspectedPrefix, grid: tuple[int, int], title: str, path: Path) -> None:
    rows, columns = grid
    side = max(CELL * max(grid), LEAST)
    figure = new_figure(side, side + 0.5)
    axes = figure.subplots()
    _show(axes, found, extent=(0, columns, rows, 0))
    axes.set_aspect(rows / columns * found.view.height / found.view.width)
    for row in range(1, rows):
        axes.axhline(row, color="white", linewidth=0.8)
    for column in range(1, columns):
        axes.axvline(column, color="white", linewidth=0.8)
    inches = side / max(grid)
    size = min(11.0, 7.0 * inches / CELL)
    room = int(72 * inches / size * 10 / 13)  # lines; a line takes 1.3 times its letters' height
    for number, words in enumerate(found.words):
        row, column = divmod(number, columns)
        _stack(axes, words[:room], (column + 0.5, row + 0.5), size, found.chance, step=1.3 * size / 72 / inches)
    axes.set_title(title, fontsize=9)
    save_figure(figure, path)


def _stack(
    axes: Axes, words: Sequence[NearWord], middle: tuple[float, float], size: float, chance: float, step: float
) -> None:
    """Writes `words` under one another about `middle`, in the units of the cells."""
    for line, word in enumerate(words):
        height = middle[1] + (line - (len(words) - 1) / 2) * step
        _word(axes, word, (middle[0], height), size, chance, align="center")


def _word(axes: Axes, word: NearWord, place: tuple[float, float], size: float, chance: float, align: str) -> None:
    axes.text(
        *place,
        shown(word.text, 13).replace("$", r"\$"),
        ha=align,
        va="center",
        fontsize=size,
        color="white" if word.cosine > chance else "#b0b0b0",
        bbox={"facecolor": "black", "alpha": 0.6, "pad": 0.8, "linewidth": 0},
        clip_on=True,
    )


def _listed(found: InspectedPrefix, title: str, path: Path) -> None:
    lines = len(found.words)
    figure = new_figure(11, max(5.0, 0.24 * lines + 1))
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    _show(left, found, extent=None)
    right.set_xlim(0, 1)
    right.set_ylim(lines, 0)
    right.axis("off")
    most = max(len(words) for words in found.words)
    for number, words in enumerate(found.words):
        right.text(0, number + 0.5, str(number + 1), va="center", fontsize=8)
        for place, word in enumerate(words[:8]):
            _word(right, word, (0.06 + 0.94 * place / min(most, 8), number + 0.5), 8, found.chance, align="left")
    figure.suptitle(title, fontsize=9)
    save_figure(figure, path)


def _show(axes: Axes, found: InspectedPrefix, extent: tuple[float, float, float, float] | None) -> None:
    axes.imshow(found.view, extent=extent, interpolation="bicubic")
    axes.set_xticks([])
    axes.set_yticks([])
