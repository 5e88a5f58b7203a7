"""Drawn text counted in rows, and two sentences in one picture, as they are read for GLUE (arXiv 2212.08045).

The paper's code for GLUE was never released; the layout here is linmap's own: the second sentence stands below the
first, one empty row between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linmap.errors import RenderingError
from linmap.rendering.text import render_text

__all__ = ["DrawnPairs", "draw_in_rows", "draw_pairs", "rows_of"]

FONT_SIZE = 16
BACKGROUND = 127  # render_text's own defaults, where a configuration leaves them out
EMPTY_ROWS = 1
"""Between two sentences: the end of a full first row could not be told from the start of a second sentence."""


class DrawnPairs(NamedTuple):
    """Pairs of sentences as pictures.

    Args:
        images: (pairs, image_size, image_size) uint8.
        cut: (pairs,) bool: something of one of the two is not in the picture.
    """

    images: NDArray[np.uint8]
    cut: NDArray[np.bool_]


class DrawnRows(NamedTuple):
    """Texts as pictures, counted in rows.

    Args:
        images: (texts, image_size, image_size) uint8.
        rows: (texts,) int64: rows that hold ink, counted from the top, the last one perhaps in part.
        cut: (texts,) bool: something of a text is not in its picture.
    """

    images: NDArray[np.uint8]
    rows: NDArray[np.int64]
    cut: NDArray[np.bool_]


def draw_in_rows(texts: Sequence[str], image_size: int, text_renderer: Mapping[str, Any]) -> DrawnRows:
    """Draws texts and counts the rows that each takes.

    Args:
        texts: Any texts; an empty one takes no row.
        image_size: Side of a picture, in pixels.
        text_renderer: Keyword arguments of `render_text`.

    Example:
        >>> draw_in_rows(["a dog", "", "two dogs in the snow"], 64, {}).rows.tolist()
        [1, 0, 3]
    """
    images, overflow = render_text(list(texts), image_size, **text_renderer, return_overflow=True)
    return DrawnRows(images, rows_of(images, text_renderer), (overflow.cut + overflow.hidden) > 0)


def rows_of(images: NDArray[np.uint8], text_renderer: Mapping[str, Any]) -> NDArray[np.int64]:
    """How many rows of drawn texts hold ink, from the top: (images,) int64.

    Args:
        images: (images, height, width) uint8, from `render_text`.
        text_renderer: The keyword arguments they were drawn with.
    """
    font_size = text_renderer.get("font_size", FONT_SIZE)
    inked = (images != text_renderer.get("background_brightness", BACKGROUND)).any(axis=2)
    height = inked.shape[1]
    last = np.where(inked.any(axis=1), height - inked[:, ::-1].argmax(axis=1), 0)
    return -(-last // font_size)


def draw_pairs(
    first: Sequence[str], second: Sequence[str], image_size: int, text_renderer: Mapping[str, Any]
) -> DrawnPairs:
    """Draws two sentences in one picture, the second below the first, one empty row between them.

    Where the rows do not suffice, the sentence with more of them loses its last ones, row by row, as the longest is cut
    first where pairs are tokenised.

    Args:
        first: One sentence a pair.
        second: As many.
        image_size: Side of a picture, in pixels; it must hold three rows.
        text_renderer: Keyword arguments of `render_text`.

    Raises:
        RenderingError: The numbers differ, or a picture holds fewer than three rows.

    Example:
        >>> drawn = draw_pairs(["a dog runs"], ["a dog sleeps"], 96, {})
        >>> drawn.images.shape, drawn.cut.tolist()
        ((1, 96, 96), [False])
    """
    if len(first) != len(second):
        raise RenderingError(f"{len(first)} first sentences and {len(second)} second ones; give as many of each.")
    size = text_renderer.get("font_size", FONT_SIZE)
    room = image_size // size - EMPTY_ROWS
    if room < 2:
        raise RenderingError(
            f"Two sentences and an empty row between them need three rows of {size} pixels; the image has "
            f"{image_size}. Take a larger image_size or a smaller font_size."
        )
    above, below = (draw_in_rows(texts, image_size, text_renderer) for texts in (first, second))
    images = np.full_like(above.images, text_renderer.get("background_brightness", BACKGROUND))
    cut = above.cut | below.cut
    for place, (upper, lower) in enumerate(zip(above.rows, below.rows, strict=True)):
        kept_upper, kept_lower = _shared(int(upper), int(lower), room)
        cut[place] |= kept_upper + kept_lower < upper + lower
        images[place, : kept_upper * size] = above.images[place, : kept_upper * size]
        start = (kept_upper + EMPTY_ROWS) * size
        images[place, start : start + kept_lower * size] = below.images[place, : kept_lower * size]
    return DrawnPairs(images, cut)


def _shared(upper: int, lower: int, room: int) -> tuple[int, int]:
    """Rows that the two keep of `room`: the longer one gives way first, down to the length of the other."""
    if upper + lower <= room:
        return upper, lower
    fair = room // 2
    if lower <= fair:
        return room - lower, lower
    if upper <= room - fair:
        return upper, room - upper
    return room - fair, fair
