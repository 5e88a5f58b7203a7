"""VQA accuracy and exact match: the rule, the normal form, agreement with the official evaluation code."""

from __future__ import annotations

import json
import random
from itertools import combinations

import pytest

from linmap.errors import EvaluationError
from linmap.evaluation import exact_match, normalise_answer, vqa_accuracy


@pytest.fixture(scope="module")
def official(repository):
    return json.loads((repository / "tests" / "golden" / "limber" / "vqa_answers.json").read_text(encoding="utf-8"))


def test_the_normal_form_is_that_of_the_official_code(official):
    assert len(official["normalised"]) > 50
    assert {text: normalise_answer(text) for text in official["normalised"]} == official["normalised"]


def test_accuracies_are_those_of_the_official_code(official):
    rows = official["questions"]
    score = vqa_accuracy([row["answer"] for row in rows], [row["people"] for row in rows])
    assert score.per_question == pytest.approx([row["accuracy"] for row in rows], abs=1e-5)
    assert len(set(score.per_question)) == 5


def test_the_normal_form_of_a_normal_form_is_itself(official):
    for form in official["normalised"].values():
        assert normalise_answer(form) == form


@pytest.mark.parametrize(("matches", "accuracy"), [(0, 0), (1, 30), (2, 60), (3, 90), (4, 100), (10, 100)])
def test_of_ten_people_each_who_agrees_counts_30_up_to_100(matches, accuracy):
    score = vqa_accuracy(["dog"], [["dog"] * matches + ["cat"] * (10 - matches)])
    assert score.value == pytest.approx(accuracy)


def test_the_rule_is_the_mean_over_all_subsets_that_lack_one_person():
    draw = random.Random(0)
    for people in range(4, 12):
        said = [draw.choice("ab") for _ in range(people)]
        subsets = list(combinations(said, people - 1))
        expected = sum(min(subset.count("a") / 3, 1) for subset in subsets) / len(subsets)
        assert vqa_accuracy(["a"], [said]).value == pytest.approx(100 * expected)


def test_the_order_of_the_people_does_not_matter():
    people = ["red", "dark red", "red", "maroon", "red", "brown", "red", "red", "red", "pink"]
    shuffled = random.Random(1).sample(people, len(people))
    assert vqa_accuracy(["red"], [people]) == vqa_accuracy(["red"], [shuffled])


def test_peoples_answers_are_brought_into_the_same_form():
    # the official code leaves a person's "none" and "on the table" as they are, so that nobody can match them
    assert vqa_accuracy(["none", "on the table"], [["None"] * 10, ["on the table"] * 10]).value == 100


def test_an_empty_answer_scores_nothing():
    assert vqa_accuracy([" the "], [["dog"] * 10]).value == 0


def test_exact_match_takes_any_of_several_right_answers():
    assert exact_match(["Two cats.", "one"], [["2 cats", "cats"], ["2", "3"]]).per_question == (100, 0)


def test_exact_match_takes_things_apart_by_commas_in_any_order():
    score = exact_match(["chair, the table", "table", "chair, table, lamp"], ["table,chair"] * 3)
    assert score.per_question == (100, 0, 0)


def test_an_empty_answer_matches_nothing():
    assert exact_match(["", ","], ["dog", ["a,b"]]).value == 0


@pytest.mark.parametrize("score", [vqa_accuracy, exact_match])
@pytest.mark.parametrize(
    ("answers", "references", "words"),
    [
        (["yes"], [], "1 answers to 0 questions"),
        ([], [], "There is no question"),
        ([None], [["yes"] * 10], "The answer to question 0 must be a text; found None"),
        (["yes", "no"], [["yes"] * 10, []], "Question 1 needs at least one right answer"),
        (["yes"], [["yes"] * 9 + [3]], "Question 0 needs at least one right answer, in words"),
        (["yes"], [["yes"] * 9 + [" "]], "Question 0 needs at least one right answer, in words"),
        (["yes"], [7], "Question 0 needs at least one right answer, in words; found 7"),
    ],
)
def test_what_cannot_be_scored_is_an_error(score, answers, references, words):
    with pytest.raises(EvaluationError, match=words):
        score(answers, references)


@pytest.mark.parametrize("people", [["yes"] * 3, "yes"])
def test_vqa_accuracy_of_fewer_than_four_people_is_an_error(people):
    with pytest.raises(EvaluationError, match=r"at least four people to a question .*question 0 has.*`exact_match`"):
        vqa_accuracy(["yes"], [people])
