"""open_clip's text towers give open_clip's own features, from padded and from short rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch

from linmap.errors import BackboneError, EncoderError
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


def _with_hub_tokenizer(folder: Path, tokenizer: Path, name: str, **text: Any) -> str:
    vision = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
    tower = {"context_length": 16, "vocab_size": 320, "width": 32, "heads": 2, "layers": 2, "no_causal_mask": True}
    named = {"pool_type": "last", "proj_bias": True, "hf_tokenizer_name": str(tokenizer), **text}
    config = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": {**tower, **named}, "custom_text": True}
    (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    return name


def test_a_siglip_of_open_clip_reads_its_texts_and_their_padding_as_open_clip_does(
    text_encoder_dir: Any, tmp_path: Path
) -> None:
    name = _with_hub_tokenizer(
        tmp_path, text_encoder_dir("bert"), "linmap-siglip", tokenizer_kwargs={"clean": "canonicalize"}
    )
    texts = ["A Dog, on the beach!", "two_children  play", "a"]
    encoder = load_text_encoder(f"open_clip:{name}", pretrained=False, seed=0)
    assert encoder.config.pad_token_id == 2
    theirs = open_clip.get_tokenizer(name)(texts)
    ours = tokenizer_for(encoder.config)(texts, padding=True, truncation=True, return_tensors="pt")
    for row, mask, other in zip(ours["input_ids"], ours["attention_mask"], theirs, strict=True):
        assert row[mask.bool()].tolist() == other[other != 2].tolist()
    with torch.no_grad():
        torch.testing.assert_close(encoder(**ours), encoder.tower.network(theirs), atol=1e-5, rtol=0)


def test_texts_that_open_clip_prepares_in_an_unknown_way_are_refused(text_encoder_dir: Any, tmp_path: Path) -> None:
    name = _with_hub_tokenizer(
        tmp_path, text_encoder_dir("bert"), "linmap-clipa", tokenizer_kwargs={"strip_sep_token": True}
    )
    encoder = load_text_encoder(f"open_clip:{name}", pretrained=False, seed=0)
    with pytest.raises(
        BackboneError, match=r"open_clip prepares texts for 'linmap-clipa' with \{'strip_sep_token': True\}"
    ):
        tokenizer_for(encoder.config)
    with pytest.raises(EncoderError, match="reads its padding, and nothing says what that is"):
        encoder(torch.zeros(1, 3, dtype=torch.long), torch.ones(1, 3, dtype=torch.long))


def test_a_tokenizer_that_cannot_be_had_is_an_error_when_it_is_needed(tmp_path: Path) -> None:
    name = _with_hub_tokenizer(tmp_path, tmp_path / "nowhere", "linmap-gone")
    encoder = load_text_encoder(f"open_clip:{name}", pretrained=False, seed=0)
    with pytest.raises(BackboneError, match=r"no tokenizer at .*nowhere', which open_clip's 'linmap-gone' uses"):
        tokenizer_for(encoder.config)
