"""`linmap evaluate probe`: a linear classifier on frozen features, beside zero-shot and chance."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from linmap.cli.dual_encoders import load_dual_encoder
from linmap.cli.evaluate.probe import held_out
from linmap.data import Labelled
from linmap.dual.embedding import photo_features
from linmap.evaluation import linear_probe


@pytest.fixture
def evaluate(linmap, dual_dir):
    def run(*more: object, model: object = dual_dir):
        given = ["--model", model, "--device", "cpu", "--templates", "plain"]
        return linmap("evaluate", "probe", *given, *more)

    return run


def test_json_is_one_line_with_the_probe_of_the_features_in_front_of_the_head(evaluate, classes, dual_dir):
    train, test = classes("train"), classes("test", each=4, first=10)
    ran = evaluate("--images", train, "--test-images", test, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.count("\n") == 1
    report = json.loads(ran.out)
    dual = load_dual_encoder(str(dual_dir), "cpu")
    seen = photo_features(*dual, sorted(train.rglob("*.png"))).features
    met = photo_features(*dual, sorted(test.rglob("*.png"))).features
    found = linear_probe(seen, [0] * 6 + [1] * 6, met, [0] * 4 + [1] * 4)
    assert report["accuracy"] == round(found.test.accuracy, 2)
    assert (report["strength"], report["train"], report["n"]) == (found.strength, 12, 8)
    assert report["sweep"] == [[strength, round(accuracy, 2)] for strength, accuracy in found.sweep]
    assert (report["chance"], report["majority"], report["test_share"]) == (50.0, 50.0, None)
    assert report["zero_shot"].keys() == {"accuracy", "mean_per_class", "templates"}


def test_without_test_photos_a_share_of_each_class_is_held_out(evaluate, classes):
    report = json.loads(evaluate("--images", classes(), "--test-share", 0.34, "--json").out)
    assert [one["photos"] for one in report["per_class"]] == [2, 2]
    assert (report["train"], report["test_share"]) == (8, 0.34)


def test_what_is_held_out_follows_the_seed_and_leaves_two_to_train_on():
    labelled = [Labelled(Path(f"{label}{number}.jpg"), label) for label in "ab" for number in range(20)]
    train, test = held_out(labelled, 0.2, seed=0)
    assert len(test) == 8
    assert {*train} | {*test} == {*labelled}
    assert not {*train} & {*test}
    assert held_out(labelled, 0.2, seed=0) == (train, test)
    assert held_out(labelled, 0.2, seed=1) != (train, test)
    assert len(held_out(labelled[:3], 0.9, seed=0)[0]) == 2


def test_people_read_zero_shot_majority_and_chance_under_the_probe(evaluate, classes, tmp_path):
    ran = evaluate("--images", classes(), "--shots", 2, "--shots", 1, "--plot", tmp_path / "probe.png")
    assert ran.code == 0, ran.err
    for words in ("linear probe", "zero-shot (plain)", "majority (cat)", "chance", "photos a class", "spread"):
        assert words in ran.out
    for name in ("probe.png", "probe-confusion.png", "probe-shots.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.format == "PNG"


@pytest.mark.parametrize("name", ["probe-confusion.png", "probe-shots.png"])
def test_a_further_plot_that_cannot_be_written_is_said_before_any_work(evaluate, tmp_path, name, dual_dir):
    (tmp_path / name).mkdir()
    ran = evaluate("--images", "nowhere", "--shots", 1, "--plot", tmp_path / "probe.png")
    assert (ran.code, ran.out) == (2, "")
    assert f"--plot: {tmp_path / name} names no PNG file" in ran.err


def test_probes_on_a_few_photos_have_a_mean_and_a_spread(evaluate, classes):
    report = json.loads(evaluate("--images", classes(), "--shots", 2, "--shots", 1, "--json").out)
    assert [row["shots"] for row in report["shots"]] == [1, 2]
    assert [len(row["accuracies"]) for row in report["shots"]] == [3, 3]


def test_the_same_folder_with_other_labels_can_be_the_test(evaluate, classes, tmp_path):
    folder = classes(each=4)
    for name, numbers in (("train", (0, 1, 2)), ("test", (3,))):
        rows = [f"{label}/{number}.png,{label}" for label in ("cat", "guide_dog") for number in numbers]
        (tmp_path / f"{name}.csv").write_text("\n".join(["file,label", *rows]))
    given = ("--images", folder, "--labels", tmp_path / "train.csv", "--test-labels", tmp_path / "test.csv")
    report = json.loads(evaluate(*given, "--json").out)
    assert (report["train"], report["n"]) == (6, 2)


def test_photos_that_are_trained_and_tested_on_are_counted(evaluate, classes, caplog):
    folder = classes(each=3)
    assert evaluate("--images", folder, "--test-images", folder, "--json").code == 0
    assert "6 of 6 test photos are trained on too" in caplog.text


def test_a_model_without_a_text_tower_is_probed_without_zero_shot(evaluate, classes, tmp_path):
    from linmap import DualEncoderModel, DualEncoderProcessor
    from linmap.text_encoders.open_clip_tokens import clip_tokenizer

    random = {"pretrained": False, "seed": 0}
    model = DualEncoderModel.from_backbones("timm:test_vit", None, text_feature_dim=8, image_encoder_kwargs=random)
    model.save_pretrained(tmp_path / "images-only")
    DualEncoderProcessor.for_model(model, tokenizer=clip_tokenizer()).save_pretrained(tmp_path / "images-only")
    report = json.loads(evaluate("--images", classes(), "--json", model=tmp_path / "images-only").out)
    assert report["zero_shot"] is None
    assert report["n"] == 2


def test_too_few_photos_of_a_class_are_one_line(evaluate, classes):
    ran = evaluate("--images", classes(each=2), "--json")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
    assert "2 of 2 classes have fewer than three photos, such as 'cat'" in ran.err
    ran = evaluate("--images", classes("more", each=4), "--shots", 3)
    assert ran.code == 2
    assert "'cat' has" in ran.err


def test_without_scikit_learn_it_says_what_to_install_before_any_work(evaluate, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    ran = evaluate("--images", "nowhere", model="nowhere")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == ("linmap: error: scikit-learn is not installed. Run: python -m pip install 'linmap[eval]'\n")


def test_help_names_the_extra(linmap):
    assert "linmap[eval]" in linmap("evaluate", "probe", "--help").out
