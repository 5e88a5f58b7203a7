"""`linmap evaluate gap`: how far photos and texts lie apart."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from linmap.cli.dual_encoders import load_dual_encoder
from linmap.dual.embedding import embed_photos, embed_texts
from linmap.evaluation import modality_gap

from .conftest import CAPTIONS


@pytest.fixture
def evaluate(linmap, captions, photos, dual_dir):
    def run(*more: object):
        given = ["--data", captions, "--images", photos, "--model", dual_dir, "--device", "cpu"]
        return linmap("evaluate", "gap", *given, *more)

    return run


def test_json_is_one_line_with_the_gap_of_the_models_own_embeddings(evaluate, photos, captions, dual_dir):
    ran = evaluate("--json")
    assert (ran.code, ran.err) == (0, "")
    dual = load_dual_encoder(str(dual_dir), "cpu")
    images = embed_photos(*dual, [photos / name for name in CAPTIONS]).features
    texts = embed_texts(*dual, [text for each in CAPTIONS.values() for text in each])
    found = modality_gap(images, texts, [0, 0, 1, 2, 2, 2])
    assert json.loads(ran.out) == {
        "distance": round(found.distance, 4),
        "matched_cosine": round(found.matched_cosine, 4),
        "mismatched_cosine": round(found.mismatched_cosine, 4),
        "separability": round(found.separability, 2),
        "images": 3,
        "texts": 6,
        "left_out": 0,
        "data": str(captions),
        "split": None,
        "language": None,
        "model": str(dual_dir),
        "parameters": sum(part.numel() for part in dual.model.parameters()),
        "plots": [],
    }


def test_people_read_the_distance_beside_what_it_means(evaluate, tmp_path):
    plot = tmp_path / "gap.png"
    ran = evaluate("--plot", plot)
    assert "3 photos and 6 captions of" in ran.out
    assert "distance of the means" in ran.out
    assert "50 %: guessing" in ran.out
    with Image.open(plot) as picture:
        assert picture.format == "PNG"


def test_a_missing_photo_is_one_line(evaluate, photos):
    (photos / "b.png").unlink()
    ran = evaluate("--json")
    assert (ran.code, ran.out) == (2, "")
    assert "b.png: there is no such file" in ran.err
    assert ran.err.count("\n") == 1
