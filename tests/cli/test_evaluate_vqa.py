"""`linmap evaluate vqa`: one command gives the table, the files, and goes on where it was cut off."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from .conftest import photo


@pytest.fixture
def asked(tmp_path):
    """Ten photos with two questions each, which ten people answered."""
    folder = tmp_path / "rooms"
    folder.mkdir()
    records = []
    for number in range(10):
        photo(number).save(folder / f"{number}.png")
        split = "train" if number < 5 else "val"
        for question, answer in (("what is on the desk?", "a book"), (f"how many of {number}?", "2")):
            record = {"file": f"{number}.png", "question": question, "answers": [answer] * 10, "split": split}
            records.append(record)
    path = tmp_path / "qa.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    return path, folder


@pytest.fixture
def evaluate(linmap, asked, model_dir):
    def run(*more: object, data: object = None):
        path, folder = asked
        given = ["--data", data or path, "--images", folder, "--model", model_dir, "--device", "cpu"]
        return linmap("evaluate", "vqa", *given, "--supports", 2, *more)

    return run


def test_one_command_gives_shots_by_model_and_blind(evaluate):
    ran = evaluate("--shots", "0,1,2", "--json")
    assert ran.code == 0, ran.err
    assert ran.out.count("\n") == 1
    report = json.loads(ran.out)
    assert [(row["row"], row["shots"]) for row in report["rows"]] == [
        (row, shots) for row in ("model", "blind") for shots in (0, 1, 2)
    ]
    assert all(set(row["scores"]) == {"VQA accuracy"} for row in report["rows"])
    assert (report["questions"], report["photos"], report["supports"]) == (12, 6, 2)  # 2 sets of 2 photos are held out
    assert report["prompt"] == "<image>Q: {question} A:"


def test_people_read_a_table_and_what_blind_means(evaluate):
    ran = evaluate("--shots", "0,2")
    assert ran.code == 0, ran.err
    assert "0 shots" in ran.out
    assert "blind: the language model alone with the same texts" in ran.out
    assert "drawn with seed 0" in ran.out


def test_everything_is_written_and_a_second_run_answers_nothing(evaluate, tmp_path):
    first = evaluate("--shots", "0,2", "--output", tmp_path / "out", "--json")
    assert first.code == 0, first.err
    names = ["answers.jsonl", "results.json", "results.md", "results.png"]
    assert sorted(file.name for file in (tmp_path / "out").iterdir() if file.name != ".lock") == names
    kept = {name: (tmp_path / "out" / name).read_bytes() for name in names}
    assert evaluate("--shots", "0,2", "--output", tmp_path / "out", "--json").out == first.out
    assert {name: (tmp_path / "out" / name).read_bytes() for name in names} == kept
    page = kept["results.md"].decode()
    assert "| VQA accuracy | 0 shots | 2 shots |" in page
    assert "linmap evaluate vqa --data" in page


def test_what_is_missing_is_answered_and_comes_out_the_same(evaluate, tmp_path):
    whole = evaluate("--shots", "0,2", "--output", tmp_path / "whole", "--json")
    evaluate("--shots", "0,2", "--output", tmp_path / "cut", "--json")
    answers = tmp_path / "cut" / "answers.jsonl"
    content = answers.read_bytes()
    answers.write_bytes(content[: len(content) // 2])
    again = evaluate("--shots", "0,2", "--output", tmp_path / "cut", "--json")
    assert json.loads(again.out)["rows"] == json.loads(whole.out)["rows"]
    assert answers.read_bytes() == content


def test_other_questions_or_examples_are_refused_in_the_same_folder(evaluate, tmp_path):
    evaluate("--shots", "0,1", "--output", tmp_path / "out")
    ran = evaluate("--shots", "0,1", "--seed", 1, "--output", tmp_path / "out")
    assert ran.code == 2
    assert "answers of another run: questions was" in ran.err
    assert ran.err.count("\n") == 1


def test_another_photo_under_the_same_name_is_refused_in_the_same_folder(evaluate, asked, tmp_path):
    evaluate("--shots", "0", "--output", tmp_path / "out")
    photo(3).resize((9, 9)).save(asked[1] / "7.png")
    ran = evaluate("--shots", "0", "--output", tmp_path / "out")
    assert ran.code == 2
    assert "answers of another run: questions was" in ran.err


def test_two_runs_never_write_into_one_folder(evaluate, tmp_path):
    from linmap.cli.evaluate.caption_run import results_folder

    with results_folder(tmp_path / "out", "vqa"):
        ran = evaluate("--shots", "0", "--output", tmp_path / "out")
    assert ran.code == 2
    assert "Another run is writing in" in ran.err


def test_a_picture_that_cannot_be_written_does_not_cost_the_numbers(evaluate, tmp_path):
    (tmp_path / "out" / "results.png").mkdir(parents=True)
    ran = evaluate("--shots", "0", "--output", tmp_path / "out", "--json")
    assert ran.code == 2
    assert json.loads(ran.out)["questions"] == 20
    assert "results.png cannot be written" in ran.err


def test_a_model_without_an_encoder_is_refused(linmap, asked, tmp_path, tiny_lm_dir):
    from linmap import LinearVisionPrefixModel, LinearVisionPrefixProcessor

    model = LinearVisionPrefixModel.from_backbones(None, str(tiny_lm_dir("llama")), feature_dim=4, num_image_tokens=1)
    model.save_pretrained(tmp_path / "blind", include_backbones=True)
    LinearVisionPrefixProcessor.for_model(model).save_pretrained(tmp_path / "blind")
    given = ["--data", asked[0], "--images", asked[1], "--supports", 1, "--shots", "0", "--device", "cpu"]
    ran = linmap("evaluate", "vqa", *given, "--model", tmp_path / "blind")
    assert ran.code == 2
    assert "This model holds no image encoder" in ran.err


def test_the_answers_do_not_depend_on_the_batch_size(evaluate):
    reports = [json.loads(evaluate("--shots", "0,2", "--batch-size", size, "--json").out) for size in (1, 32)]
    assert reports[0]["rows"] == reports[1]["rows"]


def test_without_a_control_only_the_model_is_measured(evaluate):
    report = json.loads(evaluate("--shots", "0", "--control", "none", "--json").out)
    assert [row["row"] for row in report["rows"]] == ["model"]


def test_examples_come_from_another_split(evaluate):
    report = json.loads(evaluate("--split", "val", "--support-split", "train", "--shots", "2", "--json").out)
    assert (report["questions"], report["photos"]) == (10, 5)
    assert report["support_data"].endswith("qa.json, split train")


def test_a_damaged_photo_costs_its_own_questions_in_every_row_and_stays_left_out(evaluate, asked, tmp_path):
    _, folder = asked
    more = ("--split", "val", "--support-split", "train", "--shots", "0,1", "--output", tmp_path / "out", "--json")
    (folder / "7.png").write_text("no photo")
    ran = evaluate(*more)
    assert ran.code == 2
    assert "7.png: it holds text" in ran.err
    first, again = (json.loads(evaluate(*more, "--max-unreadable", 1).out) for _ in range(2))
    assert first == again
    assert (first["questions"], first["photos"], first["left_out"]) == (8, 4, 1)


def test_a_damaged_photo_of_an_example_is_an_error(evaluate, asked):
    _, folder = asked
    for number in range(5):
        (folder / f"{number}.png").write_text("no photo")
    ran = evaluate("--split", "val", "--support-split", "train", "--shots", "1", "--max-unreadable", 5)
    assert ran.code == 2
    assert "png: it holds text" in ran.err
    assert ran.err.count("\n") == 1


def test_vqav2_is_scored_by_its_accuracy(evaluate, tmp_path, asked):
    questions = [{"image_id": f"{n}.png", "question": "is it?", "question_id": n} for n in range(10)]
    answers = [{"question_id": n, "answers": [{"answer": "yes"}] * 10} for n in range(10)]
    (tmp_path / "q.json").write_text(json.dumps({"questions": questions}))
    (tmp_path / "a.json").write_text(json.dumps({"annotations": answers}))
    ran = evaluate("--annotations", tmp_path / "a.json", "--shots", "1", "--json", data=tmp_path / "q.json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["metrics"] == ["VQA accuracy"]


def test_a_saved_dataset_is_read(linmap, asked, tmp_path, model_dir):
    import datasets

    _, folder = asked
    rows = {
        "image": [str(folder / f"{n}.png") for n in range(6)],
        "question": ["what?"] * 6,
        "answers": [["a"] * 10] * 6,
    }
    datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image()).save_to_disk(str(tmp_path / "saved"))
    given = ["--data", tmp_path / "saved", "--model", model_dir, "--device", "cpu", "--supports", 1, "--shots", "1"]
    ran = linmap("evaluate", "vqa", *given, "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["questions"] == 5


@pytest.mark.weights
def test_single_answers_are_scored_as_daquars(evaluate, asked, tmp_path):
    records = json.loads(asked[0].read_text(encoding="utf-8"))
    single = [{**{key: one[key] for key in ("file", "question")}, "answer": "tape_dispenser, book"} for one in records]
    (tmp_path / "single.json").write_text(json.dumps(single))
    ran = evaluate("--shots", "0,1", data=tmp_path / "single.json")
    assert ran.code == 0, ran.err
    assert all(heading in ran.out for heading in ("exact match", "WUPS 0.9", "WUPS 0.0"))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--shots", "two"], "--shots: 'two' is no whole number from 0 to 64"),
        (["--shots", "1000"], "--shots: '1000' is no whole number from 0 to 64"),
        (["--shots", "4", "--supports", "8"], "8 sets of 4 examples need 32 photos, and there are 10 to draw from"),
        (["--split", "test"], "Unknown split 'test'"),
        (["--device", "gpu"], "Unknown device 'gpu'"),
    ],
)
def test_what_cannot_be_is_said_before_the_work(evaluate, more, says):
    ran = evaluate(*more)
    assert ran.code == 2
    assert says in " ".join(ran.err.replace("│", " ").split())


def test_the_folder_of_photos_is_asked_for(linmap, asked):
    ran = linmap("evaluate", "vqa", "--data", asked[0])
    assert ran.code == 2
    assert "names photos; say where they lie: --images DIR." in ran.err


def test_a_kill_loses_no_answer_that_is_written(asked, model_dir, tmp_path, evaluate):
    path, folder = asked
    given = ["--data", path, "--images", folder, "--model", model_dir, "--device", "cpu", "--supports", 2]
    given += ["--shots", "0,1,2", "--batch-size", 1, "--output", tmp_path / "killed"]
    whole = json.loads(evaluate("--shots", "0,1,2", "--json", "--output", tmp_path / "whole").out)
    running = subprocess.Popen([sys.executable, "-m", "linmap", "evaluate", "vqa", *map(str, given)], env=os.environ)
    answers = tmp_path / "killed" / "answers.jsonl"
    deadline = time.monotonic() + 60
    while not answers.exists() and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert answers.exists()
    report = json.loads(evaluate("--shots", "0,1,2", "--output", tmp_path / "killed", "--json").out)
    assert report["rows"] == whole["rows"]
    assert answers.read_bytes() == (tmp_path / "whole" / "answers.jsonl").read_bytes()


def test_help_says_what_blind_is(linmap):
    ran = linmap("evaluate", "vqa", "--help")
    assert ran.code == 0
    assert "blind" in ran.out
