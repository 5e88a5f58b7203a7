"""WUPS: what the authors' script gives for answers of DAQUAR, and laws."""

from __future__ import annotations

import json

import pytest

from linmap.errors import EvaluationError
from linmap.evaluation import exact_match, wups

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def rows(repository):
    folder = repository / "tests" / "golden" / "limber"
    return json.loads((folder / "wups.json").read_text(encoding="utf-8"))["answers"]


@pytest.mark.parametrize(("threshold", "column"), [(0.9, 2), (0.0, 3)])
def test_scores_of_sets_of_things_are_those_of_the_authors_script(rows, threshold, column):
    score = wups([row[0] for row in rows], [row[1] for row in rows], threshold)
    assert score.per_question == pytest.approx([row[column] for row in rows], abs=1e-9)
    assert 0 < score.value < 100


def test_near_words_count_by_how_near_they_are():
    near, far, none = wups(["curtain", "stove", "blorb"], ["blinds", "fire extinguisher", "sofa"]).per_question
    assert near == pytest.approx(94.12, abs=0.01)
    assert far == pytest.approx(8.235, abs=0.001)  # 0.82 is below 0.9: a tenth
    assert none == 0


def test_without_a_threshold_nothing_is_weighed_down_and_with_1_only_synonyms_count_whole():
    assert wups(["stove"], ["fire extinguisher"], 0).value == pytest.approx(82.35, abs=0.01)
    assert wups(["curtain", "couch"], ["blinds", "sofa"], 1).per_question == pytest.approx((9.412, 100), abs=0.001)


def test_an_answer_that_matches_exactly_scores_100():
    answers = ["table, chair", "2", "blorb_2", "red"]
    assert exact_match(answers, answers).value == wups(answers, answers).value == 100


def test_sets_have_no_order_and_every_thing_of_both_counts():
    assert wups(["a chair, the table."], ["Table,chair"]).value == 100
    assert wups(["chair"], ["chair, table"]).value < 100
    assert wups(["chair, table"], ["chair"]).value < 100


def test_of_several_right_answers_the_nearest_counts():
    several = wups(["couch"], [["dog", "sofa"]])
    assert several.value == 100
    assert several.per_question == wups(["couch"], ["sofa"]).per_question


def test_an_empty_answer_scores_nothing():
    assert wups(["", " , ", "."], ["chair", "chair", "chair"]).value == 0


def test_words_that_wordnet_does_not_know_are_named():
    assert wups(["blorb, chair", "zzyx"], ["chair", "zzyx"]).unknown == ("blorb", "zzyx")


def test_a_name_of_a_sense_in_an_answer_is_a_word_like_any():
    score = wups(["dog.n.01", "x.n.y", "dog"], ["dog", "dog", "dog.n.01"])  # no sense is called x.n.y
    assert score.value == 0
    assert score.unknown == ("dog.n.01", "x.n.y")


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_that_is_no_likeness_is_an_error(threshold):
    with pytest.raises(EvaluationError, match="threshold of WUPS is a likeness, 0 to 1"):
        wups(["cat"], ["dog"], threshold)


def test_what_cannot_be_scored_is_an_error():
    with pytest.raises(EvaluationError, match="1 answers to 0 questions"):
        wups(["cat"], [])
