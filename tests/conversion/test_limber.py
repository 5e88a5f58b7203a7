"""Projections as LiMBeR's authors released them, `torch.save(layer.state_dict())`, become folders that load."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from linmap import LinearVisionPrefixConfig, LinearVisionPrefixModel, LinearVisionPrefixProcessor
from linmap.conversion import convert_limber, original_projection
from linmap.encoders import load_encoder
from linmap.errors import ConversionError, OutputFolderError, UnknownNameError


def released(path: Path, width: int, channels: int = 2048, **more: Tensor) -> Path:
    """A projection as the authors saved it."""
    torch.manual_seed(0)
    torch.save({**nn.Linear(channels, width).state_dict(), **more}, path)
    return path


@pytest.fixture
def gptj(tiny_lm_dir: Any) -> Path:
    return Path(tiny_lm_dir("gptj"))


def convert(checkpoint: Path, folder: Path, gptj: Path, *changes: str, recipe: str = "limber-nfrn50") -> Path:
    overrides = (f"lm={gptj}", "model.language_model_dtype=float32", *changes)
    return convert_limber(checkpoint, folder, recipe=recipe, overrides=overrides)


def test_the_converted_projection_makes_the_originals_vectors(repository: Path, tmp_path: Path) -> None:
    golden = repository / "tests" / "golden" / "limber"
    arrays = load_file(golden / "cases.safetensors")
    layer = {name: arrays[f"nfrn50.{name}"] for name in ("weight", "bias")}
    torch.save(layer, tmp_path / "proj.ckpt")
    folder = convert(tmp_path / "proj.ckpt", tmp_path / "model", golden / "gptj_tiny")
    encoder = load_encoder("timm:nf_resnet50", pretrained=False, preprocessing="limber-nfrn50")
    model = LinearVisionPrefixModel.from_pretrained(folder, encoder=encoder)
    prefix = model.get_image_features(image_features=arrays["nfrn50.images"].unsqueeze(1)).pooler_output
    torch.testing.assert_close(prefix, arrays["nfrn50.prefix"], rtol=1e-5, atol=1e-5)
    assert model.config.vision_config.preprocessing["window"] == "centre"


def test_the_folder_names_its_frozen_parts_and_holds_neither(tmp_path: Path, gptj: Path) -> None:
    folder = convert(released(tmp_path / "proj.ckpt", 16), tmp_path / "model", gptj)
    assert set(load_file(folder / "model.safetensors")) == {"projector.weight", "projector.bias"}
    backbones = LinearVisionPrefixConfig.from_pretrained(folder).backbones
    assert backbones["encoder"]["name"] == "timm:nf_resnet50"
    assert backbones["encoder"]["pretrained"]
    assert backbones["language_model"]["name"] == str(gptj)
    processor = LinearVisionPrefixProcessor.from_pretrained(folder)
    assert processor.prompt == "A picture of"
    model = LinearVisionPrefixModel.from_pretrained(folder, encoder=False)
    inputs = processor(image_features=torch.ones(1, 1, 2048), return_tensors="pt")
    assert model.generate(**inputs).shape[1] <= inputs["input_ids"].shape[1] + 20


def test_a_pooled_projection_of_several_vectors_is_cut_into_them_in_order(tmp_path: Path, gptj: Path) -> None:
    """The original's `b (s d) -> b s d`."""
    checkpoint = released(tmp_path / "proj.ckpt", 4 * 16)
    folder = convert(checkpoint, tmp_path / "model", gptj, "model.prefix_length=4")
    model = LinearVisionPrefixModel.from_pretrained(folder, encoder=False)
    layer = torch.load(checkpoint, weights_only=True)
    features = torch.randn(3, 2048)
    prefix = model.get_image_features(image_features=features.unsqueeze(1)).pooler_output
    whole = features @ layer["weight"].T + layer["bias"]
    torch.testing.assert_close(prefix, whole.reshape(3, 4, 16), rtol=1e-5, atol=1e-5)


