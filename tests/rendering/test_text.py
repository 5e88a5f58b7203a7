"""Texts as pictures: the original's own to the bit, the laws they obey, and whatever Unicode holds."""

from __future__ import annotations

import hashlib
import json
import logging

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linmap.errors import RenderingError
from linmap.rendering import text as rendering
from linmap.rendering.cells import area_resized
from linmap.rendering.glyphs import Glyphs, unifont
from linmap.rendering.text import render_text

fuzzed = settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=80,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

ANY_CHARACTER = st.characters(codec=None, categories=None, exclude_categories=())
"""All of Unicode: every plane, controls, what is not assigned, halves of surrogate pairs."""

ANY_TEXT = st.text(ANY_CHARACTER, max_size=120) | st.binary(max_size=120)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "font_size": st.integers(1, 40),
        "max_chars": st.integers(0, 100),
        "lowercase": st.booleans(),
        "monospace": st.booleans(),
        "spacing": st.integers(0, 20),
        "min_width": st.integers(0, 20),
        "text_brightness": st.integers(0, 255),
        "background_brightness": st.integers(0, 255),
    },
)


def _hash(image: np.ndarray) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()


# ---------------------------------------------------------------------------------------------------------------------
# The original's pictures.


def test_every_pixel_is_the_originals(repository, tmp_path):
    golden = json.loads((repository / "tests" / "golden" / "clippo" / "render.json").read_text(encoding="utf-8"))
    (tmp_path / "upper.hex").write_text("\n".join(golden["upper_font"]))
    glyphs = Glyphs.from_hex(upper=tmp_path / "upper.hex")
    wrong, count = [], 0
    for case in golden["cases"]:
        texts = [bytes.fromhex(text) for text in case["texts"]]
        images = render_text(texts, case["image_size"], **case["settings"], glyphs=glyphs)
        for text, image, wanted in zip(texts, images, case["texts"].values(), strict=True):
            count += 1
            if _hash(image) != wanted:
                wrong.append((case["image_size"], case["settings"], text))
    assert count > 300
    assert not wrong


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("main", {}),
        ("nolower", {"lowercase": False}),
        ("monospace", {"monospace": True}),
        ("spacing3_minw8", {"spacing": 3, "min_width": 8}),
    ],
)
def test_every_pixel_is_that_of_the_measured_fixtures(shared, name, how):
    with np.load(shared / "reference" / "clippo" / f"render_{name}.npz") as fixture:
        texts = [bytes.fromhex(text) for text in fixture["texts_utf8_hex"]]
        sizes = [int(key.removeprefix("img_")) for key in fixture.files if key.startswith("img_")]
        assert sizes
        for size in sizes:
            drawn = fixture[f"ok_{size}"]
            assert np.array_equal(render_text(texts, size, **how)[drawn], fixture[f"img_{size}"][drawn])


# ---------------------------------------------------------------------------------------------------------------------
# Laws.


@fuzzed
@given(st.lists(ANY_TEXT, max_size=5), st.integers(1, 80), SETTINGS)
def test_any_text_with_any_settings_has_a_picture_and_no_pixel_beyond_text_and_background(texts, size, how):
    images, overflow = render_text(texts, size, **how, return_overflow=True)
    assert images.shape == (len(texts), size, size)
    assert images.dtype == np.uint8
    assert images.flags.c_contiguous
    ends = sorted((how.get("text_brightness", 0), how.get("background_brightness", 127)))
    # Scaled ink may be 1.0000001, and what is a little less than a whole number is cut off to the next lower one.
    assert ((images >= max(0, ends[0] - 1)) & (images <= ends[1])).all()
    if how.get("font_size", 16) == 16:
        assert np.isin(images, ends).all()
    for counts in overflow:
        assert counts.shape == (len(texts),)
        assert (counts >= 0).all()


@fuzzed
@given(st.lists(ANY_TEXT, max_size=6), st.integers(1, 80), SETTINGS)
def test_a_text_is_drawn_alike_alone_and_among_others(texts, size, how):
    together, overflow = render_text(texts, size, **how, return_overflow=True)
    for number, text in enumerate(texts):
        alone, lost = render_text(text, size, **how, return_overflow=True)
        assert np.array_equal(alone[0], together[number])
        assert (lost.cut[0], lost.hidden[0]) == (overflow.cut[number], overflow.hidden[number])


@fuzzed
@given(st.text(max_size=60))
def test_a_str_and_its_utf_8_are_drawn_alike(text):
    assert np.array_equal(render_text(text), render_text(text.encode()))


@fuzzed
@given(st.text(ANY_CHARACTER, max_size=60), st.integers(1, 70))
def test_what_is_behind_max_chars_is_not_drawn_and_counted(text, most):
    images, overflow = render_text(text, 64, max_chars=most, return_overflow=True)
    assert np.array_equal(images, render_text(text[:most], 64, max_chars=0))
    assert overflow.cut[0] == max(0, len(text) - most)


