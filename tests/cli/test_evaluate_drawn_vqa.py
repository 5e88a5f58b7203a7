"""`linmap evaluate vqa --clippo`: a classifier over answers beside controls that see less."""

from __future__ import annotations

import json
import shutil

import pytest

from .conftest import photo


@pytest.fixture
def asked(tmp_path):
    """Ten photos with two questions each; the answer to the first is one of two, to the second always 2."""
    folder = tmp_path / "rooms"
    folder.mkdir()
    records = []
    for number in range(10):
        photo(number).save(folder / f"{number}.png")
        split = "train" if number < 5 else "val"
        for question, answer in (("what is on it?", "desk" if number % 3 else "lamp"), (f"how many of {number}?", "2")):
            records.append({"file": f"{number}.png", "question": question, "answers": [answer] * 10, "split": split})
    path = tmp_path / "qa.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    return path, folder


@pytest.fixture(scope="session")
def classifier_dir(tmp_path_factory):
    """A small classifier with random weights, which knows two answers of three."""
    import torch

    from linmap import ClippoConfig, ClippoForQuestionAnswering, ClippoProcessor
    from linmap.clippo.question_answering import answer_labels

    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = ClippoConfig(image_size=96, projection_dim=16, **sizes, **answer_labels(["2", "desk"]))
        model = ClippoForQuestionAnswering(config).eval()
        torch.nn.init.normal_(model.classifier.weight)
    folder = tmp_path_factory.mktemp("classifier")
    model.save_pretrained(folder)
    ClippoProcessor.for_questions(model).save_pretrained(folder)
    return folder


@pytest.fixture
def evaluate(linmap, asked, classifier_dir):
    def run(*more: object, clippo: object = classifier_dir):
        path, folder = asked
        given = ["--data", path, "--images", folder, "--split", "val", "--device", "cpu", "--clippo", clippo]
        return linmap("evaluate", "vqa", *given, *more)

    return run


def test_the_model_is_held_against_what_sees_less(evaluate):
    ran = evaluate("--support-split", "train", "--json")
    assert ran.code == 0, ran.err
    assert ran.out.count("\n") == 1
    report = json.loads(ran.out)
    rows = [row["row"] for row in report["rows"]]
    frequent = ["most frequent answer", "most frequent of its type"]
    assert rows == ["model", "blind", "other photo", *frequent, "best of its answers"]
    assert [row["row"] for row in report["above"]] == rows[1:]
    assert (report["questions"], report["photos"], report["answers"], report["sets"]) == (10, 5, 2, 5)
    found = {row["row"]: row["scores"]["VQA accuracy"]["value"] for row in report["rows"]}
    assert found["most frequent answer"] == 50.0  # "2", to every second question
    assert found["most frequent of its type"] == 80.0  # and "desk", which is right of 5, 7 and 8
    assert found["best of its answers"] == 80.0  # it does not know "lamp"
    assert found["model"] <= 80.0
    for above in report["above"]:
        score = above["scores"]["VQA accuracy"]
        assert score["value"] == pytest.approx(found["model"] - found[above["row"]], abs=0.01)
    assert {one["type"]: one["questions"] for one in report["by_type"]} == {"what is": 5, "how many": 5}


def test_the_answers_are_those_of_the_model_asked_one_by_one(evaluate, asked, classifier_dir, tmp_path):
    from linmap import ClippoForQuestionAnswering, ClippoProcessor
    from linmap.evaluation import vqa_accuracy

    model = ClippoForQuestionAnswering.from_pretrained(classifier_dir)
    processor = ClippoProcessor.from_pretrained(classifier_dir)
    records = [one for one in json.loads(asked[0].read_text(encoding="utf-8")) if one["split"] == "val"]
    images = [asked[1] / one["file"] for one in records]
    others = images[4:] + images[:4]  # the photo two places further, of five
    questions = [one["question"] for one in records]
    ran = json.loads(evaluate("--batch-size", 3, "--json", "--output", tmp_path / "out").out)
    found = {row["row"]: row["scores"]["VQA accuracy"]["value"] for row in ran["rows"]}
    for row, shown in (("model", images), ("blind", [None] * 10), ("other photo", others)):
        answers = [
            model.answers_of(model(**processor(images=[image], questions=[question], return_tensors="pt")).logits)[0]
            for image, question in zip(shown, questions, strict=True)
        ]
        score = vqa_accuracy(answers, [one["answers"] for one in records])
        assert found[row] == pytest.approx(score.value, abs=0.01)


