"""Texts as pictures, as CLIPPO's tower reads them (arXiv 2212.08045, section 3.1), many at once, in NumPy.

Every character is a cell of Unifont's, trimmed to its ink and the spacing around it. The cells of a text stand in lines
from the upper left corner; a line ends where the next cell would pass the right edge, whatever word is cut by that. With
w the widths of a text's cells and W the image's, the line of cell i is the integer part of (w_0 + … + w_i) / (W - max w),
in single precision: as the models were trained, each line ends somewhere in the last max w columns.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from linmap.clippo.glyphs import CELL, Glyphs, unifont
from linmap.errors import RenderingError

__all__ = ["Overflow", "render_text"]

logger = logging.getLogger(__name__)


class Overflow(NamedTuple):
    """What of each text is not in its image, (texts,) int64 each.

    Arguments:
        cut: Characters behind the first `max_chars`, which are not drawn.
        hidden: Characters among the first `max_chars` that lie below the image's lower edge, in full or in part.
    """

    cut: NDArray[np.int64]
    hidden: NDArray[np.int64]


@overload
def render_text(
    texts: str | bytes | Sequence[str | bytes],
    image_size: int = ...,
    *,
    font_size: int = ...,
    max_chars: int = ...,
    lowercase: bool = ...,
    monospace: bool = ...,
    spacing: int = ...,
    min_width: int = ...,
    text_brightness: int = ...,
    background_brightness: int = ...,
    glyphs: Glyphs | None = ...,
    return_overflow: Literal[False] = ...,
) -> NDArray[np.uint8]: ...
@overload
def render_text(
    texts: str | bytes | Sequence[str | bytes],
    image_size: int = ...,
    *,
    font_size: int = ...,
    max_chars: int = ...,
    lowercase: bool = ...,
    monospace: bool = ...,
    spacing: int = ...,
    min_width: int = ...,
    text_brightness: int = ...,
    background_brightness: int = ...,
    glyphs: Glyphs | None = ...,
    return_overflow: Literal[True],
) -> tuple[NDArray[np.uint8], Overflow]: ...
def render_text(
    texts: str | bytes | Sequence[str | bytes],
    image_size: int = 224,
    *,
    font_size: int = CELL,
    max_chars: int = 768,
    lowercase: bool = True,
    monospace: bool = False,
    spacing: int = 1,
    min_width: int = 4,
    text_brightness: int = 0,
    background_brightness: int = 127,
    glyphs: Glyphs | None = None,
    return_overflow: bool = False,
) -> NDArray[np.uint8] | tuple[NDArray[np.uint8], Overflow]:
    """Draws texts, each in an image of its own: (texts, image_size, image_size) uint8.

    Arguments:
        texts: Texts, or one of them; bytes are read as UTF-8.
    """
    font = unifont() if glyphs is None else glyphs
    listed = [texts] if isinstance(texts, str | bytes) else list(texts)
    codes, lengths, cut = _code_points(listed, max_chars, lowercase)
    cells, first, widths = _cells(font, codes, font_size, monospace, spacing, min_width)

    lines, x, line_of_text = _layout(widths, lengths, image_size)
    per_image = -(-image_size // font_size)  # lines that begin in an image
    seen = lines < per_image

    text = np.repeat(np.arange(len(listed)), lengths)
    images = np.full((len(listed), image_size, image_size), background_brightness, np.uint8)
    used = np.minimum(line_of_text, per_image)
    start = np.cumsum(used) - used
    canvas = np.zeros((int(used.sum()), image_size + 2 * font_size), np.uint16)
    _place(
        canvas.reshape(-1),
        (start[text] + lines)[seen] * canvas.shape[1] + x[seen],
        cells[seen],
        first[seen],
        widths[seen],
    )
    drawn = np.empty((len(canvas), font_size, image_size), np.uint8)
    for row in range(font_size):
        ink = (canvas[:, :image_size] >> (CELL - 1 - row)) & 1
        drawn[:, row] = np.where(ink, np.uint8(text_brightness), np.uint8(background_brightness))
    for i in range(len(listed)):
        strip = drawn[start[i] : start[i] + used[i]].reshape(-1, image_size)[:image_size]
        images[i, : len(strip)] = strip
    hidden = np.bincount(text, weights=(lines + 1) * font_size > image_size, minlength=len(listed)).astype(np.int64)
    return (images, Overflow(cut, hidden)) if return_overflow else images


def _code_points(texts, max_chars, lowercase):
    drawn, lengths, cut = [], [], []
    for text in texts:
        t = text if isinstance(text, str) else text.decode("utf-8", "replace")
        kept = t[:max_chars] if max_chars else t
        drawn.append(kept)
        lengths.append(len(kept))
        cut.append(len(t) - len(kept))
    codes = np.frombuffer("".join(drawn).encode("utf-32-le", "surrogatepass"), "<u4")
    if lowercase:
        codes = codes + 32 * ((codes >= ord("A")) & (codes <= ord("Z"))).astype(np.uint32)
    return (
        np.where((codes >= 0xD800) & (codes < 0xE000), np.uint32(0xFFFD), codes),
        np.array(lengths, dtype=np.int64),
        np.array(cut, dtype=np.int64),
    )


def _cells(font, codes, font_size, monospace, spacing, min_width):
    cells = font.columns(codes)
    if monospace:
        return cells, np.zeros(len(cells), np.int64), np.full(len(cells), CELL)
    inked = cells != 0
    has = inked.any(axis=1)
    first = np.where(has, inked.argmax(axis=1), 0)
    last = np.where(has, CELL - 1 - inked[:, ::-1].argmax(axis=1), 0)
    first = np.maximum(first - spacing, 0)
    last = np.minimum(np.maximum(last + spacing, first + min_width), CELL)
    return cells, first, np.maximum(last - first, 0)


def _layout(widths, lengths, image_size):
    ends = np.cumsum(widths)
    text_end = np.cumsum(lengths)
    filled = lengths > 0
    offsets = np.zeros(len(lengths), np.int64)
    widest = np.zeros(len(lengths), np.int64)
    begin = (text_end - lengths)[filled]
    if len(begin):
        offsets[filled] = ends[begin] - widths[begin]
        widest[filled] = np.maximum.reduceat(widths, begin)
    within = ends - np.repeat(offsets, lengths)
    room = np.repeat(image_size - widest, lengths)
    line = np.floor(within.astype(np.float32) / room.astype(np.float32)).astype(np.int64)
    # Column of a cell: where it begins, less where the first cell of its line does.
    starts = within - widths
    text = np.repeat(np.arange(len(lengths)), lengths)
    new = np.ones(len(line), bool)
    new[1:] = (line[1:] != line[:-1]) | (text[1:] != text[:-1])
    x = starts - starts[new][np.cumsum(new) - 1]
    count = np.zeros(len(lengths), np.int64)
    count[filled] = line[text_end[filled] - 1] + 1
    return line, x, count


def _place(canvas, position, cells, first, widths):
    total = np.cumsum(widths)
    n = int(total[-1]) if len(total) else 0
    within = np.arange(n) - np.repeat(total - widths, widths)
    canvas[np.repeat(position, widths) + within] = cells[
        np.repeat(np.arange(len(cells)), widths), np.repeat(first, widths) + within
    ]
