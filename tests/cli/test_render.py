from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from linmap import ClippoConfig, render_text


def _drawn(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        assert picture.mode == "L"
        return np.asarray(picture)


def test_a_text_becomes_a_picture_of_what_the_tower_sees(linmap, tmp_path):
    ran = linmap("render", "A dog on a beach", "-o", tmp_path / "dog.png")
    assert ran.code == 0, ran.err
    assert np.array_equal(_drawn(tmp_path / "dog.png"), render_text("a dog on a beach")[0])
    assert ran.out == f"{tmp_path / 'dog.png'}: 1 text of 224 x 224 px\n"
    assert ran.err == ""


def test_several_texts_stand_on_a_sheet_row_by_row_with_white_between_them(linmap, tmp_path):
    texts = ["a dog", "ein Hund", "狗"]
    ran = linmap("render", *texts, "-o", tmp_path / "sheet.png", "--image-size", 48)
    assert ran.code == 0, ran.err
    sheet, images = _drawn(tmp_path / "sheet.png"), render_text(texts, 48)
    assert sheet.shape == (100, 100)
    for image, (top, left) in zip(images, [(0, 0), (0, 52), (52, 0)], strict=True):
        assert np.array_equal(sheet[top : top + 48, left : left + 48], image)
    assert (sheet[48:52] == 255).all()
    assert (sheet[52:, 52:] == 255).all()


def test_a_folder_gets_a_picture_of_every_text_and_line_in_order(linmap, tmp_path):
    (tmp_path / "lines.txt").write_bytes("zwei Hunde\r\n\nein \xff Rest".encode("latin-1"))
    ran = linmap("render", "a dog", "--lines", tmp_path / "lines.txt", "-o", tmp_path / "new" / "pictures")
    assert ran.code == 0, ran.err
    pictures = sorted((tmp_path / "new" / "pictures").iterdir())
    assert [path.name for path in pictures] == ["0001.png", "0002.png", "0003.png", "0004.png"]
    wanted = render_text(["a dog", "zwei hunde", "", "ein \ufffd rest"])
    assert all(np.array_equal(_drawn(path), image) for path, image in zip(pictures, wanted, strict=True))


def test_a_byte_order_mark_is_no_part_of_the_first_text(linmap, tmp_path):
    (tmp_path / "lines.txt").write_text("a dog", encoding="utf-8-sig")
    assert linmap("render", "--lines", tmp_path / "lines.txt", "-o", tmp_path / "dog.png").code == 0
    assert np.array_equal(_drawn(tmp_path / "dog.png"), render_text("a dog")[0])


def test_every_setting_is_heard(linmap, tmp_path):
    how = ["--image-size", 64, "--font-size", 12, "--max-chars", 7, "--keep-case", "--spacing", 2, "--min-width", 6]
    colours = ["--text-brightness", 250, "--background-brightness", 5]
    ran = linmap("render", "A Dog Runs", *how, *colours, "-o", tmp_path / "a.png")
    assert ran.code == 0, ran.err
    settings = {"font_size": 12, "max_chars": 7, "lowercase": False, "spacing": 2, "min_width": 6}
    brightness = {"text_brightness": 250, "background_brightness": 5}
    assert np.array_equal(_drawn(tmp_path / "a.png"), render_text("A Dog Runs", 64, **settings, **brightness)[0])
    assert "text 1: of its characters, 3 are behind the last that is drawn" in ran.err


def test_monospace_is_heard(linmap, tmp_path):
    assert linmap("render", "a dog", "--monospace", "-o", tmp_path / "a.png").code == 0
    assert np.array_equal(_drawn(tmp_path / "a.png"), render_text("a dog", monospace=True)[0])


def test_what_does_not_fit_and_what_the_font_lacks_is_told_on_stderr(linmap, tmp_path):
    long = ["to be or not to be " * 60] * 7
    ran = linmap("render", "fits \U0001f600", *long, "-o", tmp_path / "a.png", "--image-size", 64)
    assert ran.code == 0
    lines = ran.err.splitlines()
    assert len(lines) == 7
    assert lines[0].startswith("linmap: text 2: of its characters, ")
    assert "do not fit in 64 x 64 px, and 372 are behind the last that is drawn" in lines[0]
    assert lines[5] == "linmap: 2 texts more are not all there: --json counts"
    assert "not in the font, and drawn as empty cells: U+1F600; --upper FILE" in lines[6]


def test_json_is_one_line_with_the_counts_of_every_text(linmap, tmp_path):
    ran = linmap("render", "fits", "x" * 800, "-o", tmp_path / "a.png", "--json")
    assert ran.err == ""
    facts = json.loads(ran.out)
    assert ran.out.count("\n") == 1
    assert facts["cut"] == [0, 32]
    assert facts["hidden"][0] == 0 < facts["hidden"][1]
    assert (facts["texts"], facts["image_size"], facts["without_glyph"]) == (2, 224, [])


def test_a_second_font_brings_the_upper_planes(linmap, tmp_path):
    (tmp_path / "upper.hex").write_text(f"01F600:{'FF' * 16}\n")
    ran = linmap("render", "\U0001f600", "--upper", tmp_path / "upper.hex", "-o", tmp_path / "a.png")
    assert (ran.code, ran.err) == (0, "")
    assert (_drawn(tmp_path / "a.png")[:16, :8] == 0).all()


def test_a_font_of_ones_own_takes_the_place_of_ours(linmap, tmp_path):
    (tmp_path / "own.hex").write_text(f"0061:{'FF' * 16}\n")
    ran = linmap("render", "ab", "--font", tmp_path / "own.hex", "-o", tmp_path / "a.png")
    assert "U+0062" in ran.err
    assert (_drawn(tmp_path / "a.png")[:16, :8] == 0).all()


def test_a_model_says_how_it_draws(linmap, tmp_path):
    ClippoConfig(image_size=64, text_renderer={"lowercase": False, "spacing": 3}).save_pretrained(tmp_path / "model")
    ran = linmap("render", "A Dog", "--model", tmp_path / "model", "-o", tmp_path / "a.png")
    assert ran.code == 0, ran.err
    assert np.array_equal(_drawn(tmp_path / "a.png"), render_text("A Dog", 64, lowercase=False, spacing=3)[0])


def test_a_model_that_does_not_draw_is_refused(linmap, tmp_path, dual_dir):
    ran = linmap("render", "a dog", "--model", dual_dir, "-o", tmp_path / "a.png")
    assert ran.code == 2
    assert "type 'dual_encoder'; one of type 'clippo' draws texts" in ran.err
    ClippoConfig(text_input="tokens", vocab_size=9).save_pretrained(tmp_path / "model")
    ran = linmap("render", "a dog", "--model", tmp_path / "model", "-o", tmp_path / "a.png")
    assert ran.code == 2
    assert "reads tokens and draws no text" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "a.png"], "There is nothing to draw"),
        (["x", "-o", "a.jpg"], "pictures are written as .png"),
        (["x", "--lines", "missing.txt", "-o", "a.png"], r"missing.txt: cannot be read (No such file"),
        (["x", "--font", "missing.hex", "-o", "a.png"], "missing.hex: cannot be read as a font"),
        (["x", "--model", "./missing", "-o", "a.png"], "There is no folder"),
        (["x", "--model", "./missing", "--image-size", "9", "--keep-case"], "or --image-size, --keep-case."),
        (["x", "-o", "file.txt/a.png"], "this folder cannot be made"),
        (["x", "-o", f"{'n' * 300}.png"], "n.png: cannot be"),
        (["x", "-o", f"{'n' * 300}"], "cannot be"),
        ([*["x"] * 5000, "--image-size", "300", "-o", "a.png"], "5,000 texts of 300 px are too many for one sheet"),
    ],
)
def test_what_cannot_be_done_is_one_line(linmap, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.txt").write_text("no folder")
    ran = linmap("render", *words)
    assert ran.code == 2
    assert ran.out == ""
    assert said in ran.err
    assert ran.err.count("\n") == 1


def test_the_help_teaches_with_examples(linmap):
    ran = linmap("render", "--help")
    assert ran.code == 0
    assert 'linmap render "a dog on a beach" -o dog.png' in ran.out
