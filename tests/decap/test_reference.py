"""The original's numbers on small weights (../shared/reference/decap), met by the model, its processor and a memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close
from transformers import GPT2Config

from linmap import DeCapModel, DeCapProcessor, SupportMemory
from linmap.text_encoders.open_clip_tokens import clip_tokenizer

pytestmark = pytest.mark.shared
CLOSE: dict[str, float] = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def reference(shared: Path) -> dict[str, Any]:
    folder = shared / "reference" / "decap"
    facts = json.loads((folder / "decap.json").read_text(encoding="utf-8"))
    for file in ("tiny_trained", "memory"):
        facts[file] = {
            key: torch.from_numpy(np.asarray(value)) for key, value in np.load(folder / f"{file}.npz").items()
        }
    return facts


@pytest.fixture(scope="module")
def processor() -> DeCapProcessor:
    return DeCapProcessor(tokenizer=clip_tokenizer())


@pytest.fixture(scope="module")
def model(reference: dict[str, Any], shared: Path) -> DeCapModel:
    """The original's tiny decoder of 50,257 classes behind latents of 512 channels."""
    config = {key: reference["tiny_config"][key] for key in ("n_positions", "n_embd", "n_layer", "n_head")}
    model = DeCapModel.from_backbones(None, GPT2Config(**config), latent_dim=512)
    file = shared / "reference" / "decap" / "tiny_trained_coco_prefix-009.pt"
    weights = torch.load(file, weights_only=True)
    model.load_state_dict(
        {key.replace("clip_project.model.0.", "projector."): value for key, value in weights.items()}, strict=True
    )
    model.generation_config.eos_token_id = 49407
    model.generation_config.suppress_tokens = list(range(49408, 50257))
    latents = reference["memory"]["memory_raw_fp16"].float()
    known = reference["captions"]
    captions = [known[row] if row < len(known) else f"caption number {row}" for row in range(len(latents))]
    model.memory = SupportMemory.from_latents(latents, captions)
    return model.eval()


def test_the_processor_gives_the_ids_the_original_learns(reference: Any, processor: DeCapProcessor) -> None:
    inputs = processor(text=reference["captions"], return_tensors="pt")
    learned = inputs["input_ids"] * inputs["attention_mask"]  # the original pads with 0
    assert torch.equal(learned, reference["tiny_trained"]["tokens20"])
    assert torch.equal(inputs["labels"] != -100, learned != 0)  # none of these captions holds the token 0


def test_the_loss_and_the_prefix_are_the_originals(reference: Any, model: DeCapModel, processor: Any) -> None:
    expected = reference["tiny_trained"]
    with torch.no_grad():
        output = model(expected["features"], **processor(text=reference["captions"], return_tensors="pt"))
        assert_close(model.get_prefix(expected["features"])[:, 0], expected["prefix"], **CLOSE)
    assert_close(output.loss, expected["loss"], **CLOSE)


def test_the_logits_are_the_originals(reference: Any, model: DeCapModel) -> None:
    expected = reference["tiny_trained"]
    with torch.no_grad():
        logits = model(expected["features"], input_ids=expected["tokens20"]).logits
    assert logits.shape[:2] == expected["lse"].shape
    assert_close(logits[..., expected["logits_cols"]], expected["logits"], rtol=1e-5, atol=1e-5)
    assert_close(logits.logsumexp(-1), expected["lse"], rtol=1e-5, atol=1e-5)


def test_the_gradient_of_the_projection_is_the_originals(reference: Any, model: DeCapModel, processor: Any) -> None:
    expected = reference["tiny_trained"]
    model.zero_grad()
    model(expected["features"], **processor(text=reference["captions"], return_tensors="pt")).loss.backward()
    assert_close(model.projector.bias.grad, expected["grad_b"], **CLOSE)
    assert_close(model.projector.weight.grad.norm(), expected["grad_w_norm"], **CLOSE)


def written(ids: torch.Tensor) -> list[list[int]]:
    """Up to the end of text; the original pads with -1, `generate` with the end."""
    return [[token for token in row if token not in (-1, 49407)] for row in ids.tolist()]


def test_greedy_decoding_gives_the_originals_ids(reference: Any, model: DeCapModel) -> None:
    expected = reference["tiny_trained"]
    assert written(model.generate(expected["features"])) == written(expected["greedy_ids"])


@pytest.mark.parametrize(("strategy", "name"), [("projection", "projected"), ("nearest", "nnd"), ("visual", "vd")])
def test_each_strategy_decodes_what_the_original_does(
    reference: Any, model: DeCapModel, processor: Any, strategy: str, name: str
) -> None:
    ids = model.generate(reference["memory"]["image_features_raw"], strategy=strategy)
    assert written(ids) == written(reference["memory"][f"greedy_{name}"])
    assert processor.caption(ids) == [" ".join(text.split()) for text in reference["memory_decodes"][name]]


def test_the_projection_is_the_originals(reference: Any, model: DeCapModel) -> None:
    latents = reference["memory"]["image_features_raw"]
    for tau, name in ((1 / 100, ""), (1 / 50, "_scale50"), (1 / 150, "_scale150")):
        projected = model.latents_to_decode(latents, "projection", tau)
        assert_close(projected, reference["memory"][f"prefix_fp32{name}"], **CLOSE)


def test_retrieval_gives_the_captions_of_the_nearest_rows(reference: Any, model: DeCapModel) -> None:
    latents = reference["memory"]["image_features_raw"]
    output = model.generate(latents, strategy="retrieval", tokenizer=clip_tokenizer(), return_support=True)
    assert [row[0].caption for row in output.support] == reference["memory_decodes"]["clipre"]
    assert [row[0].index for row in output.support] == reference["memory"]["nn_index_fp32"].tolist()
