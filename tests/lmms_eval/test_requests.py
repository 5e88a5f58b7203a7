"""Requests of lmms-eval by its documented form; nothing here needs it installed."""

from __future__ import annotations

import pytest

from linmap.errors import EvaluationError
from linmap.lmms_eval.requests import Question, cut, generation_settings, question_of

TASKS = {"photos": {"test": [{"photos": ["a.jpg"]}, {"photos": [3]}, {"photos": None}]}}


def test_a_request_is_a_text_and_the_photos_of_its_document():
    asked = ("what?", {}, lambda doc: doc["photos"], 0, "photos", "test")
    assert question_of(asked, TASKS) == Question("what?", ("a.jpg",))


@pytest.mark.parametrize(
    "asked",
    [
        ("what?", {}, lambda doc: doc["photos"], 2, "photos", "test"),
        ("what?", {}, None, 0, "photos", "test"),
        ("what?", "x"),
    ],
)
def test_a_document_without_photos_is_text_alone(asked):
    assert question_of(asked, TASKS) == Question("what?", ())


def test_what_is_no_photo_is_named_with_its_task_and_document():
    asked = ("what?", {}, lambda doc: doc["photos"], 1, "photos", "test")
    with pytest.raises(
        EvaluationError, match=r"Task 'photos' shows a int with document 1; .* Choose a task of photos\."
    ):
        question_of(asked, TASKS)


@pytest.mark.parametrize(
    ("said", "settings", "until"),
    [
        ({"max_new_tokens": 5}, {"max_new_tokens": 5}, []),
        ({"max_gen_toks": 5, "until": "\n"}, {"max_new_tokens": 5}, ["\n"]),
        ({"temperature": 0, "top_p": 0.9, "until": ["\n", "Q:"]}, {"do_sample": False}, ["\n", "Q:"]),
        ({"temperature": 1, "top_p": 0.9}, {"do_sample": True, "temperature": 1.0, "top_p": 0.9}, []),
        ({"temperature": 0.7, "do_sample": False}, {"do_sample": False}, []),
        ({"num_beams": 3, "top_p": None, "length_penalty": 0.5}, {"num_beams": 3, "length_penalty": 0.5}, []),
    ],
)
def test_settings_mean_in_generate_what_they_mean_in_lmms_eval(said, settings, until):
    assert generation_settings(said) == (settings, until)


def test_a_setting_that_generate_does_not_know_is_named_and_left_out(caplog):
    assert generation_settings({"image_aspect_ratio": "original", "num_beams": 1}) == ({"num_beams": 1}, [])
    assert "Left out, since generate knows no such setting: image_aspect_ratio." in caplog.text


def test_an_answer_ends_at_whichever_text_comes_first():
    assert cut("two dogs\nQ: how many?", ["Q:", "\n", ""]) == "two dogs"
    assert cut("two dogs", ["\n"]) == "two dogs"
