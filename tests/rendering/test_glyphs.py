"""The font that texts are drawn with: what linmap carries, and what a file that is named may hold."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import time
from importlib.resources import files

import numpy as np
import pytest

from linmap.errors import FontError
from linmap.rendering.glyphs import Glyphs, unifont

UNIFONT = "unifont-15.0.01"
LETTER = "0041:0000000018242442427E424242420000"
WIDE = "4E00:00000000000000000000000000007FFC00000000000000000000000000000000"


def _columns(glyphs: Glyphs, characters: str) -> np.ndarray:
    return glyphs.columns(np.array([ord(character) for character in characters]))


def test_the_font_in_the_package_is_debians_to_the_byte():
    packed = (files("linmap.rendering") / f"{UNIFONT}.hex.xz").read_bytes()
    assert hashlib.sha256(packed).hexdigest() == "eaa8839e77ffbd026fdd05479138bcee6ee3bea964d2566e7f5acc3b84acaa93"
    font = lzma.decompress(packed)
    assert hashlib.sha256(font).hexdigest() == "fe93c0df9a69e71df0fcf9e71af3adab3c85a393b1a3cae1eb32f69880fc1841"
    assert len(unifont()) == len(font.splitlines()) == 57_086


def test_the_fonts_licences_lie_beside_it():
    words = (files("linmap.rendering") / f"{UNIFONT}.LICENSE.txt").read_text(encoding="utf-8")
    for part in (
        "SIL OPEN FONT LICENSE Version 1.1",
        "GNU GENERAL PUBLIC LICENSE",
        "As a special exception, if you create a document which uses this font",
        "Copyright (C) 1998-2022 Roman Czyborra, Paul Hardy",
    ):
        assert part in words


def test_the_font_is_read_once_a_process_and_in_a_moment():
    start = time.process_time()
    read = Glyphs.from_hex()
    assert time.process_time() - start < 2.0  # 0.15 s on an idle core
    assert len(read) == len(unifont())
    assert unifont() is unifont()


def test_every_bitmap_of_the_font_is_as_its_line_says():
    lines = lzma.decompress((files("linmap.rendering") / f"{UNIFONT}.hex.xz").read_bytes()).decode().splitlines()
    for line in lines[:: len(lines) // 500]:
        code, digits = line.split(":")
        rows = [digits[at : at + len(digits) // 16].ljust(4, "0") for at in range(0, len(digits), len(digits) // 16)]
        bits = np.array([[int(bit) for bit in f"{int(row, 16):016b}"] for row in rows])
        columns = unifont().columns(np.array([int(code, 16)]))[0]
        assert np.array_equal((columns[None, :] >> np.arange(15, -1, -1)[:, None]) & 1, bits), line


def test_an_8_wide_glyph_stands_in_the_left_half_of_its_cell(tmp_path):
    (tmp_path / "font.hex").write_text(f"{LETTER}\n{WIDE}\n")
    glyphs = Glyphs.from_hex(tmp_path / "font.hex")
    narrow, wide = _columns(glyphs, "A一")
    assert narrow[:8].any()
    assert not narrow[8:].any()
    assert wide[1:14].all()


def test_a_character_that_a_font_lacks_is_an_empty_cell(tmp_path):
    (tmp_path / "font.hex").write_text(LETTER)
    glyphs = Glyphs.from_hex(tmp_path / "font.hex")
    assert "A" in glyphs
    assert "B" not in glyphs
    assert not _columns(glyphs, "B\U0010ffff\0").any()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress], ids=["plain", "gz", "xz"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_a_font_is_read_plain_and_packed_with_any_line_ends(tmp_path, pack, end):
    (tmp_path / "font").write_bytes(pack(f"{LETTER}{end}{end}{WIDE.lower()}{end}".encode()))
    glyphs = Glyphs.from_hex(tmp_path / "font")
    assert len(glyphs) == 2
    assert "一" in glyphs


def test_a_second_file_brings_the_upper_planes_and_counts_where_both_have_a_character(tmp_path):
    (tmp_path / "upper.hex").write_text(f"01F600:{'FF' * 16}\n00041:{'01' * 16}\n")
    glyphs = Glyphs.from_hex(upper=tmp_path / "upper.hex")
    assert len(glyphs) == len(unifont()) + 1
    assert (_columns(glyphs, "\U0001f600")[0][:8] == 0xFFFF).all()
    assert _columns(glyphs, "A")[0].tolist() == [0] * 7 + [0xFFFF] + [0] * 8
    assert np.array_equal(_columns(glyphs, "bc€한"), _columns(unifont(), "bc€한"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"line 1: '' is no glyph"),
        (b"\n\n", r"is no glyph"),
        (f"{LETTER}\n\nSTARTCHAR U+0042\n".encode(), r"line 3: 'STARTCHAR U\+0042' is no glyph"),
        (LETTER.encode() + b"00\n", r"line 1: .* 32 or 64 digits"),
        (LETTER.replace("18", "1G").encode(), r"line 1"),
        (f"{LETTER} {WIDE}".encode(), r"line 1"),
        (b"\xff\xfe\x00", r"line 1: .* is no glyph"),
        (f"110000:{'00' * 16}".encode(), r"Code point 110000 is none of Unicode's"),
        (gzip.compress(LETTER.encode())[:-9], r"cannot be read as a font"),
        (lzma.compress(LETTER.encode())[:-9], r"cannot be read as a font"),
        (b"\x1f\x8b" + b"\x00" * 40, r"cannot be read as a font"),
    ],
    ids=["empty", "blank", "bdf", "long", "letter", "two", "binary", "beyond", "gz", "xz", "no gz"],
)
def test_what_is_no_font_is_refused_with_the_line_at_fault(tmp_path, content, said):
    (tmp_path / "font.hex").write_bytes(content)
    with pytest.raises(FontError, match=said):
        Glyphs.from_hex(tmp_path / "font.hex")


@pytest.mark.parametrize("name", ["missing.hex", "."])
def test_a_font_that_is_not_there_is_one_line(tmp_path, name):
    with pytest.raises(FontError, match="cannot be read as a font"):
        Glyphs.from_hex(tmp_path / name)


@pytest.mark.parametrize(
    ("codes", "bitmaps", "said"),
    [
        ([65], [[0] * 15], "16 rows"),
        ([65, 66], [[0] * 16], "2 code points for 1 bitmaps"),
        ([-1], [[0] * 16], "none of Unicode's"),
        ([65], [[1 << 16] * 16], "16 bits"),
        (["A"], [[0] * 16], "no bitmaps"),
    ],
)
def test_glyphs_that_are_none_are_refused(codes, bitmaps, said):
    with pytest.raises(FontError, match=said):
        Glyphs(codes, bitmaps)


def test_a_font_without_a_glyph_draws_nothing():
    assert len(Glyphs([], [])) == 0
    assert not _columns(Glyphs([], []), "abc").any()
