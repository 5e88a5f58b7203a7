"""The bitmaps that texts are drawn with: GNU Unifont, 16 rows high and 8 or 16 columns wide.

A font in Unifont's own form is a text file with one line a character: its code point in hexadecimal digits, a colon,
and its 16 rows, two hexadecimal digits a row (8 columns) or four (16 columns). linmap carries Unifont 15.0.01 as Debian
packs it, which covers the basic plane; its licence lies beside it. What lies in the planes above is drawn as an empty
cell unless a file that has it is named.
"""

from __future__ import annotations

import gzip
import lzma
import os
import re
import zlib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from linmap.errors import FontError, first_line

__all__ = ["CELL", "Glyphs", "unifont"]

CELL = 16  # rows and columns of a character's cell
_CODE_POINTS = 0x110000
_FONT = "unifont-15.0.01.hex.xz"
_GLYPH = re.compile(rb"^([0-9A-Fa-f]{4,6}):((?:[0-9A-Fa-f]{32}){1,2})[ \t\r]*$", re.MULTILINE)
_LARGEST_FONT = 256 * 2**20  # bytes, unpacked: sixty times Unifont's


class Glyphs:
    """Bitmaps by code point; a code point without one has an empty cell.

    Args:
        code_points: (glyphs,) integers in 0 … 0x10FFFF. Of a code point given twice, the last bitmap counts.
        bitmaps: (glyphs, 16) uint16, a row each, its leftmost column the highest bit.

    Raises:
        FontError: Numbers that do not fit together.

    Example:
        >>> glyphs = Glyphs([ord("I")], [[0] + [0b0111000000000000] * 14 + [0]])
        >>> glyphs.columns(np.array([ord("I"), ord("?")]))[:, :5]
        array([[    0, 32766, 32766, 32766,     0],
               [    0,     0,     0,     0,     0]], dtype=uint16)
    """

    def __init__(self, code_points: Iterable[int], bitmaps: Iterable[Iterable[int]] | NDArray[np.uint16]) -> None:
        try:
            codes = np.array(list(code_points), dtype=np.int64)
            given = bitmaps if isinstance(bitmaps, np.ndarray) else list(bitmaps)
            rows = np.asarray(given, dtype=np.uint16).reshape(-1, CELL)
        except (OverflowError, TypeError, ValueError) as error:
            raise FontError(f"These are no bitmaps of 16 rows of 16 bits each: {first_line(error)}.") from error
        if len(codes) != len(rows):
            raise FontError(f"{len(codes)} code points for {len(rows)} bitmaps: give every code point 16 rows.")
        if (beyond := codes[(codes < 0) | (codes >= _CODE_POINTS)]).size:
            raise FontError(f"Code point {beyond[0]:X} is none of Unicode's, 0 to 10FFFF.")
        # Rows to columns: bit 15 - y of column x is bit 15 - x of row y.
        bits = np.unpackbits(rows.astype(">u2").view(np.uint8).reshape(-1, CELL, 2), axis=2)
        columns = np.ascontiguousarray(np.packbits(bits.transpose(0, 2, 1), axis=2)).view(">u2")[:, :, 0]
        # Glyph 0 is the empty cell. Zeros that nobody touches take no memory: planes without glyphs cost nothing.
        self._columns = np.concatenate([np.zeros((1, CELL), np.uint16), columns.astype(np.uint16)])
        self._glyph = np.zeros(_CODE_POINTS, np.uint32)
        self._glyph[codes] = np.arange(1, len(codes) + 1)

    def __len__(self) -> int:
        return int(np.count_nonzero(self._glyph))

    def __contains__(self, character: str) -> bool:
        return bool(self._glyph[ord(character)])

    def columns(self, code_points: NDArray[np.integer]) -> NDArray[np.uint16]:
        """The cells of characters, (characters,) -> (characters, 16 columns) uint16, the top row the highest bit."""
        return self._columns[self._glyph[code_points]]

    @classmethod
    def from_hex(
        cls, path: str | os.PathLike[str] | None = None, upper: str | os.PathLike[str] | None = None
    ) -> Glyphs:
        """The glyphs of files in Unifont's .hex form, plain or packed (.gz, .xz).

        Args:
            path: The font; None is the Unifont that linmap carries.
            upper: A second file, for the planes above the basic one (Unifont's own is named unifont_upper). Where both
                have a character, this one's is drawn.

        Raises:
            FontError: A file cannot be read, or is none of this form; the message names the line.
        """
        fonts = [_carried() if path is None else _parsed(_unpacked(Path(path)), str(path))]
        if upper is not None:
            fonts.append(_parsed(_unpacked(Path(upper)), str(upper)))
        return cls(np.concatenate([codes for codes, _ in fonts]), np.concatenate([rows for _, rows in fonts]))


@cache
def unifont() -> Glyphs:
    """The glyphs that linmap carries: GNU Unifont 15.0.01, 57,086 characters, read once a process."""
    return Glyphs(*_carried())


def _carried() -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
    return _parsed(lzma.decompress((files("linmap.rendering") / _FONT).read_bytes()), _FONT)


def _unpacked(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            start = file.read(6)
        packing = gzip.open if start.startswith(b"\x1f\x8b") else lzma.open if start == b"\xfd7zXZ\0" else open
        with packing(path, "rb") as file:
            font = file.read(_LARGEST_FONT + 1)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise FontError(f"{path}: cannot be read as a font ({first_line(error)}).") from error
    if len(font) > _LARGEST_FONT:
        raise FontError(f"{path}: more than {_LARGEST_FONT >> 20} MiB, which is no font of 16-row bitmaps.")
    return font


def _parsed(font: bytes, name: str) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
    """The code points and bitmaps of a .hex file: (glyphs,) and (glyphs, 16)."""
    glyphs = _GLYPH.findall(font)
    if not glyphs or len(glyphs) != len(font.split()):
        number, line = next(
            (
                (number, line)
                for number, line in enumerate(font.split(b"\n"), 1)
                if line.strip() and not _GLYPH.match(line)
            ),
            (1, b""),
        )
        raise FontError(
            f"{name}, line {number}: {line[:40].decode(errors='backslashreplace')!r} is no glyph. A font in Unifont's "
            ".hex form has lines such as 0041:0000000018242442427E424242420000: a code point, a colon, and 32 or 64 "
            "digits."
        )
    codes = np.array([int(code, 16) for code, _ in glyphs], dtype=np.int64)
    wide = np.array([len(bitmap) == 4 * CELL for _, bitmap in glyphs])
    rows = np.zeros((len(glyphs), CELL, 2), np.uint8)
    # An 8-wide glyph sits in the left half of its cell.
    rows[~wide, :, 0] = _bytes(bitmap for _, bitmap in glyphs if len(bitmap) == 2 * CELL).reshape(-1, CELL)
    rows[wide] = _bytes(bitmap for _, bitmap in glyphs if len(bitmap) == 4 * CELL).reshape(-1, CELL, 2)
    return codes, rows.view(">u2")[:, :, 0]


def _bytes(bitmaps: Iterable[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex(b"".join(bitmaps).decode()), np.uint8)
