"""Questions above photos, and two sentences in one picture: what stands where, and what is said to be cut."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from PIL import Image

from linmap import ClippoProcessor, render_text
from linmap.clippo import processing
from linmap.clippo.drawn_questions import draw_questions
from linmap.clippo.drawn_rows import draw_in_rows, draw_pairs
from linmap.clippo.image_processing import ClippoImageProcessor, resize_without_antialias
from linmap.errors import ConfigurationError, RenderingError

LONG = "how many of the chairs that stand around the table are red? " * 6
PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8))


def test_the_upper_rows_are_the_drawn_question_and_the_rest_is_the_squashed_photo():
    question = "what is on the desk?"
    image = draw_questions([PHOTO], [question], 96, {}).images[0]
    (rows,) = draw_in_rows([question], 96, {}).rows
    text = render_text(question, 96)[0]
    assert rows == 2
    assert all(np.array_equal(image[:32, :, channel], text[:32]) for channel in range(3))
    assert np.array_equal(image[32:], resize_without_antialias(np.asarray(PHOTO), 96, 64))


def test_rows_begin_where_patches_do():
    rows = draw_in_rows(["a", LONG, ""], 96, {}).rows
    images = draw_questions([PHOTO] * 3, ["a", LONG, ""], 96, {}).images
    photo_starts = [16 * min(row, 3) for row in rows]
    assert photo_starts == [16, 48, 0]
    for image, start in zip(images, photo_starts, strict=True):
        assert np.array_equal(image[start:], resize_without_antialias(np.asarray(PHOTO), 96, 96 - start))


def test_a_question_takes_at_most_half_of_the_picture_and_what_is_cut_is_said():
    drawn = draw_questions([PHOTO, PHOTO], [LONG, "what is it?"], 96, {})
    assert drawn.cut.tolist() == [True, False]
    assert np.array_equal(drawn.images[0, 48:], resize_without_antialias(np.asarray(PHOTO), 96, 48))


def test_without_a_photo_the_background_goes_on_below_the_question():
    blind = draw_questions([None, None], ["what?", LONG], 96, {}).images
    seeing = draw_questions([PHOTO, PHOTO], ["what?", LONG], 96, {}).images
    assert np.array_equal(blind[0, :16], seeing[0, :16])
    assert np.array_equal(blind[1, :48], seeing[1, :48])
    assert (blind[0, 16:] == 127).all()
    assert (blind[1, 48:] == 127).all()


def test_questions_are_drawn_as_the_settings_say():
    drawn = draw_questions([None], ["WHAT?"], 96, {"font_size": 8, "lowercase": False, "background_brightness": 255})
    text = render_text("WHAT?", 96, font_size=8, lowercase=False, background_brightness=255)[0]
    assert np.array_equal(drawn.images[0, ..., 0], text)


@pytest.mark.parametrize(
    ("photos", "size", "says"),
    [
        ([PHOTO, PHOTO], 96, "2 photos and 1 questions; give one photo a question"),
        ([PHOTO], 16, "8 pixels hold no row of 16"),
    ],
)
def test_what_cannot_be_drawn_is_refused(photos, size, says):
    with pytest.raises(RenderingError, match=says):
        draw_questions(photos, ["what?"], size, {})


def test_the_second_sentence_stands_below_the_first_behind_an_empty_row():
    first, second = "two dogs run on the beach", "animals move"
    image = draw_pairs([first], [second], 128, {}).images[0]
    (upper,) = draw_in_rows([first], 128, {}).rows
    start = 16 * (upper + 1)
    assert np.array_equal(image[: 16 * upper], render_text(first, 128)[0][: 16 * upper])
    assert (image[16 * upper : start] == 127).all()
    assert np.array_equal(image[start:], render_text(second, 128)[0][: 128 - start])


def test_of_two_sentences_the_longer_one_gives_way():
    pairs = [(LONG, "short"), ("short", LONG), (LONG, LONG), ("a", "b")]
    drawn = draw_pairs([one for one, _ in pairs], [two for _, two in pairs], 128, {})
    assert drawn.cut.tolist() == [True, True, True, False]
    short, long = (render_text(text, 128)[0] for text in ("short", LONG))
    assert np.array_equal(drawn.images[0, 7 * 16 :], short[:16])
    assert np.array_equal(drawn.images[1, :16], short[:16])
    assert np.array_equal(drawn.images[1, 32:], long[:96])
    assert np.array_equal(drawn.images[2, :64], long[:64])
    assert np.array_equal(drawn.images[2, 80:], long[:48])


def test_two_sentences_that_fill_all_rows_but_one_are_not_cut():
    settings = {"font_size": 8, "monospace": True}  # 15n - 1 letters take n of the 16 rows
    for rows, cut in ((7, False), (8, True)):
        drawn = draw_pairs(["a" * (15 * 8 - 1)], ["b" * (15 * rows - 1)], 128, settings)
        assert drawn.cut.tolist() == [cut]


def test_order_matters_and_an_empty_second_sentence_is_the_first_alone():
    drawn = draw_pairs(["a dog", "a cat", "a dog"], ["a cat", "a dog", ""], 64, {}).images
    assert not np.array_equal(drawn[0], drawn[1])
    assert np.array_equal(drawn[2], render_text("a dog", 64)[0])


@pytest.mark.parametrize(
    ("second", "size", "says"),
    [
        (["a", "b"], 96, "1 first sentences and 2 second ones"),
        (["a"], 32, "need three rows of 16 pixels; the image has 32"),
    ],
)
def test_pairs_that_cannot_be_drawn_are_refused(second, size, says):
    with pytest.raises(RenderingError, match=says):
        draw_pairs(["a"], second, size, {})


def test_the_processor_draws_as_these_do_and_scales(tmp_path):
    PHOTO.save(tmp_path / "a.png")
    processor = ClippoProcessor(ClippoImageProcessor(image_size=96))
    questions = ["what is it?", "what?", "what else?"]
    pixels = processor(images=[tmp_path / "a.png", PHOTO, None], questions=questions, return_tensors="pt")[
        "pixel_values"
    ]
    drawn = draw_questions([PHOTO, PHOTO, None], questions, 96, {}).images
    assert pixels.shape == (3, 3, 96, 96)
    assert np.allclose(pixels.numpy(), np.moveaxis(drawn, -1, 1) / 127.5 - 1, atol=1e-6)
    alone = processor(questions=questions[2], return_tensors="pt")["pixel_values"]
    assert np.array_equal(alone[0], pixels[2])
    pair = processor(text="a dog", text_pair="a cat", return_tensors="pt")["text_pixel_values"]
    assert np.allclose(pair[0, 0].numpy(), draw_pairs(["a dog"], ["a cat"], 96, {}).images[0] / 127.5 - 1, atol=1e-6)


def test_photos_above_which_questions_stand_may_be_arrays_of_either_order():
    processor = ClippoProcessor(ClippoImageProcessor(image_size=96))
    high = np.asarray(PHOTO)
    first = np.moveaxis(high, -1, 0)
    given = [PHOTO, high, first, torch.from_numpy(first.copy())]
    drawn = processor(images=given, questions=["what is it?"] * 4, return_tensors="pt")["pixel_values"]
    assert len(drawn.flatten(1).unique(dim=0)) == 1
    with pytest.raises(ConfigurationError, match="An image of float32 came"):
        processor(images=high.astype(np.float32) / 255, questions="what is it?")


def test_what_is_cut_is_counted_once(caplog, monkeypatch):
    monkeypatch.setattr(processing, "_warned_of", set())
    processor = ClippoProcessor(ClippoImageProcessor(image_size=96))
    with caplog.at_level(logging.WARNING, logger="linmap"):
        for _ in range(2):
            processor(questions=["what?", LONG])
            processor(text=["a", LONG, LONG], text_pair=["b"] * 3)
    assert [record.getMessage() for record in caplog.records] == [
        "1 of 2 questions take more than half of an image of 96 px: what is beyond is not seen. (Said once.)",
        "2 of 3 pairs of texts do not fit in an image of 96 px: what is beyond is not seen. (Said once.)",
    ]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"questions": []}, "questions must be one text or a list of at least one; found an empty list"),
        ({"questions": [1]}, "questions must be one text or a list of at least one; found 1"),
        ({"text": ["a"], "text_pair": [None]}, "text_pair must be one text or a list of at least one; found None"),
        ({"text_pair": ["a"]}, "text_pair holds second texts; give the first ones as text"),
    ],
)
def test_the_processor_says_what_it_was_given(given, says):
    with pytest.raises(ConfigurationError, match=says):
        ClippoProcessor(ClippoImageProcessor(image_size=96))(**given)
