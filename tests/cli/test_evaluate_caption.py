"""`linmap evaluate caption`: a score, its control beside it, and what it was measured on."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from linmap.cli.evaluate.caption import seen_by_model, seen_by_random_encoder
from linmap.cli.models import load_captioner
from linmap.data import Captioned, UnreadableImages

from .conftest import CAPTIONS


@pytest.fixture
def evaluate(linmap, captions, photos, model_dir):
    def run(*more: object, tokenizer: str = "simple"):
        given = ["--data", captions, "--images", photos, "--model", model_dir, "--device", "cpu"]
        return linmap("evaluate", "caption", *given, "--tokenizer", tokenizer, *more)

    return run


def test_json_is_one_object_with_score_and_control(evaluate, captions, model_dir):
    ran = evaluate("--json")
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    assert report["score"] >= 0
    assert report["control"] >= 0
    assert report | {"score": 0, "control": 0} == {
        "metric": "CIDEr-D",
        "score": 0,
        "control": 0,
        "control_kind": "blind",
        "control_seed": 0,
        "data": str(captions),
        "split": None,
        "n": 3,
        "left_out": 0,
        "tokenizer": "simple",
        "comparable": False,
        "decoding": {"num_beams": 1, "do_sample": False, "max_new_tokens": 6},
        "model": str(model_dir),
    }


def test_people_read_the_control_beside_the_score(evaluate):
    ran = evaluate("--split", "val")
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0].startswith("CIDEr-D ")
    assert "2 photos of" in lines[0]
    assert "split val" in lines[0]
    assert lines[1].startswith("control ")
    assert "blind: every caption is made from the features of another photo (seed 0)" in lines[1]
    assert "tokenizer: simple, not comparable with published scores" in lines[2]


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
    captioned = [Captioned(photos / name, tuple(texts)) for name, texts in CAPTIONS.items()]

    def features(seed=None):
        unreadable = UnreadableImages()
        if seed is None:
            return torch.stack([example.seen for example in seen_by_model(captioner, captioned, unreadable)])
        return torch.stack([example.seen for example in seen_by_random_encoder(captioner, captioned, seed, unreadable)])

    own = features()
    assert torch.equal(features(seed=0), own)  # the tiny model's own encoder is the untrained one of seed 0
    assert features(seed=1).shape == own.shape
    assert not torch.allclose(features(seed=1), own)
    assert captioner.model.encoder is encoder


def test_no_control_is_measured_when_none_is_wanted(evaluate):
    ran = evaluate("--json", "--control", "none")
    assert json.loads(ran.out)["control"] is None
    assert "control  " not in evaluate("--control", "none").out


def test_the_score_does_not_depend_on_the_batch_size(evaluate):
    assert json.loads(evaluate("--json", "--batch-size", 1).out) == json.loads(evaluate("--json").out)


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
    assert "CIDEr-D over 1 photos means nothing; give at least two." in ran.err


def test_help_says_what_the_controls_are(linmap):
    ran = linmap("evaluate", "caption", "--help")
    assert ran.code == 0
    assert "random-encoder" in ran.out
