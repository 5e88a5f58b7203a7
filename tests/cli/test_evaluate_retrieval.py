"""`linmap evaluate retrieval`: recall both ways in a shared space, chance and controls beside it."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image

from linmap.cli.dual_encoders import load_dual_encoder
from linmap.cli.evaluate.pairs import embed_behind_random_encoder
from linmap.dual.embedding import embed_photos, embed_texts
from linmap.evaluation import retrieval_recall

from .conftest import CAPTIONS

RECALLS = {"R@1", "R@5", "R@10"}


@pytest.fixture
def evaluate(linmap, captions, photos, dual_dir):
    def run(*more: object, model: object = dual_dir):
        given = ["--data", captions, "--images", photos, "--model", model, "--device", "cpu"]
        return linmap("evaluate", "retrieval", *given, *more)

    return run


def test_json_is_one_line_with_recall_both_ways(evaluate, captions, dual_dir):
    ran = evaluate("--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.count("\n") == 1
    report = json.loads(ran.out)
    assert list(report)[:2] == ["text_to_image", "image_to_text"]
    assert report["text_to_image"].keys() == report["image_to_text"].keys() == RECALLS
    measured = ("text_to_image", "image_to_text", "median_rank")
    assert {name: value for name, value in report.items() if name not in measured} == {
        "chance": {
            "text_to_image": {"R@1": 33.33, "R@5": 100.0, "R@10": 100.0},
            "image_to_text": {"R@1": 33.33, "R@5": report["chance"]["image_to_text"]["R@5"], "R@10": 100.0},
        },
        "control": None,
        "control_kind": None,
        "control_seed": None,
        "images": 3,
        "texts": 6,
        "duplicates": 0,
        "repeated": 0,
        "folds": 1,
        "captions_per_image": None,
        "left_out": 0,
        "data": str(captions),
        "split": None,
        "overflow": None,
        "language": None,
        "model": str(dual_dir),
        "parameters": sum(part.numel() for part in load_dual_encoder(str(dual_dir), "cpu").model.parameters()),
        "plots": [],
    }


def test_the_recall_is_that_of_the_models_own_embeddings(evaluate, photos, dual_dir):
    dual = load_dual_encoder(str(dual_dir), "cpu")
    images = embed_photos(*dual, [photos / name for name in CAPTIONS]).features
    texts = embed_texts(*dual, [text for each in CAPTIONS.values() for text in each])
    scores = retrieval_recall(images, texts, [0, 0, 1, 2, 2, 2])
    report = json.loads(evaluate("--json").out)
    assert report["text_to_image"] == {name: round(value, 2) for name, value in scores.text_to_image.items()}
    assert report["image_to_text"] == {name: round(value, 2) for name, value in scores.image_to_text.items()}
    assert report["median_rank"]["text_to_image"] == scores.median_rank_text_to_image


def test_people_read_chance_under_each_way_and_how_to_get_a_plot(evaluate):
    lines = evaluate("--split", "val").out.splitlines()
    assert "2 photos and 3 captions of" in lines[0]
    assert lines[0].endswith("split val")
    table = [line.split() for line in lines if "%" in line or "chance" in line or "to" in line.split()]
    assert ["text", "to", "image"] in [row[:3] for row in table]
    assert ["chance", "50.0", "100.0", "100.0"] in table
    assert lines[-1] == "plot: none written; --plot FILE.png draws it"


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_a_two_tower_model_of_transformers_is_measured_as_it_is(evaluate, text_encoder_dir, kind):
    report = json.loads(evaluate("--json", model=text_encoder_dir(kind)).out)
    assert (report["images"], report["texts"]) == (3, 6)


def test_the_plot_is_a_picture_and_is_named(evaluate, tmp_path):
    plot = tmp_path / "recall.png"
    report = json.loads(evaluate("--json", "--plot", plot).out)
    assert report["plots"] == [str(plot)]
    with Image.open(plot) as picture:
        assert picture.format == "PNG"
    assert evaluate("--plot", plot).out.splitlines()[-1] == f"plot: {plot}"


@pytest.mark.parametrize(
    ("plot", "words"),
    [("recall.pdf", "names no PNG file; give a name that ends in .png"), ("no/such/recall.png", "there is no folder")],
)
def test_a_plot_that_cannot_be_written_is_said_before_any_work(evaluate, tmp_path, plot, words):
    ran = evaluate("--plot", tmp_path / plot, model="nowhere")
    assert (ran.code, ran.out) == (2, "")
    assert "Invalid value for '--plot'" in ran.err
    assert words in ran.err


def test_the_untrained_encoder_is_the_same_architecture_drawn_anew(dual_dir, photos):
    dual = load_dual_encoder(str(dual_dir), "cpu")
    encoder, files = dual.model.image_encoder, sorted(photos.iterdir())
    own = embed_photos(*dual, files).features
    same = embed_behind_random_encoder(dual, files, seed=0, batch_size=2)
    assert torch.allclose(same, own, atol=1e-6)  # the tiny model's own encoder is the untrained one of seed 0
    assert not torch.allclose(embed_behind_random_encoder(dual, files, seed=1, batch_size=2), own, atol=1e-3)
    assert dual.model.image_encoder is encoder


@pytest.mark.parametrize("control", ["blind", "random-encoder"])
def test_a_control_stands_beside_the_model(evaluate, control):
    report = json.loads(evaluate("--json", "--control", control, "--seed", 3).out)
    assert (report["control_kind"], report["control_seed"]) == (control, 3)
    assert report["control"]["text_to_image"].keys() == report["control"]["image_to_text"].keys() == RECALLS
    assert f"control: {control}: " in evaluate("--control", control).out


def test_what_is_found_between_two_photos_is_lost_when_they_change_places(evaluate):
    report = json.loads(evaluate("--json", "--split", "val", "--control", "blind").out)
    own, blind = report["text_to_image"]["R@1"], report["control"]["text_to_image"]["R@1"]
    assert own + blind == pytest.approx(100, abs=0.02)


def test_the_result_does_not_depend_on_the_batch_size(evaluate):
    assert evaluate("--json", "--batch-size", 1).out == evaluate("--json").out


def test_limits_take_the_first_photos_and_the_first_captions(evaluate):
    report = json.loads(evaluate("--json", "--limit", 2, "--captions-per-image", 1).out)
    assert (report["images"], report["texts"], report["captions_per_image"]) == (2, 2, 1)


def test_folds_are_a_mean_over_equal_parts(evaluate, captions, photos):
    (photos / "d.png").write_bytes((photos / "b.png").read_bytes())
    records = json.loads(captions.read_text())
    captions.write_text(json.dumps([*records, {"file": "d.png", "captions": ["bicycles"], "split": "train"}]))
    report = json.loads(evaluate("--json", "--folds", 2).out)
    assert (report["folds"], report["images"]) == (2, 4)
    assert report["chance"]["text_to_image"]["R@1"] == 50.0
    ran = evaluate("--folds", 3)
    assert ran.code == 2
    assert "4 photos do not divide into 3 equal parts" in ran.err


@pytest.mark.parametrize(
    ("folds", "words"), [(2, "3 photos do not divide into 2 equal parts"), (3, "3 photos in 3 parts are 1 each")]
)
def test_folds_that_do_not_divide_are_said_before_the_model_is_loaded(evaluate, monkeypatch, folds, words):
    monkeypatch.setattr("linmap.cli.dual_encoders.load_comparing", None)
    ran = evaluate("--folds", folds)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err


def test_a_plot_that_fails_leaves_the_numbers(evaluate, monkeypatch, tmp_path):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    for more, wanted in ((("--json",), '"plots": []'), ((), "plot: none written\n")):
        ran = evaluate(*more, "--plot", tmp_path / "recall.png")
        assert ran.code == 2
        assert "R@1" in ran.out
        assert wanted in ran.out
        assert ran.err.endswith("recall.png cannot be written (No space left on device); name another file.\n")


def test_one_record_a_caption_measures_the_same_as_one_a_photo(evaluate, captions, caplog):
    whole = json.loads(evaluate("--json").out)
    records = json.loads(captions.read_text())
    captions.write_text(json.dumps([one | {"captions": [text]} for one in records for text in one["captions"]]))
    assert json.loads(evaluate("--json").out) == whole
    assert "2 photos stand in several records of" in caplog.text


def test_a_caption_that_a_photo_has_twice_is_counted(evaluate, captions, caplog):
    records = json.loads(captions.read_text())
    records[1]["captions"] *= 2
    captions.write_text(json.dumps(records))
    assert json.loads(evaluate("--json").out)["repeated"] == 1
    assert evaluate().out.splitlines()[0].endswith("; 1 stand under the same photo before")
    assert "1 of 7 captions stand under the same photo before" in caplog.text


def test_captions_that_stand_under_several_photos_are_counted_and_warned_of(evaluate, captions, caplog):
    records = json.loads(captions.read_text())
    records[1]["captions"].append("A dog  runs")
    captions.write_text(json.dumps(records))
    ran = evaluate("--json", "--control", "blind")
    assert json.loads(ran.out)["duplicates"] == 2
    warned = [record.getMessage() for record in caplog.records if "under several photos" in record.getMessage()]
    assert len(warned) == 1
    assert warned[0].startswith("2 of 7 captions")
    assert "2 captions stand under several photos" in evaluate().out.splitlines()[0]


def test_texts_longer_than_the_context_are_cut_and_counted(evaluate, captions, caplog):
    records = json.loads(captions.read_text())
    records[1]["captions"].append("two men and " * 30)
    captions.write_text(json.dumps(records))
    assert evaluate("--json").code == 0
    assert "1 of 7 texts are longer than the 32 tokens that the text tower reads" in caplog.text


def test_a_damaged_photo_stops_unless_allowed_for_and_takes_its_captions_along(evaluate, photos):
    (photos / "b.png").write_text("no photo")
    ran = evaluate("--json")
    assert (ran.code, ran.out) == (2, "")
    assert "b.png: it holds text" in ran.err
    assert ran.err.count("\n") == 1
    report = json.loads(evaluate("--json", "--max-unreadable", 1).out)
    assert (report["images"], report["texts"], report["left_out"]) == (2, 5, 1)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--split", "vall"), "Unknown split 'vall'. Did you mean 'val'? Known: train, val."),
        (("--split", "train"), "With 1 captioned photos there is nothing to tell apart; give at least two."),
        (("--device", "gpu"), "Unknown device 'gpu'. Did you mean 'cpu'?"),
        (("--seed", 2**32), "Invalid value for '--seed'"),
        (("--seed", -1), "Invalid value for '--seed'"),
        (("--images", "x" * 300), "There is no folder of photos xxx"),
        (("--plot", "x" * 300 + ".png"), "cannot be written (File name too long)"),
        (("--model", "x" * 300), "cannot be looked up (File name too long)"),
        (("--control", "blnd"), "Invalid value for '--control'"),
        (("--limit", "1"), "Invalid value for '--limit'"),
        (("--data", "nowhere.json"), "nowhere.json"),
        (("--images", "nowhere"), "There is no folder of photos nowhere; check the path."),
    ],
)
def test_a_wrong_choice_is_one_line(evaluate, more, words):
    ran = evaluate("--json", *more)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("linmap: error: ")
    assert ran.err.count("\n") == 1
    assert words in ran.err


EXAMPLES = {
    "cat.jpg": "a cat",
    "birthday.jpg": "a birthday cake",
    "tennis.jpg": "a tennis player",
    "street.jpg": "cars",
}


@pytest.fixture
def examples(linmap, repository, tmp_path):
    """The photos of the examples under `linmap evaluate` with the bundled model."""
    path = tmp_path / "examples.json"
    path.write_text(json.dumps([{"file": name, "captions": [text]} for name, text in EXAMPLES.items()]))

    def run(measurement: str, *more: object):
        given = ["--data", path, "--images", repository / "examples" / "photos", "--device", "cpu", "--json"]
        return linmap("evaluate", measurement, *given, *more)

    return run


@pytest.mark.weights
def test_without_a_model_the_bundled_dual_encoder_finds_photos(examples):
    ran = examples("retrieval", "--control", "blind")
    assert (ran.code, ran.err) == (0, "")
    report = json.loads(ran.out)
    assert (report["model"], report["images"], report["texts"]) == ("the bundled dual encoder", 4, 4)
    for way in ("text_to_image", "image_to_text"):
        assert report[way]["R@1"] > report["chance"][way]["R@1"]
        assert report[way]["R@1"] > report["control"][way]["R@1"]


@pytest.mark.weights
def test_without_a_model_the_gap_of_the_bundled_dual_encoder_is_measured(examples):
    report = json.loads(examples("gap").out)
    assert report["model"] == "the bundled dual encoder"
    assert report["matched_cosine"] > report["mismatched_cosine"]
