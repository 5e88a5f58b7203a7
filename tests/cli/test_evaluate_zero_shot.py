"""`linmap evaluate zero-shot`: class names as the classifier, chance and majority beside it, and shifted test sets."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from linmap.cli.dual_encoders import load_dual_encoder
from linmap.dual.embedding import embed_photos, embed_texts
from linmap.evaluation import classify, zero_shot_classifier


@pytest.fixture
def evaluate(linmap, dual_dir):
    def run(*more: object):
        return linmap("evaluate", "zero-shot", "--model", dual_dir, "--device", "cpu", *more)

    return run


def test_json_is_one_line_with_the_accuracy_of_the_models_own_embeddings(evaluate, classes, dual_dir):
    folder = classes(each=4)
    ran = evaluate("--images", folder, "--templates", "plain", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.count("\n") == 1
    report = json.loads(ran.out)
    dual = load_dual_encoder(str(dual_dir), "cpu")
    photos = sorted(folder.rglob("*.png"))
    classifier = zero_shot_classifier(
        lambda texts: embed_texts(*dual, texts), ["cat", "guide dog"], ["a photo of a {}."]
    )
    taken = classify(embed_photos(*dual, photos).features, classifier).tolist()
    right = sum(("cat", "guide_dog")[number] == photo.parent.name for number, photo in zip(taken, photos, strict=True))
    assert report["accuracy"] == round(100 * right / 8, 2)
    assert [one["label"] for one in report["per_class"]] == ["cat", "guide_dog"]
    assert [one["name"] for one in report["per_class"]] == ["cat", "guide dog"]
    facts = ("chance", "majority", "n", "classes", "templates", "prompts_per_class", "shift", "left_out", "plots")
    assert [report[name] for name in facts] == [50.0, 50.0, 8, 2, "plain", 1, [], 0, []]


def test_people_read_chance_and_majority_beside_the_accuracy_and_every_class(evaluate, classes, tmp_path):
    plot = tmp_path / "confusion.png"
    ran = evaluate("--images", classes(each=2), "--plot", plot)
    lines = ran.out.splitlines()
    assert "4 photos of 2 classes in" in lines[0]
    assert "80 prompts a class (imagenet-80)" in lines[0]
    assert "chance 50.0 %   majority 50.0 % (cat)" in lines[1]
    assert "most often taken for" in ran.out
    assert "guide dog" in ran.out
    with Image.open(plot) as picture:
        assert picture.format == "PNG"


def test_the_same_classifier_meets_other_test_sets_and_the_drop_is_named(evaluate, classes, tmp_path):
    first, second = classes("day", each=3), classes("dusk", each=4, first=3)
    named = ("--shift", second, "--shift", f"again={first}")
    given = ("--images", first, "--templates", "plain", *named)
    report = json.loads(evaluate(*given, "--json", "--plot", tmp_path / "all.png").out)
    rows = report["shift"]
    assert [(row["name"], row["n"]) for row in rows] == [("day", 6), ("dusk", 8), ("again", 6)]
    assert rows[0]["accuracy"] == rows[2]["accuracy"] == report["accuracy"]
    assert rows[2]["drop"] == 0
    assert rows[1]["drop"] == pytest.approx(rows[0]["accuracy"] - rows[1]["accuracy"], abs=0.02)
    assert report["plots"] == [str(tmp_path / "all.png"), str(tmp_path / "all-shift.png")]
    assert (tmp_path / "all-shift.png").is_file()
    assert "The same classifier on other test sets" in evaluate(*given).out


def test_names_and_prompts_can_be_given_in_files(evaluate, classes, tmp_path):
    names = tmp_path / "names.json"
    names.write_text(json.dumps({"guide_dog": "dog that leads the blind", "cat": "cat"}))
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a {} runs\n\nthe {} on a beach\n")
    given = ("--images", classes(each=2), "--classes", names, "--templates", prompts)
    report = json.loads(evaluate(*given, "--json").out)
    assert [one["name"] for one in report["per_class"]] == ["dog that leads the blind", "cat"]
    assert (report["templates"], report["prompts_per_class"]) == (str(prompts), 2)


def test_labels_can_stand_in_a_file_and_what_it_does_not_label_is_counted(evaluate, photos, tmp_path, caplog):
    labels = tmp_path / "labels.csv"
    labels.write_text("file,label\na.jpg,cat\nb.png,dog\n")
    report = json.loads(evaluate("--images", photos, "--labels", labels, "--json").out)
    assert report["n"] == 2
    assert "Left out 1 of 3 photos" in caplog.text


def test_limit_takes_as_many_of_each_class(evaluate, classes):
    report = json.loads(evaluate("--images", classes(), "--limit", 2, "--json").out)
    assert [one["photos"] for one in report["per_class"]] == [2, 2]


def test_a_damaged_photo_stops_unless_allowed_for(evaluate, classes):
    folder = classes(each=3)
    (folder / "cat" / "0.png").write_text("no photo")
    ran = evaluate("--images", folder, "--json")
    assert (ran.code, ran.out) == (2, "")
    assert "0.png: it holds text" in ran.err
    report = json.loads(evaluate("--images", folder, "--json", "--max-unreadable", 1).out)
    assert (report["n"], report["left_out"]) == (5, 1)


@pytest.mark.parametrize(
    ("prepare", "more", "words"),
    [
        (lambda folder: (folder / "bird").mkdir(), (), "1 of 3 classes have no photo in"),
        (lambda folder: None, ("--templates", "imagenet-8"), "Did you mean 'imagenet-80'?"),
        (lambda folder: (folder / "p.txt").write_text("a photo\n"), ("--templates", "p.txt"), "'a photo' has no {}"),
        (lambda folder: (folder / "p.txt").write_text("\n"), ("--templates", "p.txt"), "it holds no line"),
        (lambda folder: (folder / "c.txt").write_text("cat\n"), ("--classes", "c.txt"), "Unknown class 'guide_dog'"),
        (lambda folder: (folder / "l.csv").write_text("file,label\nx.png,cat\n"), ("--labels", "l.csv"), "x.png"),
        (lambda folder: None, ("--shift", "nowhere"), "There is no folder of photos nowhere"),
        (lambda folder: None, ("--shift", "a=cat", "--shift", "a=cat"), "Two test sets are called 'a'"),
        (lambda folder: None, ("--shift", "x="), "--shift x= names no folder; give --shift NAME=DIR"),
        (
            lambda folder: (folder / "l.csv").write_text("file,label\ncat/0.png,cat\n"),
            ("--labels", "l.csv"),
            "There is one class in l.csv, 'cat'; classifying tells at least two apart",
        ),
        (
            lambda folder: (folder / "a-shift.png").mkdir(),
            ("--plot", "a.png", "--shift", "cat"),
            "a-shift.png names no",
        ),
        (lambda folder: None, ("--templates", "x" * 300), "Unknown set of templates, or file, 'xxx"),
        (lambda folder: None, ("--shift", "=cat"), "or one has no name"),
    ],
    ids=[
        "empty class",
        "templates",
        "no place",
        "no prompt",
        "classes",
        "labels",
        "no shift",
        "same name",
        "no folder",
        "one class",
        "plot",
        "long name",
        "no name",
    ],
)
def test_what_does_not_fit_is_one_line(evaluate, classes, monkeypatch, prepare, more, words):
    folder = classes(each=2)
    monkeypatch.chdir(folder)
    prepare(folder)
    ran = evaluate("--images", folder, "--json", *more)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("linmap: error: ")
    assert ran.err.count("\n") == 1
    assert words in ran.err


def test_a_class_that_a_shifted_set_lacks_is_named_with_the_set(evaluate, classes, tmp_path):
    first, second = classes("day", each=2), classes("dusk", each=2)
    for file in (second / "cat").iterdir():
        file.unlink()
    ran = evaluate("--images", first, "--shift", second)
    assert ran.code == 2
    assert "cat" in ran.err
    assert "dusk" in ran.err


def test_the_confusion_of_very_many_classes_is_left_out_with_a_word(evaluate, classes, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("linmap.evaluation.plots.DRAWN_CLASSES", 1)
    folder = classes(each=2)
    given = ("--images", folder, "--shift", f"again={folder}", "--templates", "plain", "--json")
    report = json.loads(evaluate(*given, "--plot", tmp_path / "a.png").out)
    assert report["plots"] == [str(tmp_path / "a-shift.png")]
    assert "The confusion of 2 classes is not drawn, at most 1 are" in caplog.text
    assert str(report["shift"][1]["drop"]) == "0.0"