@fuzzed
@given(st.text(ANY_CHARACTER, max_size=60))
def test_brightness_only_chooses_the_two_values(text):
    ink = render_text(text, 64) == 0
    assert np.array_equal(render_text(text, 64, text_brightness=200, background_brightness=9), np.where(ink, 200, 9))


@fuzzed
@given(st.text(st.characters(codec="ascii"), max_size=60))
def test_lower_casing_is_that_of_ascii(text):
    assert np.array_equal(render_text(text), render_text(text.lower(), lowercase=False))


def test_letters_beyond_ascii_keep_their_case():
    upper = "ÀÉÎÕÜŞЖΣԱ"
    assert np.array_equal(render_text(upper), render_text(upper, lowercase=False))
    assert not np.array_equal(render_text(upper), render_text(upper.lower()))


@pytest.mark.parametrize("text", ["", "\N{ZERO WIDTH SPACE}"[:0], "    ", "\U0010ffff", b""])
def test_a_text_without_ink_is_plain_background(text):
    assert (render_text(text) == 127).all()


def test_one_text_gives_one_image_and_none_gives_none():
    assert render_text("a dog").shape == (1, 224, 224)
    assert render_text(b"a dog").shape == (1, 224, 224)
    assert render_text([]).shape == (0, 224, 224)
    assert render_text(word for word in ("a", "dog")).shape == (2, 224, 224)


def test_lines_stand_below_each_other_and_break_where_the_next_cell_could_pass_the_edge():
    image = render_text("a" * 100, 64, monospace=True)[0]
    # 16 columns a cell; 64 - 16 = 48: a line ends with the last cell whose end is before a multiple of 48.
    inked = [
        (image[line * 16 : line * 16 + 16, cell * 16 : cell * 16 + 16] == 0).any()
        for line in range(4)
        for cell in range(4)
    ]
    assert inked == [True, True, False, False, *[True, True, True, False] * 3]


def test_monospace_puts_every_bitmap_into_its_place_as_it_is():
    image = render_text("x一", 64, monospace=True)[0]
    columns = unifont().columns(np.array([ord("x"), ord("一")])).reshape(-1)
    bits = (columns[None, :] >> np.arange(15, -1, -1)[:, None]) & 1
    assert np.array_equal(image[:16, :32] == 0, bits.astype(bool))
    assert (image[16:] == 127).all()
    assert (image[:, 32:] == 127).all()


@pytest.mark.parametrize(("spacing", "min_width", "width"), [(1, 4, 4), (0, 4, 4), (1, 9, 9), (5, 1, 5), (0, 0, 0)])
def test_a_space_is_as_wide_as_spacing_and_min_width_leave_it(spacing, min_width, width):
    def last(text: str) -> int:
        return int(np.flatnonzero((render_text(text, spacing=spacing, min_width=min_width)[0] == 0).any(axis=0))[-1])

    assert last(" " * 5 + "l") - last("l") == 5 * width


def test_overflow_counts_what_is_cut_and_what_lies_beyond_the_edges():
    images, overflow = render_text(["short", "x" * 1000, "y" * 70], 64, max_chars=100, return_overflow=True)
    # A line of 64 px has seven or eight letters of 7 columns; of four lines, some thirty are seen.
    assert overflow.cut.tolist() == [0, 900, 0]
    assert overflow.hidden[0] == 0
    assert overflow.hidden[1] == overflow.hidden[2] + 30
    assert 25 < 70 - overflow.hidden[2] < 37
    shown = "y" * (70 - int(overflow.hidden[2]))
    assert np.array_equal(images[2], render_text(shown, 64)[0])


def test_a_line_that_is_seen_in_part_counts_as_hidden():
    # Two lines and a half; cells end at 16, 32, 48, … and a line at every 24.
    _, overflow = render_text("a" * 30, 40, monospace=True, return_overflow=True)
    assert overflow.hidden[0] == 28


def test_what_does_not_fit_is_warned_of_once_for_a_size(caplog, monkeypatch):
    monkeypatch.setattr(rendering, "_sizes_warned_of", set())
    with caplog.at_level(logging.WARNING, logger="linmap"):
        render_text("fits", 32)
        assert not caplog.records
        render_text(["fits", "does not fit in this"], 32)
        render_text("does not fit in this either", 32)
        render_text("does not fit in this either", 32, return_overflow=True)
        render_text("does not fit in this either", 48)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert said[0].startswith("1 of 2 texts do not fit in an image of 32 px")


