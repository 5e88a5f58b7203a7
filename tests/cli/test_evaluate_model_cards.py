"""`--update-card`: what was measured stands in the card of the model's folder, beside its controls."""

from __future__ import annotations

import json
import shutil

import pytest
from huggingface_hub import ModelCard

from linmap.cards import is_untouched, write_model_card
from linmap.cards.card import KINDS
from linmap.cards.facts import facts_of


@pytest.fixture
def mine(tmp_path, model_folder):
    """`mine(kind)`: a model folder of one's own."""
    return lambda kind: shutil.copytree(model_folder(kind), tmp_path / "mine")


@pytest.fixture
def questions(tmp_path, photos):
    """Questions about `photos`, each with one answer."""
    asked = [
        {"file": name, "question": "what is on the desk?", "answer": "lamp", "split": "test"}
        for name in ("a.jpg", "b.png", "c.jpg")
    ]
    path = tmp_path / "questions.json"
    path.write_text(json.dumps(asked), encoding="utf-8")
    return path


def results_of(folder):
    """By the metric, and what it is held against, the value in the card's header."""
    results = ModelCard.load(folder / "README.md").data.eval_results
    return {(one.metric_args["metric"], one.metric_args.get("control")): one for one in results}


@pytest.mark.parametrize("option", ["--model", "--clippo"])
def test_recall_stands_in_the_card_beside_chance_and_the_control(linmap, mine, photos, captions, option):
    folder = mine("dual_encoder" if option == "--model" else "clippo")
    words = ["--data", captions, "--images", photos, "--split", "val", option, folder, "--control", "blind"]
    ran = linmap("evaluate", "retrieval", *words, "--update-card")
    assert ran.code == 0, ran.err
    assert ran.out.rstrip().endswith(f"written: {folder / 'README.md'}")
    report = json.loads(linmap("evaluate", "retrieval", *words, "--json").out)
    found = results_of(folder)
    for control, said in ((None, report), ("chance", report["chance"]), ("blind", report["control"])):
        for way, name in (("text_to_image", "text to image"), ("image_to_text", "image to text")):
            for k, value in said[way].items():
                assert found[f"{name} {k}, %", control].metric_value == value
    one = found["text to image R@1, %", None]
    assert (one.dataset_split, one.metric_args["photos"], one.metric_args["texts"]) == ("val", 2, 3)
    assert one.metric_args["command"].startswith("linmap evaluate retrieval --data ")
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "| this model | chance | blind control |" in text
    assert is_untouched(text)


def test_zero_shot_accuracy_stands_in_the_card_beside_chance_and_majority(linmap, mine, classes):
    folder = mine("dual_encoder")
    words = ["--images", classes("day"), "--shift", f"night={classes('night', 4)}", "--model", folder, "--json"]
    ran = linmap("evaluate", "zero-shot", *words, "--update-card")
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    results = ModelCard.load(folder / "README.md").data.eval_results
    found = {(one.dataset_name.rpartition("/")[2], one.metric_name): one.metric_value for one in results}
    assert found["day", "zero-shot accuracy, %"] == report["accuracy"]
    assert found["day", "zero-shot accuracy, % (chance)"] == report["chance"] == 50
    assert found["day", "zero-shot accuracy, % (majority)"] == report["majority"]
    assert found["night", "zero-shot accuracy, %"] == report["shift"][1]["accuracy"]
    assert "| this model | chance | majority |" in (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.weights  # WUPS asks WordNet
def test_answers_stand_in_the_card_beside_the_blind_model_for_each_number_of_examples(linmap, mine, photos, questions):
    folder = mine("linear_vision_prefix")
    words = ["--data", questions, "--images", photos, "--shots", "0,1", "--supports", 1, "--model", folder]
    ran = linmap("evaluate", "vqa", *words, "--update-card")
    assert ran.code == 0, ran.err
    results = ModelCard.load(folder / "README.md").data.eval_results
    assert {one.task_type for one in results} == {"visual-question-answering"}
    assert {one.metric_args["decoding"] for one in results} == {"0 shots, greedy", "1 shots, greedy"}
    assert {one.metric_args.get("control") for one in results} == {None, "blind"}


@pytest.mark.weights  # WUPS asks WordNet
def test_chosen_answers_stand_in_the_card_beside_every_control(linmap, mine, photos, questions):
    folder = mine("clippo_question_answering")
    words = ["--data", questions, "--images", photos, "--clippo", folder, "--support-data", questions]
    ran = linmap("evaluate", "vqa", *words, "--update-card")
    assert ran.code == 0, ran.err
    text = (folder / "README.md").read_text(encoding="utf-8")
    for column in ("this model", "blind control", "other photo control", "most frequent answer", "best of its answers"):
        assert f"| {column} |" in text


@pytest.mark.parametrize(
    "words",
    [
        ("retrieval", "--data", "captions.json", "--images", "photos"),
        ("zero-shot", "--images", "photos"),
        ("vqa", "--data", "questions.json", "--images", "photos"),
    ],
    ids=lambda words: words[0],
)
def test_a_bundled_model_has_no_card_to_write_into(linmap, words):
    ran = linmap("evaluate", *words, "--update-card")
    assert ran.code == 2
    assert "--update-card writes into the folder of a model, and the bundled" in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_card_made_from_the_configuration_alone_is_the_one_that_saving_wrote(model_folder, tmp_path, kind):
    folder = model_folder(kind)
    path = write_model_card(tmp_path, **facts_of(json.loads((folder / "config.json").read_text(encoding="utf-8"))))
    assert path.read_text(encoding="utf-8") == (folder / "README.md").read_text(encoding="utf-8")
