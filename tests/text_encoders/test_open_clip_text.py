"""open_clip's text towers give open_clip's own features, from padded and from short rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch

from linmap.text_encoders import load_text_encoder, tokenizer_for
from linmap.text_encoders.open_clip_text import OpenClipTextTower

TEXTS = ["a photo of a dog", "it's 3 o'clock!! in   Paris", "hello, naïve café: ok?"]


@pytest.fixture(scope="module")
def architectures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Tiny text towers of each kind: causal with a matrix, causal with a bias, both ways with the last position."""
    folder = tmp_path_factory.mktemp("open_clip_texts")
    vision = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
    text: dict[str, Any] = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    kinds = {
        "plain": text,
        "biased": {**text, "proj_bias": True},
        "both-ways": {**text, "no_causal_mask": True, "pool_type": "last", "proj_bias": True, "pad_id": 1},
        "class-token": {**text, "embed_cls": True},
    }
    for kind, tower in kinds.items():
        config = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": tower, "custom_text": kind != "plain"}
        (folder / f"linmap-text-{kind}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    return {kind: f"linmap-text-{kind}" for kind in kinds}


@pytest.mark.parametrize("kind", ["plain", "biased", "both-ways", "class-token"])
def test_features_equal_those_of_the_whole_model(architectures: dict[str, str], kind: str) -> None:
    torch.manual_seed(0)
    model = open_clip.create_model(architectures[kind]).eval()
    tower = OpenClipTextTower(architectures[kind], {})
    tower.take_weights(model)
    tokens = open_clip.tokenize(TEXTS)
    if kind == "both-ways":
        tokens = tokens.masked_fill(tokens == 0, 1)
    with torch.no_grad():
        torch.testing.assert_close(tower.eval().features(tokens, None, "pooler"), model.encode_text(tokens))


@pytest.mark.parametrize("kind", ["plain", "biased", "both-ways", "class-token"])
def test_rows_padded_to_the_longest_text_give_the_same_as_full_ones(architectures: dict[str, str], kind: str) -> None:
    encoder = load_text_encoder(f"open_clip:{architectures[kind]}", pretrained=False, seed=0)
    tokenizer = tokenizer_for(encoder.config)
    short = tokenizer(TEXTS, padding=True, return_tensors="pt")
    full = tokenizer(TEXTS, padding="max_length", return_tensors="pt")
    assert short["input_ids"].shape[1] < full["input_ids"].shape[1] == 77
    with torch.no_grad():
        torch.testing.assert_close(encoder(**short), encoder(**full), atol=1e-5, rtol=0)


def test_the_projection_can_be_taken_off_and_does_the_same_outside(architectures: dict[str, str]) -> None:
    encoder = load_text_encoder(f"open_clip:{architectures['plain']}", pretrained=False, seed=0)
    ids = torch.tensor([[49406, 320, 49407]])
    before = encoder(ids)
    matrix = encoder.take_projection()
    assert matrix is not None
    assert encoder.feature_dim == 32
    torch.testing.assert_close(encoder(ids) @ matrix, before)
    assert encoder.take_projection() is None


def test_our_tokenizer_gives_open_clips_ids() -> None:
    encoder = load_text_encoder("open_clip:ViT-B-32", pretrained=False, seed=0)
    texts = [*TEXTS, "word " * 100, "UPPER case", "emoji 🐕!", "don't you'll we've"]
    theirs = open_clip.tokenize(texts)
    ours = tokenizer_for(encoder.config)(texts, truncation=True)["input_ids"]
    for row, other in zip(ours, theirs, strict=True):
        assert row == other[: len(row)].tolist()
        assert not other[len(row) :].any()


def test_a_tokenizer_survives_the_disk(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = tokenizer_for(load_text_encoder("open_clip:ViT-B-32", pretrained=False, seed=0).config)
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again(TEXTS)["input_ids"] == tokenizer(TEXTS)["input_ids"]
    assert again.model_max_length == 77
