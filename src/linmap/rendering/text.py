"""Texts as pictures, as CLIPPO's tower reads them (arXiv 2212.08045): many at once, in NumPy alone.

Every character is a cell of Unifont's, trimmed to its ink and some columns around it. The cells of a text stand in
lines, from the upper left corner on; a line ends where the next cell could pass the right edge, also within a word, and
what is below the lower edge is not seen. With w the widths of a text's cells and W the image's, the line of cell i is
the integer part of (w_0 + … + w_i) / (W - max w), in single precision: as the published models have seen it.
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Iterable
from typing import Literal, NamedTuple, TypedDict, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from linmap.errors import RenderingError
from linmap.rendering.cells import Trimmed, area_resized, trimmed
from linmap.rendering.glyphs import CELL, Glyphs, unifont

__all__ = ["Overflow", "TextSettings", "render_text"]

logger = logging.getLogger(__name__)

_REPLACEMENT = 0xFFFD  # what is drawn for bytes that are no UTF-8, and for halves of surrogate pairs


class Overflow(NamedTuple):
    """Characters of each text that are not in its image, (texts,) int64 each.

    Args:
        cut: Those behind the first `max_chars`, which are not drawn.
        hidden: Those of the first `max_chars` that lie beyond the image's edges, in full or in part.
    """

    cut: NDArray[np.int64]
    hidden: NDArray[np.int64]


class TextSettings(TypedDict, total=False):
    """How texts are drawn: the keyword arguments of `render_text`, which says what they mean."""

    font_size: int
    max_chars: int
    lowercase: bool
    monospace: bool
    spacing: int
    min_width: int
    text_brightness: int
    background_brightness: int


Texts = str | bytes | Iterable[str | bytes]


@overload
def render_text(
    texts: Texts,
    image_size: int = ...,
    *,
    glyphs: Glyphs | None = ...,
    return_overflow: Literal[False] = ...,
    **settings: Unpack[TextSettings],
) -> NDArray[np.uint8]: ...


@overload
def render_text(
    texts: Texts,
    image_size: int = ...,
    *,
    glyphs: Glyphs | None = ...,
    return_overflow: Literal[True],
    **settings: Unpack[TextSettings],
) -> tuple[NDArray[np.uint8], Overflow]: ...


def render_text(
    texts: Texts,
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
    """Draws texts, each in a grey image of its own: (texts, image_size, image_size) uint8.

    With the settings as they are, every pixel is what the original's TensorFlow op draws with the same font; so it is
    with any others. Where that raises, on a cell as wide as the image, every cell has a line of its own here, and what
    is wider than the image ends at its edge.

    Args:
        texts: Texts; one of them gives one image. Bytes are read as UTF-8. What is none, and halves of surrogate pairs,
            is drawn as U+FFFD; a character that the font lacks is an empty cell, `min_width` wide.
        image_size: Height and width of the images, in pixels.
        font_size: Height of a line, in pixels. Unifont's own is 16; for others its bitmaps are scaled by area, and
            their pixels lie between `text_brightness` and `background_brightness`.
        max_chars: Characters of a text that are drawn; 0 draws all.
        lowercase: Draws A-Z as a-z; letters of other alphabets stay, as they do in the original.
        monospace: Cells keep all their columns: `spacing` and `min_width` then have no say.
        spacing: Columns in front of a character's first with ink, and the distance of the cell's end from its last.
        min_width: The least columns of a cell. Spaces have no ink, and are this wide.
        text_brightness: Of ink, 0 to 255.
        background_brightness: Of the rest.
        glyphs: The font; None is the Unifont that linmap carries, which has no characters above the basic plane.
        return_overflow: Whether to return (images, overflow) instead of images: for every text, how many of its
            characters are not in its image. Without it, the first text of a process that does not fit is warned of.

    Raises:
        RenderingError: A text is neither str nor bytes, or a setting is out of its range.

    Example:
        >>> from linmap import render_text
        >>> images = render_text(["a dog on a beach", "ein Hund am Strand", "海滩上的狗"])
        >>> images.shape, str(images.dtype), int(images.min()), int(images.max())
        ((3, 224, 224), 'uint8', 0, 127)
        >>> _, overflow = render_text(["to be or not to be " * 50], return_overflow=True)
        >>> overflow
        Overflow(cut=array([182]), hidden=array([253]))
    """
    size, font_size = _at_least(1, image_size=image_size), _at_least(1, font_size=font_size)
    max_chars, spacing = _at_least(0, max_chars=max_chars), _at_least(0, spacing=spacing)
    min_width = _at_least(0, min_width=min_width)
    for name, given in {"lowercase": lowercase, "monospace": monospace}.items():
        if not isinstance(given, bool):
            raise RenderingError(f"{name}={given!r}: give True or False.")
    brightness = _brightness(text_brightness=text_brightness), _brightness(background_brightness=background_brightness)
    codes, lengths, cut = _code_points(texts, max_chars, lowercase)

    characters, cell = np.unique(codes, return_inverse=True)
    bitmaps = (unifont() if glyphs is None else glyphs).columns(characters)
    cells: NDArray[np.uint8] | NDArray[np.uint16] = bitmaps
    if font_size == CELL:
        ink = bitmaps != 0
    else:
        scaled = _scaled(bitmaps, font_size)
        ink = (scaled != 0).any(axis=2)
        cells = _mixed(scaled, *brightness)
    trim = trimmed(ink, monospace=monospace, spacing=spacing, min_width=min_width)
    layout = _laid_out(trim.width[cell], lengths, size)
    images = _drawn(layout, lengths, cells, cell, trim, size, font_size, brightness)

    beyond = ((layout.line + 1) * font_size > size) | (layout.column + trim.width[cell] > size)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    overflow = Overflow(cut, np.bincount(owner[beyond], minlength=len(lengths)).astype(np.int64))
    if return_overflow:
        return images, overflow
    if (lost := (overflow.cut + overflow.hidden) > 0).any():
        _warn_of_overflow(int(lost.sum()), len(lost), size)
    return images


def _at_least(least: int, **setting: int) -> int:
    ((name, value),) = setting.items()
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise RenderingError(f"{name}={value!r}: give a whole number, {least} or more.")
    return number


def _brightness(**setting: int) -> int:
    if (value := _at_least(0, **setting)) > 255:
        raise RenderingError(f"{next(iter(setting))}={value}: give a whole number from 0, black, to 255, white.")
    return value


def _code_points(
    texts: Texts, max_chars: int, lowercase: bool
) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]:
    """The characters that are drawn, one text after the other; how many each text has, and how many it loses."""
    try:
        listed = [texts] if isinstance(texts, str | bytes) else list(texts)
    except TypeError:
        raise RenderingError(f"{type(texts).__name__} found for texts: give a str, or a list of them.") from None
    kept, lost = [], []
    for number, text in enumerate(listed):
        if isinstance(text, bytes):
            text = text.decode("utf-8", errors="replace")  # as ICU does it, which TensorFlow decodes with
        elif not isinstance(text, str):
            raise RenderingError(f"texts[{number}] is of type {type(text).__name__}: give str, or bytes of UTF-8.")
        kept.append(text[:max_chars] if max_chars else text)
        lost.append(len(text) - len(kept[-1]))
    codes = np.frombuffer("".join(kept).encode("utf-32-le", errors="surrogatepass"), "<u4").astype(np.uint32)
    codes[codes - 0xD800 < 0x800] = _REPLACEMENT  # unsigned: what is below wraps to above
    if lowercase:
        codes[codes - ord("A") < 26] += ord("a") - ord("A")
    return codes, np.array([len(text) for text in kept], dtype=np.int64), np.array(lost, dtype=np.int64)


class _Layout(NamedTuple):
    """Where cells are.

    Args:
        line: (characters,) int64; the line of its text that a cell is in.
        column: (characters,) int64; the image's column that it begins in.
        lines: (texts,) int64; lines of each text, seen or not.
    """

    line: NDArray[np.int64]
    column: NDArray[np.int64]
    lines: NDArray[np.int64]


def _laid_out(width: NDArray[np.int64], lengths: NDArray[np.int64], size: int) -> _Layout:
    """Breaks cells of these widths, `lengths` of them a text, into lines (the formula is the module's)."""
    past = np.cumsum(lengths)
    begun = (past - lengths)[lengths > 0]  # the first characters of texts
    if not len(begun):
        return _Layout(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros_like(lengths))
    counts = lengths[lengths > 0]
    end = np.cumsum(width)
    start = end - width
    room = np.repeat(size - np.maximum.reduceat(width, begun), counts)
    within = (end - np.repeat(start[begun], counts)).astype(np.float32)
    line = np.floor(within / np.maximum(room, 1).astype(np.float32)).astype(np.int64)
    line = np.where(room > 0, line, np.arange(len(width)) - np.repeat(begun, counts))
    # A line begins with a text, or where the number of the line does not stay.
    begins = np.append(True, line[1:] != line[:-1])
    begins[begun] = True
    column = start - np.maximum.accumulate(np.where(begins, start, 0))
    lines = np.zeros_like(lengths)
    lines[lengths > 0] = line[begun + counts - 1] + 1
    return _Layout(line, column, lines)


def _drawn(
    layout: _Layout,
    lengths: NDArray[np.int64],
    cells: NDArray[np.uint8] | NDArray[np.uint16],
    cell: NDArray[np.intp],
    trim: Trimmed,
    size: int,
    font_size: int,
    brightness: tuple[int, int],
) -> NDArray[np.uint8]:
    """The images: (texts, size, size).

    Args:
        layout: Where the cells are.
        lengths: (texts,); characters of each text.
        cells: The different ones: (cells, columns) uint16 with a bit a row, the highest the top's and 1 for ink; or
            (cells, columns, rows) uint8 brightness.
        cell: (characters,); which of them each character has.
        trim: Which columns of them are drawn.
        size: Of the images.
        font_size: Rows of a line.
        brightness: Of ink and of the background.
    """
    ink, background = np.uint8(brightness[0]), np.uint8(brightness[1])
    per_image = -(-size // font_size)
    images = np.full((len(lengths), per_image * font_size, size), background)
    # Lines that are seen, of all texts, one below the other, as columns: a cell's columns then lie side by side.
    used = np.minimum(layout.lines, per_image)
    before = np.cumsum(used) - used
    packed = cells.ndim == 2
    lines = np.full(
        (int(used.sum()), size + cells.shape[1], *cells.shape[2:]), 0 if packed else background, cells.dtype
    )

    seen = layout.line < per_image
    row = (np.repeat(before, lengths) + layout.line)[seen]
    width = trim.width[cell[seen]]
    step = np.arange(int(width.sum())) - np.repeat(np.cumsum(width) - width, width)
    target = np.repeat(row * lines.shape[1] + layout.column[seen], width) + step
    source = np.repeat(cell[seen] * cells.shape[1] + trim.first[cell[seen]], width) + step
    lines.reshape(-1, *cells.shape[2:])[target] = cells.reshape(-1, *cells.shape[2:])[source]

    owner = np.repeat(np.arange(len(lengths)), used)
    place = owner * per_image + np.arange(len(owner)) - np.repeat(before, used)
    pictures = images.reshape(-1, font_size, size)
    lines = lines[:, :size]
    if packed:
        for y in range(font_size):
            pictures[place, y] = np.where(lines & (1 << (CELL - 1 - y)), ink, background)
    else:
        pictures[place] = lines.transpose(0, 2, 1)
    return np.ascontiguousarray(images[:, :size])


def _scaled(columns: NDArray[np.uint16], font_size: int) -> NDArray[np.float32]:
    """Cells of another size: (cells, 16 columns) with a bit a row -> (cells, columns, rows), ink in [0, 1]."""
    rows = (columns[:, None, :] >> np.arange(CELL - 1, -1, -1, dtype=np.uint16)[:, None]) & 1
    return area_resized(rows.astype(np.uint8), font_size).transpose(0, 2, 1)


def _mixed(ink: NDArray[np.float32], text: int, background: int) -> NDArray[np.uint8]:
    """Brightness for ink in [0, 1], as the original computes and cuts it off."""
    return (ink * np.float32(text - background) + np.float32(background)).astype(np.int32).astype(np.uint8)


_sizes_warned_of: set[int] = set()


def _warn_of_overflow(lost: int, texts: int, size: int) -> None:
    if size not in _sizes_warned_of:
        _sizes_warned_of.add(size)
        logger.warning(
            "%d of %d texts do not fit in an image of %d px: what is beyond is not seen. (Said once; "
            "render_text(…, return_overflow=True) counts the characters of each text.)",
            lost,
            texts,
            size,
        )