@pytest.mark.parametrize("size", [16, 10])
def test_a_cell_as_wide_as_the_image_has_a_line_of_its_own(size):
    # Where the original raises: "from_value_rowids do not form a valid RowPartition".
    images, overflow = render_text(["一二三", "一"], size, monospace=True, return_overflow=True)
    assert np.array_equal(images[0], images[1])
    assert np.array_equal(images[1], render_text("一", 64, monospace=True)[0, :size, :size])
    assert overflow.hidden.tolist() == [2 if size == 16 else 3, 0 if size == 16 else 1]


def test_halves_of_surrogate_pairs_are_drawn_as_the_replacement_character():
    assert np.array_equal(render_text("a\ud83d\ude00b\udfff"), render_text("a\ufffd\ufffdb\ufffd"))
    assert np.array_equal(render_text(["\ud83d", "\ude00"]), render_text(["\ufffd", "\ufffd"]))


@pytest.mark.parametrize("text", ["a\0b", "\0", "\u202eabc", "אבג", "\ufeffabc", "\r\n\t\x7f", "e" + "\u0301" * 50])
def test_controls_marks_and_right_to_left_letters_are_cells_like_any_other(text):
    _, overflow = render_text(text, return_overflow=True)
    assert np.array_equal(render_text(text), render_text(text.encode()))
    assert (overflow.cut[0], overflow.hidden[0]) == (0, 0)


@pytest.mark.parametrize("how", [{}, {"max_chars": 0}, {"font_size": 8}, {"spacing": 10**30, "min_width": 10**30}])
def test_a_text_of_a_megabyte_is_drawn(how):
    text = "to be or not to be, that is the question. " * 25_000
    images, overflow = render_text(text, 64, **how, return_overflow=True)
    assert images.shape == (1, 64, 64)
    assert overflow.cut[0] + overflow.hidden[0] > 1_000_000
    assert np.array_equal(images, render_text(text[:768], 64, **how))


# ---------------------------------------------------------------------------------------------------------------------
# Other font sizes.


def test_half_the_size_is_the_mean_of_four_pixels_and_twice_the_size_repeats_them():
    cells = np.random.default_rng(0).integers(0, 2, (5, 16, 16)).astype(np.uint8)
    assert np.array_equal(area_resized(cells, 8), cells.reshape(5, 8, 2, 8, 2).mean(axis=(2, 4)))
    assert np.allclose(area_resized(cells, 32), cells.repeat(2, axis=1).repeat(2, axis=2))


@fuzzed
@given(st.integers(1, 64))
def test_a_cells_ink_is_shared_out_and_neither_lost_nor_made(size):
    cells = np.random.default_rng(size).integers(0, 2, (3, 16, 16)).astype(np.uint8)
    resized = area_resized(cells, size)
    assert resized.shape == (3, size, size)
    assert np.allclose(resized.mean(axis=(1, 2)), cells.mean(axis=(1, 2)), atol=1e-5)


def test_a_smaller_font_shows_more_of_a_text():
    counts = [render_text("word " * 150, font_size=size, return_overflow=True)[1].hidden[0] for size in (24, 16, 8)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 0 < counts[0]


# ---------------------------------------------------------------------------------------------------------------------
# What is refused.


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"image_size": 0}, "image_size=0: give a whole number, 1 or more"),
        ({"image_size": 22.5}, "image_size=22.5: give a whole number"),
        ({"font_size": 0}, "font_size=0"),
        ({"max_chars": -1}, "max_chars=-1"),
        ({"max_chars": None}, "max_chars=None"),
        ({"spacing": -1}, "spacing=-1"),
        ({"min_width": "4"}, "min_width='4'"),
        ({"lowercase": "no"}, "lowercase='no': give True or False"),
        ({"monospace": 1}, "monospace=1: give True or False"),
        ({"text_brightness": 256}, "text_brightness=256: .* from 0, black, to 255, white"),
        ({"background_brightness": -1}, "background_brightness=-1"),
    ],
)
def test_settings_that_nothing_can_be_drawn_with_are_refused(how, said):
    with pytest.raises(RenderingError, match=said):
        render_text("a dog", **how)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["a dog", None], r"texts\[1\] is of type NoneType"),
        ([float("nan")], r"texts\[0\] is of type float"),
        ([["a dog"]], r"texts\[0\] is of type list"),
        (7, "int found for texts"),
        (None, "NoneType found for texts"),
    ],
)
def test_what_is_no_text_is_refused_with_its_place(texts, said):
    with pytest.raises(RenderingError, match=said):
        render_text(texts)


def test_workers_of_a_loader_draw_what_this_process_draws():
    from torch.utils.data import DataLoader

    texts = [f"photo {number}: a dog, 狗" for number in range(12)]
    with_workers = DataLoader(texts, batch_size=4, num_workers=2, collate_fn=render_text)
    assert np.array_equal(np.concatenate(list(with_workers)), render_text(texts))