def test_clips_grid_takes_144_vectors_of_gpt_js_width_without_any_of_them_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = released(tmp_path / "proj.ckpt", 4096, 3072)
    with caplog.at_level(logging.WARNING, logger="linmap"):
        folder = convert_limber(checkpoint, tmp_path / "model", recipe="limber-clip-rn50x16")
    config = LinearVisionPrefixConfig.from_pretrained(folder)
    assert (config.num_image_tokens, config.feature_dim, config.hidden_size) == (144, 3072, 4096)
    assert config.vision_config.preprocessing["crop_size"] == {"height": 384, "width": 384}
    assert "The folder holds no processor, which needs the tokenizer" in caplog.text
    assert "Convert again where the tokenizer can be had" in caplog.text


def test_half_precision_and_the_state_dict_of_the_whole_are_read_as_one_layer(tmp_path: Path) -> None:
    layer = {name: value.half() for name, value in nn.Linear(3, 2).state_dict().items()}
    whole = {f"image_prefix.proj.{name}": value for name, value in layer.items()}
    torch.save(
        {"transformer.wte.weight": torch.ones(2, 2), "image_prefix.enc.a": torch.ones(1), **whole}, tmp_path / "a"
    )
    found = original_projection(tmp_path / "a")
    assert {name: value.dtype for name, value in found.items()} == {"weight": torch.float32, "bias": torch.float32}
    assert torch.equal(found["weight"], layer["weight"].float())


def test_an_encoder_of_random_weights_that_nobody_has_is_warned_of(
    tmp_path: Path, gptj: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="linmap"):
        convert(released(tmp_path / "proj.ckpt", 16), tmp_path / "model", gptj, recipe="limber-nfrn50-random")
    assert "learned behind random weights that were not released" in caplog.text


def test_another_shape_says_what_was_found_and_what_would_fit(tmp_path: Path, gptj: Path) -> None:
    with pytest.raises(ConversionError, match=r"\(64, 2048\), and timm:nf_resnet50 before .*prefix_length=4\."):
        convert(released(tmp_path / "a", 64), tmp_path / "model", gptj)
    with pytest.raises(ConversionError, match=r"\(16, 1024\).* needs \(16, 2048\)\. Name the recipe of its own row"):
        convert(released(tmp_path / "b", 16, 1024), tmp_path / "model", gptj)
    assert not (tmp_path / "model").exists()


def test_what_is_no_projection_of_the_paper_is_refused(tmp_path: Path, gptj: Path) -> None:
    def refuse(said: str, recipe: str = "limber-nfrn50") -> None:
        with pytest.raises(ConversionError, match=said):
            convert(tmp_path / "proj.ckpt", tmp_path / "model", gptj, recipe=recipe)

    refuse("there is no such file")
    torch.save({"weight": torch.ones(2, 2)}, tmp_path / "proj.ckpt")
    refuse(r"is no projection of LiMBeR, .* Found: weight \(2, 2\)\.")
    released(tmp_path / "proj.ckpt", 16, **{"ln.weight": torch.ones(16), "ln.bias": torch.ones(16)})
    refuse("holds a layer norm behind the projection \\(ln.bias, ln.weight\\)")
    (tmp_path / "proj.ckpt").write_bytes(pickle.dumps({"weight": print}, protocol=2))
    refuse("holds code beside its tensors, which is not run here")
    released(tmp_path / "proj.ckpt", 16)
    refuse("'blind' makes no projection of images", recipe="blind")
    refuse("learns more than a projection", recipe="limber-nfrn50-tuned")
    with pytest.raises(ConversionError, match="'lit' makes no projection of images"):
        convert_limber(tmp_path / "proj.ckpt", tmp_path / "model", recipe="lit")
    with pytest.raises(UnknownNameError, match="Unknown recipe 'limber-clip'"):
        convert_limber(tmp_path / "proj.ckpt", tmp_path / "model", recipe="limber-clip")


def test_nothing_is_overwritten(tmp_path: Path, gptj: Path) -> None:
    checkpoint = released(tmp_path / "proj.ckpt", 16)
    with pytest.raises(OutputFolderError, match="holds files already"):
        convert(checkpoint, tmp_path, gptj)
    with pytest.raises(OutputFolderError, match="is a file"):
        convert(checkpoint, checkpoint, gptj)
