"""A checkpoint holds what was learned; frozen towers are found again, checked, and never replaced by random ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from linmap import DualEncoderConfig, DualEncoderModel, DualEncoderProcessor
from linmap.encoders import load_encoder
from linmap.errors import (
    ConfigurationError,
    EncoderError,
    FingerprintMismatchError,
    ProjectionError,
    UnknownNameError,
)
from linmap.text_encoders import load_text_encoder

HEADS = {"image_projection.weight", "text_projection.weight", "logit_scale"}


def logits(model: Any, processor: Any, pictures: Any, texts: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(**processor(images=pictures, text=texts, return_tensors="pt")).logits_per_image


@pytest.mark.parametrize("trained", [[], ["text"], ["image"], ["image", "text"]])
def test_what_was_saved_comes_back_the_same(
    tiny_dual: Any, pictures: Any, texts: Any, tmp_path: Path, trained: list[str]
) -> None:
    model, processor = tiny_dual(trained_towers=trained)
    with torch.no_grad():  # as if it had learned
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.01)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    kept = {key.partition("_encoder.")[0] for key in load_file(tmp_path / "model.safetensors").keys() - HEADS}
    assert kept == set(trained)
    again, info = DualEncoderModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values())
    assert not again.training
    expected = logits(model, processor, pictures, texts)
    found = logits(again, DualEncoderProcessor.from_pretrained(tmp_path), pictures, texts)
    assert torch.equal(found, expected)
    learning = {name for name, parameter in again.named_parameters() if parameter.requires_grad}
    assert learning == {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_two_linear_maps_take_a_few_kilobytes(tiny_dual: Any, tmp_path: Path) -> None:
    model, _ = tiny_dual()
    model.save_pretrained(tmp_path)
    assert set(load_file(tmp_path / "model.safetensors")) == HEADS
    assert (tmp_path / "model.safetensors").stat().st_size < 4000


def test_a_self_contained_checkpoint_needs_nothing_else(
    tiny_dual: Any, pictures: Any, texts: Any, tmp_path: Path
) -> None:
    model, processor = tiny_dual()
    model.save_pretrained(tmp_path, include_backbones=True)
    config = json.loads((tmp_path / "config.json").read_text())
    for part in config["backbones"].values():
        part["name"] = "hf:/nowhere/any/more"
    (tmp_path / "config.json").write_text(json.dumps(config))
    again = DualEncoderModel.from_pretrained(tmp_path)
    expected = logits(model, processor, pictures, texts)
    assert torch.equal(logits(again, processor, pictures, texts), expected)
    again.save_pretrained(tmp_path / "again")
    third = DualEncoderModel.from_pretrained(tmp_path / "again")
    assert torch.equal(logits(third, processor, pictures, texts), expected)


def test_a_frozen_tower_that_is_gone_is_an_error(tiny_dual: Any, tmp_path: Path) -> None:
    model, _ = tiny_dual()
    model.config.backbones["text_encoder"]["name"] = "hf:/nowhere/any/more"
    model.save_pretrained(tmp_path)
    with pytest.raises(EncoderError, match="There is no directory '/nowhere/any/more'"):
        DualEncoderModel.from_pretrained(tmp_path)


def test_another_tower_under_the_recorded_name_is_refused(
    tiny_dual: Any, tmp_path: Path, text_encoder_dir: Callable[[str], Path]
) -> None:
    model, _ = tiny_dual()
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["backbones"]["text_encoder"]["sha256"] = "0" * 64
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(FingerprintMismatchError, match="sha256 found"):
        DualEncoderModel.from_pretrained(tmp_path)


def test_a_tower_that_lies_elsewhere_now_can_be_named(
    tiny_dual: Any, tmp_path: Path, text_encoder_dir: Callable[[str], Path], pictures: Any, texts: Any
) -> None:
    model, processor = tiny_dual()
    model.config.backbones["text_encoder"]["name"] = "hf:/nowhere/any/more"
    model.save_pretrained(tmp_path)
    again = DualEncoderModel.from_pretrained(tmp_path, text_encoder=f"hf:{text_encoder_dir('bert')}")
    assert torch.equal(logits(again, processor, pictures, texts), logits(model, processor, pictures, texts))


def test_a_tower_of_another_width_is_refused(tiny_dual: Any, tmp_path: Path) -> None:
    model, _ = tiny_dual()
    model.save_pretrained(tmp_path)
    other = load_encoder("timm:test_resnet", pretrained=False, seed=0)
    with pytest.raises(ProjectionError, match="gives 96 channels, and the head was trained on 64"):
        DualEncoderModel.from_pretrained(tmp_path, image_encoder=other)


def test_heads_that_are_missing_or_of_another_shape_are_an_error(tiny_dual: Any, tmp_path: Path) -> None:
    model, _ = tiny_dual()
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    held = load_file(file)
    save_file({**held, "image_projection.weight": torch.zeros(3, 64)}, file, {"format": "pt"})
    with pytest.raises(ProjectionError, match=r"image_projection.weight has the shape \(3, 64\), needed \(8, 64\)"):
        DualEncoderModel.from_pretrained(tmp_path)
    save_file({"logit_scale": held["logit_scale"]}, file, {"format": "pt"})
    with pytest.raises(
        ProjectionError, match=r"image_projection.weight is missing, needed \(8, 64\) \(2 such weights\)"
    ):
        DualEncoderModel.from_pretrained(tmp_path)
    file.unlink()
    with pytest.raises(
        ProjectionError, match=r"holds no model.safetensors with what was learned. Found: .*config.json"
    ):
        DualEncoderModel.from_pretrained(tmp_path)


def test_a_tower_that_was_tuned_unsaid_is_not_lost_in_silence(tiny_dual: Any, tmp_path: Path) -> None:
    model, _ = tiny_dual()
    nn.Module.requires_grad_(model.text_encoder, True)
    with pytest.raises(ConfigurationError, match=r"weights of the text_encoder learn.*trained_towers=\['text'\]"):
        model.save_pretrained(tmp_path)
    model.text_encoder.freeze()
    with torch.no_grad():
        for parameter in model.text_encoder.parameters():
            parameter.add_(1.0)
    with pytest.raises(ConfigurationError, match="The text_encoder is no longer the one recorded"):
        model.save_pretrained(tmp_path)
    model.save_pretrained(tmp_path, include_backbones=True)


def test_an_unknown_argument_is_named(tiny_dual: Any, tmp_path: Path) -> None:
    model, _ = tiny_dual()
    model.save_pretrained(tmp_path)
    with pytest.raises(ConfigurationError, match="from_pretrained does not know load_in_9bit"):
        DualEncoderModel.from_pretrained(tmp_path, load_in_9bit=True)
    with pytest.raises(ConfigurationError, match="a dual encoder stays on one device"):
        DualEncoderModel.from_pretrained(tmp_path, device_map={"image_encoder": "cpu", "text_encoder": "cpu"})
    assert DualEncoderModel.from_pretrained(tmp_path, device_map="cpu").device.type == "cpu"


def test_frozen_towers_can_be_loaded_in_another_number_format(tiny_dual: Any, tmp_path: Path, texts: Any) -> None:
    model, processor = tiny_dual()
    model.save_pretrained(tmp_path)
    half = DualEncoderModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert {half.image_encoder.dtype, half.text_encoder.dtype} == {torch.bfloat16}
    assert half.image_projection.weight.dtype == torch.float32
    with torch.no_grad():
        inputs = processor(text=texts, return_tensors="pt")
        torch.testing.assert_close(
            half.get_text_features(**inputs), model.get_text_features(**inputs), atol=0.02, rtol=0
        )
    half.save_pretrained(tmp_path / "half")
    assert DualEncoderModel.from_pretrained(tmp_path / "half").text_encoder.dtype == torch.bfloat16


def test_the_card_names_both_towers(tiny_dual: Any, tmp_path: Path) -> None:
    model, _ = tiny_dual()
    model.save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "timm:test_vit" in card
    assert model.config.backbones["text_encoder"]["sha256"] in card


def test_number_formats_can_be_said_in_words(tiny_dual: Any, tmp_path: Path, text_encoder_dir: Any) -> None:
    model, _ = tiny_dual()
    for contents in (False, True):
        model.save_pretrained(tmp_path / str(contents), include_backbones=contents)
        half = DualEncoderModel.from_pretrained(tmp_path / str(contents), dtype="bfloat16")
        assert {half.image_encoder.dtype, half.text_encoder.dtype} == {torch.bfloat16}
        half.save_pretrained(tmp_path / f"half {contents}")
        again = DualEncoderModel.from_pretrained(tmp_path / f"half {contents}")
        assert {again.image_encoder.dtype, again.text_encoder.dtype} == {torch.bfloat16}
        assert again.image_projection.weight.dtype == torch.float32
    assert (
        DualEncoderModel.from_pretrained(text_encoder_dir("clip"), dtype="bfloat16").text_encoder.dtype
        == torch.bfloat16
    )
    with pytest.raises(UnknownNameError, match=r"Unknown dtype 'bfloat61'\. Did you mean 'bfloat16'\?"):
        DualEncoderModel.from_pretrained(tmp_path / "True", dtype="bfloat61")


def test_a_checkpoint_in_shards_is_read(tiny_dual: Any, tmp_path: Path, pictures: Any, texts: Any) -> None:
    model, processor = tiny_dual()
    model.save_pretrained(tmp_path, include_backbones=True, max_shard_size="100KB")
    assert not (tmp_path / "model.safetensors").exists()
    again = DualEncoderModel.from_pretrained(tmp_path)
    assert torch.equal(logits(again, processor, pictures, texts), logits(model, processor, pictures, texts))


def test_a_loaded_tower_is_taken_as_the_head_was_trained_behind_it(tmp_path: Path) -> None:
    model = DualEncoderModel.from_open_clip("ViT-B-32", pretrained=False, seed=5)
    model.save_pretrained(tmp_path)
    tower = load_text_encoder("open_clip:ViT-B-32", pretrained=False, seed=5)
    again = DualEncoderModel.from_pretrained(tmp_path, text_encoder=tower)
    ids = torch.tensor([[49406, 320, 49407]])
    with torch.no_grad():
        torch.testing.assert_close(again.get_text_features(ids), model.get_text_features(ids))
    assert tower.tower.network.text_projection is not None  # what the user holds is as it was


def test_a_loaded_tower_of_another_pooling_is_refused(tiny_dual: Any, tmp_path: Path, text_encoder_dir: Any) -> None:
    model, _ = tiny_dual()
    model.save_pretrained(tmp_path)
    other = load_text_encoder(f"hf:{text_encoder_dir('bert')}", pooling="cls")
    with pytest.raises(ProjectionError, match="it pools by 'cls', and the head was trained on 'mean'"):
        DualEncoderModel.from_pretrained(tmp_path, text_encoder=other)


def test_a_tower_that_learned_is_filled_in_a_copy_of_the_given_one(
    tiny_dual: Any, tmp_path: Path, text_encoder_dir: Any
) -> None:
    model, _ = tiny_dual(trained_towers=["text"])
    with torch.no_grad():
        for parameter in model.text_encoder.parameters():
            parameter.add_(0.1)
    model.save_pretrained(tmp_path)
    given = load_text_encoder(f"hf:{text_encoder_dir('bert')}", pooling="mean")
    before = next(given.parameters()).clone()
    again = DualEncoderModel.from_pretrained(tmp_path, text_encoder=given)
    assert torch.equal(next(given.parameters()), before)
    assert torch.equal(next(again.text_encoder.parameters()), next(model.text_encoder.parameters()))


def test_heads_alone_take_a_tower_by_name_when_they_are_loaded(tmp_path: Path) -> None:
    DualEncoderModel(DualEncoderConfig(image_feature_dim=64, text_feature_dim=4, projection_dim=8)).save_pretrained(
        tmp_path
    )
    model = DualEncoderModel.from_pretrained(tmp_path, image_encoder=load_encoder("timm:test_vit", pretrained=False))
    assert model.get_image_features(torch.zeros(1, 3, 160, 160)).shape == (1, 8)


def test_how_to_load_an_encoder_is_not_said_of_a_loaded_one(text_encoder_dir: Any) -> None:
    loaded = load_text_encoder(f"hf:{text_encoder_dir('bert')}", pooling="mean")
    with pytest.raises(
        ConfigurationError, match=r"text_pooling='cls' says how a text encoder is loaded, and this one is"
    ):
        DualEncoderModel.from_backbones(None, loaded, image_feature_dim=4, text_pooling="cls")
    with pytest.raises(
        ConfigurationError, match=r"\['seed'\] say how an encoder is loaded, and this one is loaded already"
    ):
        DualEncoderModel.from_backbones(None, loaded, image_feature_dim=4, text_encoder_kwargs={"seed": 1})
