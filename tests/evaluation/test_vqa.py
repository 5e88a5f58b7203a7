"""Scores of answers by shots, their table and plot, and the file that answers are kept in."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image
from rich.console import Console

from linmap.errors import EvaluationError, OutputFolderError, UnknownNameError
from linmap.evaluation.vqa import AnswersScore, plot_vqa, score_answers, vqa_metrics_for, vqa_table
from linmap.evaluation.written_answers import WrittenAnswers

ROWS = {"model": {0: AnswersScore(10.0, (8.0, 12.0)), 4: AnswersScore(20.0, (20.0, 20.0))}, "blind": {}}
ROWS["blind"] = {0: AnswersScore(5.0, (5.0,)), 4: AnswersScore(6.0, (6.0,))}


def test_the_score_is_the_mean_over_questions_and_each_support_has_its_own():
    answers, references = ["red", "blue", "2", "3"], [["red"], ["red"], ["2"], ["3"]]
    score = score_answers(answers, references, ["exact match"], supports=[0, 0, 1, 1])["exact match"]
    assert (score.value, score.by_support) == (75.0, (50.0, 100.0))
    assert score.error == pytest.approx(25.0)


def test_the_score_of_each_metric_is_that_of_its_own_function():
    from linmap.evaluation.vqa_accuracy import vqa_accuracy

    references = [["yes"] * 8 + ["no"] * 2, ["2"] * 10]
    found = score_answers(["no", "two"], references, ["VQA accuracy", "exact match"])
    assert found["VQA accuracy"].value == vqa_accuracy(["no", "two"], references).value == pytest.approx(80.0)
    assert found["exact match"].value == 100.0


@pytest.mark.weights
def test_wups_counts_near_words():
    found = score_answers(["couch", "cat"], [["sofa"], ["dog"]], ["WUPS 0.9", "WUPS 0.0"])
    assert found["WUPS 0.9"].value < found["WUPS 0.0"].value


def test_one_set_has_no_error():
    assert AnswersScore(5.0, (5.0,)).error is None


def test_ten_answers_to_every_question_ask_for_vqa_accuracy():
    assert vqa_metrics_for([["a"] * 10, ["b"] * 10]) == ("VQA accuracy",)
    assert vqa_metrics_for([["a"] * 10, ["b"]]) == ("exact match", "WUPS 0.9", "WUPS 0.0")


def test_what_does_not_fit_is_said():
    with pytest.raises(UnknownNameError, match=r"Unknown metric of answers 'WUPS'\. Did you mean"):
        score_answers(["a"], [["a"]], ["WUPS"])
    with pytest.raises(EvaluationError, match="1 numbers of sets were given for 2 answers"):
        score_answers(["a", "b"], [["a"], ["b"]], ["exact match"], supports=[0])


def test_the_table_has_the_papers_form():
    console = Console(file=io.StringIO(), width=100)
    console.print(vqa_table("exact match", ROWS))
    lines = [line.split() for line in console.file.getvalue().splitlines() if line.strip()]
    assert lines[0] == ["exact", "match", "0", "shots", "4", "shots"]
    assert lines[2] == ["model", "10.0", "±", "2.0", "20.0", "±", "0.0"]
    assert lines[3] == ["blind", "5.0", "6.0"]


def test_the_plot_is_a_picture_with_one_panel_a_metric(tmp_path):
    plot_vqa({"exact match": ROWS}, tmp_path / "one.png")
    plot_vqa({"exact match": ROWS, "WUPS 0.9": ROWS}, tmp_path / "two.png")
    assert Image.open(tmp_path / "one.png").width < Image.open(tmp_path / "two.png").width


# ---------------------------------------------------------------------------------------------------------------------
# Answers kept on the way.

IDENTITY = {"model": "abc", "decoding": {"num_beams": 1}}


def test_answers_come_back_from_the_file(tmp_path):
    written = WrittenAnswers(tmp_path / "new" / "answers.jsonl", IDENTITY)
    written.add("model", 0, {"1": "red", "2": "ein Hündchen \ud83d"})
    written.leave_out("b.jpg", "it is empty")
    again = WrittenAnswers(tmp_path / "new" / "answers.jsonl", IDENTITY)
    assert again.answers == written.answers == {("model", 0): {"1": "red", "2": "ein Hündchen \ud83d"}}
    assert again.unreadable == {"b.jpg": "it is empty"}
    assert again.has("model", 0, ["1", "2"])
    assert not again.has("model", 1, ["1"])
    assert again.has("blind", 1, [])


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_piece_of_a_line_is_cut_off_and_the_file_ends_the_same(tmp_path, cut):
    path = tmp_path / "answers.jsonl"
    written = WrittenAnswers(path, IDENTITY)
    written.add("model", 0, {"1": "red"})
    written.add("model", 1, {"1": "blue"})
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    again = WrittenAnswers(path, IDENTITY)
    for shots, answer in ((0, "red"), (1, "blue")):
        if not again.has("model", shots, ["1"]):
            again.add("model", shots, {"1": answer})
    assert path.read_bytes() == whole


def test_answers_of_another_run_are_refused(tmp_path):
    path = tmp_path / "answers.jsonl"
    WrittenAnswers(path, IDENTITY).add("model", 0, {"1": "red"})
    with pytest.raises(OutputFolderError, match=r"answers of another run: model was 'abc', and is 'other' now\. Name"):
        WrittenAnswers(path, IDENTITY | {"model": "other"})
    path.write_text("something else\n")
    with pytest.raises(OutputFolderError, match="does not say what its answers are of"):
        WrittenAnswers(path, IDENTITY)


@pytest.mark.parametrize("line", ["nonsense", "[]", json.dumps({"row": "model"}), json.dumps({"row": 1, "shots": 0})])
def test_what_stands_behind_a_damaged_line_is_made_anew(tmp_path, line, caplog):
    path = tmp_path / "answers.jsonl"
    written = WrittenAnswers(path, IDENTITY)
    written.add("model", 0, {"1": "red"})
    kept = path.read_text()
    path.write_text(kept + line + "\n" + json.dumps({"row": "model", "shots": 1, "answers": {"1": "a"}}) + "\n")
    again = WrittenAnswers(path, IDENTITY)
    assert again.answers == {("model", 0): {"1": "red"}}
    assert "line 3 is damaged; it and the 1 after it are made anew" in caplog.text
    again.add("model", 1, {"1": "blue"})
    assert path.read_text().startswith(kept)
    assert path.read_text().count("\n") == 3


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputFolderError, match="cannot be written"):
        WrittenAnswers(tmp_path / "file" / "answers.jsonl", IDENTITY).add("model", 0, {})
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputFolderError, match="cannot be read"):
        WrittenAnswers(tmp_path / "folder", IDENTITY)
