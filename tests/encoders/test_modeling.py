"""The contract of an image encoder, held by all three libraries: frozen, rebuilt offline, never redrawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from linmap.encoders import ImageEncoder, ImageEncoderConfig, load_encoder
from linmap.encoders.timm_encoder import TimmTower
from linmap.encoders.tower import tower_class
from linmap.errors import EncoderError, UnknownNameError

# name -> (grid, feature_dim, pooled_dim)
EXPECTED = {
    "timm:test_vit": ((10, 10), 64, 64),
    "timm:test_resnet": ((5, 5), 96, 96),
    "open_clip:linmap-tiny-RN": ((2, 2), 256, 24),
    "open_clip:linmap-tiny-ViT": ((4, 4), 32, 24),
    "hf:vit": ((4, 4), 16, 16),
    "hf:clip": ((4, 4), 16, 16),
    "hf:resnet": ((4, 4), 16, 16),
}


@pytest.fixture(params=EXPECTED)
def encoder(request: pytest.FixtureRequest, tiny_open_clip: tuple[str, str], hf_dir: Callable[[str], Path]) -> Any:
    """A tiny encoder of each library; those of transformers with the weights of their folder."""
    source, _, name = request.param.partition(":")
    if source == "hf":
        return load_encoder(f"hf:{hf_dir(name)}")
    return load_encoder(request.param, pretrained=False, seed=0)


@pytest.fixture
def pixel_values(encoder: ImageEncoder) -> torch.Tensor:
    side = encoder.config.image_size
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))


class Holder(PreTrainedModel):
    """A model that holds an encoder beside something of its own, as the linear prefix does."""

    config_class = ImageEncoderConfig
    _supports_sdpa = True

    def __init__(self, config: ImageEncoderConfig, encoder: ImageEncoder | None = None) -> None:
        super().__init__(config)
        self.encoder = encoder or ImageEncoder(config)
        self.projector = nn.Linear(config.feature_dim, 3)
        self.post_init()


def features(encoder: ImageEncoder, pixel_values: torch.Tensor) -> list[torch.Tensor]:
    return [encoder.grid_features(pixel_values), encoder.pooled_features(pixel_values)]


def same(left: list[torch.Tensor], right: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def test_features_have_the_shapes_that_the_configuration_says(
    encoder: ImageEncoder, pixel_values: torch.Tensor, request: pytest.FixtureRequest
):
    grid, feature_dim, pooled_dim = EXPECTED[request.node.callspec.params["encoder"]]
    assert (encoder.grid, encoder.feature_dim, encoder.pooled_dim) == (grid, feature_dim, pooled_dim)
    assert encoder.num_tokens == grid[0] * grid[1]
    assert encoder.grid_features(pixel_values).shape == (2, encoder.num_tokens, feature_dim)
    assert encoder.pooled_features(pixel_values).shape == (2, 1, pooled_dim)


def test_one_image_gives_what_it_gives_in_a_batch(encoder: ImageEncoder, pixel_values: torch.Tensor):
    for alone, together in zip(features(encoder, pixel_values[1:]), features(encoder, pixel_values), strict=True):
        torch.testing.assert_close(alone, together[1:], atol=1e-5, rtol=1e-4)


def test_an_encoder_is_frozen_and_stays_in_eval_mode(encoder: ImageEncoder, pixel_values: torch.Tensor):
    before = features(encoder, pixel_values)
    encoder.train()
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert same(features(encoder, pixel_values), before)


def test_a_saved_encoder_is_read_back_bit_by_bit(encoder: ImageEncoder, pixel_values: torch.Tensor, tmp_path: Path):
    encoder.save_pretrained(tmp_path)
    again = ImageEncoder.from_pretrained(tmp_path)
    assert same(features(again, pixel_values), features(encoder, pixel_values))
    assert again.fingerprint == encoder.fingerprint
    assert not any(parameter.requires_grad for parameter in again.parameters())


# T2: post_init redraws raw modules.


def test_weights_survive_the_post_init_of_every_model_around_them(encoder: ImageEncoder):
    config = encoder.config
    tower = tower_class(config.library)(config.architecture, config.model_args or {})
    stored = {name: value.clone() for name, value in tower.state_dict().items()}
    Holder(config, ImageEncoder(config, tower)).init_weights()
    assert all(torch.equal(value, stored[name]) for name, value in tower.state_dict().items())


# T3: from_pretrained builds everything on the meta device.


def test_an_encoder_is_built_on_the_meta_device(encoder: ImageEncoder):
    with torch.device("meta"):
        empty = ImageEncoder(ImageEncoderConfig.from_dict(encoder.config.to_dict()))
    assert all(parameter.is_meta for parameter in empty.parameters())
    assert {n: v.shape for n, v in empty.state_dict().items()} == {n: v.shape for n, v in encoder.state_dict().items()}


def test_an_encoder_inside_another_checkpoint_is_read_back(
    encoder: ImageEncoder, pixel_values: torch.Tensor, tmp_path: Path
):
    Holder(encoder.config, encoder).save_pretrained(tmp_path)
    again = Holder.from_pretrained(tmp_path)
    again.encoder.freeze()  # loading makes every parameter trainable, and torch's attention then takes another path
    assert same(features(again.encoder, pixel_values), features(encoder, pixel_values))


# Swin's position indices and masks, and BEiT's key bias, are in no checkpoint.
UNSAVED = {
    "swin_tiny_patch4_window7_224": {"img_size": 56, "embed_dim": 16, "depths": (1, 2), "num_heads": (1, 2)},
    "beit_base_patch16_224": {"img_size": 32, "embed_dim": 16, "depth": 2, "num_heads": 2},
}


@pytest.mark.parametrize("architecture", UNSAVED)
def test_buffers_that_no_checkpoint_holds_are_as_the_library_makes_them(architecture: str, tmp_path: Path):
    model_args = UNSAVED[architecture]
    config = ImageEncoderConfig(architecture=architecture, model_args=model_args, image_size=model_args["img_size"])
    encoder = ImageEncoder(config, TimmTower(architecture, model_args))
    buffers = {n: b for n, b in encoder.named_buffers() if n not in encoder.state_dict()}
    assert buffers
    Holder(config, encoder).save_pretrained(tmp_path)
    again = Holder.from_pretrained(tmp_path).encoder
    assert all(torch.equal(b, dict(again.named_buffers())[n]) for n, b in buffers.items())


def test_images_of_another_size_are_refused():
    encoder = load_encoder("timm:test_vit", pretrained=False)
    with pytest.raises(EncoderError, match=r"shape \(batch, 3, 160, 160\), not \(1, 3, 224, 224\)\. Use the image pro"):
        encoder.grid_features(torch.zeros(1, 3, 224, 224))


def test_pixels_are_cast_to_the_encoders_dtype():
    encoder = load_encoder("timm:test_resnet", pretrained=False, dtype=torch.bfloat16)
    assert encoder.grid_features(torch.zeros(1, 3, 160, 160)).dtype == torch.bfloat16


def test_an_unknown_library_is_refused_where_the_configuration_is_made():
    with pytest.raises(UnknownNameError, match=r"Unknown encoder library 'tim'\. Did you mean 'timm'\?"):
        ImageEncoderConfig(library="tim")