def test_everything_is_written_and_a_second_run_answers_nothing(evaluate, tmp_path):
    first = evaluate("--support-split", "train", "--output", tmp_path / "out", "--json")
    assert first.code == 0, first.err
    names = ["answers.jsonl", "results.json", "results.md", "results.png"]
    assert sorted(file.name for file in (tmp_path / "out").iterdir() if file.name != ".lock") == names
    kept = {name: (tmp_path / "out" / name).read_bytes() for name in names}
    again = evaluate("--support-split", "train", "--output", tmp_path / "out", "--json")
    assert again.out == first.out
    assert (tmp_path / "out" / "answers.jsonl").read_bytes() == kept["answers.jsonl"]
    page = kept["results.md"].decode()
    assert "| answers | VQA accuracy |" in page
    assert "- blind: the same model, the question drawn on the background, and no photo below it" in page
    assert evaluate("--limit", 3, "--output", tmp_path / "out").code == 2


def test_people_read_what_the_rows_are(evaluate):
    ran = evaluate()
    assert ran.code == 0, ran.err
    for words in ("the model has above", "VQA accuracy by type", "what is … (5)", "2 answers to choose among"):
        assert words in ran.out
    assert "most frequent answers are not measured: say which questions the model learned from" in ran.out


def test_model_takes_the_folder_too_and_without_a_control_there_is_one_row(linmap, asked, classifier_dir):
    path, folder = asked
    given = ["--data", path, "--images", folder, "--model", classifier_dir, "--control", "none", "--device", "cpu"]
    ran = linmap("evaluate", "vqa", *given, "--json")
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    assert [row["row"] for row in report["rows"]] == ["model"]
    assert (report["above"], report["questions"]) == ([], 20)


def test_photos_that_were_learned_from_are_told(evaluate):
    ran = evaluate("--support-split", "val")
    assert ran.code == 0
    assert "5 of the photos are among those it learned from: hold photos out" in ran.out


def test_a_damaged_photo_costs_its_own_questions_in_every_row_and_stays_left_out(evaluate, asked, tmp_path):
    (asked[1] / "7.png").write_text("no photo")
    ran = evaluate("--json")
    assert ran.code == 2
    assert "7.png: it holds text" in ran.err
    more = ("--max-unreadable", 1, "--output", tmp_path / "out", "--json")
    first, again = (json.loads(evaluate(*more).out) for _ in range(2))
    assert first == again
    assert (first["questions"], first["photos"], first["left_out"]) == (8, 4, 1)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--shots", "2"], "--shots belongs to language models; --clippo reads one picture"),
        (["--dtype", "bfloat16"], "--dtype belongs to language models"),
        (["--model", "default"], "--clippo and --model each name the model; give one of them."),
        (["--limit", 1], "Input should be greater than or equal to 2"),
        (["--split", "test"], "Unknown split 'test'"),
    ],
)
def test_what_cannot_be_is_said_before_the_work(evaluate, more, says):
    ran = evaluate(*more)
    assert ran.code == 2
    assert says in " ".join(ran.err.replace("│", " ").split())


def test_answers_that_are_one_are_told_before_any_question_is_answered(evaluate, classifier_dir, tmp_path):
    folder = tmp_path / "classifier"
    shutil.copytree(classifier_dir, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"id2label": {"0": "desk", "1": "a desk"}, "label2id": {"desk": 0, "a desk": 1}}
    (folder / "config.json").write_text(json.dumps(config))
    ran = evaluate("--output", tmp_path / "out", clippo=folder)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "'desk' and 'a desk' are one answer" in ran.err
    assert not (tmp_path / "out" / "answers.jsonl").exists()


def test_answers_without_numbers_are_refused(evaluate, classifier_dir, tmp_path):
    folder = tmp_path / "classifier"
    shutil.copytree(classifier_dir, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"id2label": {"first": "desk"}}))
    ran = evaluate(clippo=folder)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "config.json holds no id2label, numbers with their answers" in ran.err


def test_a_model_that_answers_nothing_is_refused(evaluate, model_dir, tmp_path):
    from linmap import ClippoConfig, ClippoModel

    ran = evaluate(clippo=model_dir)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "questions are answered by a ClippoForQuestionAnswering" in ran.err
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    ClippoModel(ClippoConfig(image_size=96, projection_dim=16, **sizes)).save_pretrained(tmp_path / "clippo")
    ran = evaluate(clippo=tmp_path / "clippo")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "holds a ClippoModel of the type 'clippo'" in ran.err
