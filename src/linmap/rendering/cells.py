"""Characters' cells at the size and width in which they are drawn: scaled by area, trimmed to their ink."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from linmap.rendering.glyphs import CELL

__all__ = ["Trimmed", "area_resized", "trimmed"]


class Trimmed(NamedTuple):
    """The columns of every cell that are drawn, (cells,) int64 each: `width` of them, from column `first` on."""

    first: NDArray[np.int64]
    width: NDArray[np.int64]


def trimmed(ink: NDArray[np.bool_], *, monospace: bool, spacing: int, min_width: int) -> Trimmed:
    """Which columns of the cells are drawn.

    Args:
        ink: (cells, columns); whether there is ink in a column.
        monospace: All columns, of every cell.
        spacing: Columns that stay in front of the first with ink, and that the last with ink is moved back by; of those
            behind the last, one less stays.
        min_width: The least columns that are drawn, where a cell has them.
    """
    cells, size = ink.shape
    if monospace:
        return Trimmed(np.zeros(cells, np.int64), np.full(cells, size))
    # A cell without ink counts as if its first column had some.
    some = ink.any(axis=1)
    first = np.where(some, ink.argmax(axis=1), 0)
    last = np.where(some, size - 1 - ink[:, ::-1].argmax(axis=1), 0)
    first = np.maximum(first - min(spacing, size), 0)
    end = np.maximum(last + min(spacing, size), first + min(min_width, size))
    return Trimmed(first, np.maximum(np.minimum(end, size) - first, 0))


def area_resized(cells: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """Cells of another size, each pixel the mean over the area it covers: (cells, 16, 16) -> (cells, size, size).

    In single precision and in the order of TensorFlow's `ResizeArea`, for its every bit: columns first, from the left,
    then rows from the top, then the division by the area.
    """
    source, weight = _areas(size)
    scale = np.float32(CELL) / np.float32(size)
    rows = cells.astype(np.float32)
    wide = np.zeros((len(cells), CELL, size), np.float32)
    for column, of in zip(source, weight, strict=True):
        wide += rows[:, :, column] * of
    whole = np.zeros((len(cells), size, size), np.float32)
    for row, of in zip(source, weight, strict=True):
        whole += wide[:, row] * of[:, None]
    return whole * np.float32(1.0 / float(scale * scale))


def _areas(size: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For every pixel, which pixels of a cell it covers and how much of each: (most that one covers, size) each."""
    scale = np.float32(CELL) / np.float32(size)
    start = np.arange(size).astype(np.float32) * scale
    end = np.arange(1, size + 1).astype(np.float32) * scale
    first = np.floor(start).astype(np.int64)
    count = np.ceil(end).astype(np.int64) - first
    source = first + np.arange(count.max())[:, None]
    left, right = source.astype(np.float32), (source + 1).astype(np.float32)
    one = np.float32(1)
    inside = np.where(right > end, end - left, one)
    across = np.where(right > end, scale, right - start)  # the pixel begins within this one
    weight = np.where(left < start, across, inside)
    weight[source >= first + count] = 0
    return np.minimum(source, CELL - 1), weight.astype(np.float32)
