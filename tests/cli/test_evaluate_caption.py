"""`linmap evaluate caption`: a score, its control beside it, and what it was measured on."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from linmap.cli.evaluate.captioners import untrained_encoder
from linmap.cli.models import load_captioner
from linmap.data.ahead import photo_pixels


@pytest.fixture
def evaluate(linmap, captions, photos, model_dir):
    def run(*more: object, tokenizer: str = "simple"):
        given = ["--data", captions, "--images", photos, "--model", model_dir, "--device", "cpu"]
        return linmap("evaluate", "caption", *given, "--tokenizer", tokenizer, *more)

    return run


def test_json_is_one_object_with_score_and_control(evaluate, captions, photos, model_dir):
    ran = evaluate("--json")
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    assert report["score"] >= 0
    assert report["control"] >= 0
    decoding = {"num_beams": 1, "do_sample": False, "max_new_tokens": 6}
    row = {"name": model_dir.name, "model": str(model_dir), "decoding": decoding}
    assert report == {
        "metric": "CIDEr-D",
        "score": report["score"],
        "control": report["control"],
        "control_kind": "blind",
        "control_seed": 0,
        "n": 3,
        "tokenizer": "simple",
        "comparable": False,
        "decoding": decoding,
        "model": str(model_dir),
        "metrics": ["CIDEr-D"],
        "domains": [],
        "rows": [
            {**row, "control": None, "scores": {"CIDEr-D": report["score"]}},
            {**row, "control": "blind", "scores": {"CIDEr-D": report["control"]}},
        ],
        "data": str(captions),
        "split": None,
        "left_out": 0,
        "command": f"linmap evaluate caption --data {captions} --images {photos} --model {model_dir} --tokenizer simple"
        " --device cpu --json",
    }


def test_people_read_the_control_under_the_score(evaluate, model_dir):
    ran = evaluate("--split", "val", "--metric", "cider_d,rouge_l")
    assert ran.code == 0, ran.err
    lines = [line.strip() for line in ran.out.splitlines() if line.strip()]
    assert lines[0].startswith("2 photos of")
    assert lines[0].endswith("split val")
    assert lines[1].split() == ["captioner", "CIDEr-D", "ROUGE-L"]
    assert lines[3].split()[0] == model_dir.name
    assert lines[4].startswith(f"{model_dir.name}, blind ")
    assert lines[5:] == [
        "blind: every caption is held against another photo (seed 0)",
        "decoding: num_beams 1, do_sample False, max_new_tokens 6",
        "tokenizer: simple, not comparable with published scores",
    ]


def test_captions_scored_are_those_that_linmap_caption_writes(linmap, evaluate, captions, photos, model_dir):
    said = [json.loads(line) for line in linmap("caption", photos, "--model", model_dir, "--json").out.splitlines()]
    records = [{"file": record["image"].rsplit("/", 1)[1], "captions": [record["caption"]]} for record in said]
    captions.write_text(json.dumps(records), encoding="utf-8")
    report = json.loads(evaluate("--json").out)
    assert len({record["caption"] for record in said}) > 1
    assert report["score"] > report["control"]


def test_the_random_encoder_control_is_measured(evaluate):
    report = json.loads(evaluate("--json", "--control", "random-encoder", "--seed", 3).out)
    assert (report["control_kind"], report["control_seed"]) == ("random-encoder", 3)
    assert report["control"] is not None


def test_the_random_encoder_is_the_same_architecture_drawn_anew(model_dir, photos):
    captioner = load_captioner(str(model_dir), "cpu")
    encoder = captioner.model.encoder
    pixels = photo_pixels(photos / "a.jpg", captioner.processor.image_processor)[None]

    def features(seed):
        with untrained_encoder(captioner, seed):
            return captioner.model.encode_images(pixels)

    own = captioner.model.encode_images(pixels)
    assert torch.equal(features(0), own)  # the tiny model's own encoder is the untrained one of seed 0
    assert features(1).shape == own.shape
    assert not torch.allclose(features(1), own)
    assert captioner.model.encoder is encoder


def test_no_control_is_measured_when_none_is_wanted(evaluate):
    ran = evaluate("--json", "--control", "none")
    assert json.loads(ran.out)["control"] is None
    assert "blind" not in evaluate("--control", "none").out


def test_the_score_does_not_depend_on_the_batch_size(evaluate):
    one, whole = (json.loads(evaluate("--json", *more).out) for more in (["--batch-size", 1], []))
    assert one["rows"] == whole["rows"]


def test_limit_takes_the_first_photos(evaluate):
    assert json.loads(evaluate("--json", "--limit", 2).out)["n"] == 2


def test_beams_are_used_and_said(evaluate):
    assert json.loads(evaluate("--json", "--num-beams", 2).out)["decoding"]["num_beams"] == 2


@pytest.mark.skipif(shutil.which("java") is None, reason="PTB tokenisation needs Java")
def test_ptb_scores_compare_with_published_ones(evaluate):
    report = json.loads(evaluate("--json", tokenizer="ptb").out)
    assert (report["tokenizer"], report["comparable"]) == ("ptb", True)


def test_without_java_it_stops_before_any_work(evaluate, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = evaluate(tokenizer="ptb")
    assert ran.code == 2
    assert ran.err.startswith("linmap: error: PTB tokenisation needs Java")
    assert ran.err.count("\n") == 1


def test_what_needs_no_java_is_measured_without(evaluate, dual_dir, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = evaluate("--json", "--metric", "clip_score", "--dual", dual_dir, tokenizer="ptb")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["metrics"] == [f"CLIPScore ({dual_dir})"]


def test_without_java_meteor_does_not_send_to_another_tokenizer(evaluate, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = evaluate("--metric", "meteor", tokenizer="simple")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("linmap: error: METEOR needs Java")
    assert ran.err.count("\n") == 1


def test_one_photo_that_can_be_read_is_too_few_for_a_control(evaluate, photos):
    (photos / "b.png").write_text("no photo")
    ran = evaluate("--metric", "rouge_l", "--split", "val", "--max-unreadable", 1)
    assert (ran.code, ran.out) == (2, "")
    assert "Of the 2 photos 1 can be read; a score and its control need at least two." in ran.err


def test_a_missing_photo_is_named_in_one_line(evaluate, photos):
    (photos / "b.png").unlink()
    ran = evaluate()
    assert ran.code == 2
    assert "b.png: there is no such file" in ran.err
    assert ran.err.count("\n") == 1


def test_a_damaged_photo_stops_unless_allowed_for(evaluate, photos):
    (photos / "b.png").write_text("no photo")
    ran = evaluate("--json")
    assert (ran.code, ran.out) == (2, "")
    assert "b.png: it holds text" in ran.err
    report = json.loads(evaluate("--json", "--max-unreadable", 1).out)
    assert (report["n"], report["left_out"]) == (2, 1)


def test_an_unknown_split_is_one_line(evaluate):
    ran = evaluate("--split", "vall")
    assert ran.code == 2
    assert ran.err == "linmap: error: Unknown split 'vall'. Did you mean 'val'? Known: train, val.\n"


def test_one_photo_is_not_enough(evaluate):
    ran = evaluate("--split", "train")
    assert ran.code == 2
    assert "Captions of 1 photos cannot be measured: CIDEr-D and every control need at least two." in ran.err


def test_help_says_what_the_controls_are(linmap):
    ran = linmap("evaluate", "caption", "--help")
    assert ran.code == 0
    assert "random-encoder" in ran.out
