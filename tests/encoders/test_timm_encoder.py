"""timm's encoders: their own features, without what timm's defaults would do to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from linmap.encoders import image_processor_for, load_encoder
from linmap.encoders.timm_encoder import ZERO_SHOT_CLIP, TimmTower
from linmap.errors import EncoderError, WeightsUnavailableError
from linmap.weights import sha256_of

TINY_BEIT = {"img_size": 32, "embed_dim": 16, "depth": 2, "num_heads": 2}


def test_class_tokens_are_dropped_and_patches_stay_in_reading_order():
    encoder = load_encoder("timm:test_vit", pretrained=False)
    pixel_values = torch.randn(1, 3, 160, 160)
    tokens = encoder.tower.network.forward_features(pixel_values)
    assert tokens.shape == (1, 101, 64)
    assert torch.equal(encoder.grid_features(pixel_values), tokens[:, 1:])


def test_cells_of_a_convolutional_grid_are_in_reading_order():
    encoder = load_encoder("timm:test_resnet", pretrained=False)
    pixel_values = torch.randn(1, 3, 160, 160)
    grid = encoder.tower.network.forward_features(pixel_values)
    tokens = encoder.grid_features(pixel_values)
    for row, column in [(0, 0), (0, 1), (1, 0), (3, 2)]:
        assert torch.equal(tokens[0, row * 5 + column], grid[0, :, row, column])
    torch.testing.assert_close(encoder.pooled_features(pixel_values)[:, 0], grid.mean(dim=(2, 3)))


def test_a_channels_last_grid_is_not_transposed():
    tower = TimmTower(
        "swin_tiny_patch4_window7_224", {"img_size": 56, "embed_dim": 16, "depths": (1, 1), "num_heads": (1, 2)}
    ).eval()  # no layer is left out at random
    pixel_values = torch.randn(1, 3, 56, 56)
    assert torch.equal(tower.grid_features(pixel_values), tower.network.forward_features(pixel_values))
    assert tower.grid_features(pixel_values).shape == (1, 7, 7, 32)


@pytest.mark.parametrize(("architecture", "extra"), [("mixer_s16_224", 0), ("xcit_nano_12_p8_224", 1)])
def test_a_model_that_says_no_size_of_its_grid_is_laid_out_as_timm_does(architecture, extra):
    tower = TimmTower(architecture, {}).eval()
    pixel_values = torch.randn(2, 3, 224, 224)
    grid = tower.grid_features(pixel_values)
    assert grid.shape[:3] == ((2, 14, 14) if extra == 0 else (2, 28, 28))
    assert torch.equal(grid.flatten(1, 2), tower.network.forward_features(pixel_values)[:, extra:])
    assert torch.equal(tower.grid_features(pixel_values), grid)


def test_a_class_token_alone_is_no_grid():
    tower = TimmTower("pit_ti_224", {}).eval()
    with pytest.raises(
        EncoderError, match=r"timm:pit_ti_224 gives no grid .* is of shape \(1, 1, 256\), .* row by row\. Take another"
    ):
        tower.grid_features(torch.randn(1, 3, 224, 224))


def test_a_model_of_two_resolutions_is_no_grid():
    tower = TimmTower("crossvit_tiny_240", {}).eval()
    with pytest.raises(EncoderError, match=r"timm:crossvit_tiny_240 gives no grid of features: .* is a list, which"):
        tower.grid_features(torch.randn(1, 3, 240, 240))


# T9: without pooling, timm's BEiT has a norm that no checkpoint holds.


def test_beit_features_are_those_of_the_default_pooling_and_no_norm_is_left_unloaded():
    torch.manual_seed(0)
    checkpoint = timm.create_model("beit_base_patch16_224", num_classes=0, **TINY_BEIT).eval()
    for parameter in checkpoint.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    tower = TimmTower("beit_base_patch16_224", TINY_BEIT).eval()
    tower.network.load_state_dict(checkpoint.state_dict(), strict=True)
    pixel_values = torch.randn(1, 3, 32, 32)
    wanted = checkpoint.forward_features(pixel_values)
    assert torch.equal(tower.grid_features(pixel_values).flatten(1, 2), wanted[:, 1:])
    assert torch.equal(tower.pooled_features(pixel_values), checkpoint(pixel_values))


# T10: timm crops CLIP's images to 90 %; OpenAI and LiMBeR do not.


def test_a_clip_resnet_sees_the_whole_height_and_its_grid_is_before_attention_pooling():
    encoder = load_encoder("timm:resnet50_clip.openai", pretrained=False)
    assert timm.get_pretrained_cfg("resnet50_clip.openai").crop_pct == 0.9
    processor = image_processor_for(encoder.config)
    assert processor.size["shortest_edge"] == processor.crop_size["height"] == 224
    assert (encoder.grid, encoder.feature_dim, encoder.pooled_dim) == ((7, 7), 2048, 2048)
    pixel_values = torch.randn(1, 3, 224, 224)
    grid = encoder.tower.network.forward_features(pixel_values)
    assert torch.equal(encoder.grid_features(pixel_values), grid.flatten(2).transpose(1, 2))
    pooled = encoder.pooled_features(pixel_values)[:, 0]
    assert not torch.allclose(pooled, grid.mean(dim=(2, 3)))


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("resnet50x16_clip.openai", True),
        ("resnet50_clip_gap.cc12m", True),
        ("vit_base_patch16_clip_224.openai", True),
        ("vit_base_patch16_clip_224.openai_ft_in1k", False),
        ("beit_large_patch16_224.in22k_ft_in22k", False),
        ("resnet50.a1_in1k", False),
    ],
)
def test_only_zero_shot_clip_weights_lose_timms_crop(name: str, whole: bool):
    assert bool(ZERO_SHOT_CLIP.match(name)) is whole


def test_another_image_size_gives_another_grid():
    assert load_encoder("timm:test_vit", pretrained=False, image_size=224).grid == (14, 14)
    assert load_encoder("timm:test_resnet", pretrained=False, image_size=224).grid == (7, 7)


# Pretrained weights, from a hub cache that was filled by hand.


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint of test_vit with its classifier, as timm keeps it on the hub."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = timm.create_model("test_vit", pretrained=False)
    path = tmp_path / "model.safetensors"
    save_file(model.state_dict(), path)
    return path


def test_pretrained_weights_come_with_commit_file_digest_and_licence(hub: Any, checkpoint: Path):
    snapshot = hub("timm/test_vit.r160_in1k", checkpoint)
    encoder = load_encoder("timm:test_vit")
    wanted = timm.create_model("test_vit", pretrained=False)
    timm.models.load_checkpoint(wanted, str(checkpoint))
    pixel_values = torch.randn(1, 3, 160, 160)
    assert torch.equal(encoder.grid_features(pixel_values), wanted.eval().forward_features(pixel_values)[:, 1:])
    fingerprint = encoder.fingerprint
    assert (fingerprint.name, fingerprint.id) == ("timm:test_vit.r160_in1k", "test_vit.r160_in1k")
    assert (fingerprint.revision, fingerprint.file) == (snapshot.name, "model.safetensors")
    assert fingerprint.sha256 == sha256_of(checkpoint)
    assert fingerprint.license == "apache-2.0"
    assert fingerprint.pretrained
    assert fingerprint.seed is None


def test_weights_out_of_reach_are_an_error_and_never_random_ones(hub: Any):
    with pytest.raises(
        WeightsUnavailableError, match=r"Cannot reach the Hugging Face Hub for model\.safetensors of 'timm/"
    ):
        load_encoder("timm:test_vit")


def test_a_model_without_weights_names_the_way_to_random_ones():
    with pytest.raises(EncoderError, match=r"no pretrained weights for 'test_maxvit.*pretrained=False, seed=0"):
        load_encoder("timm:test_maxvit")


def test_an_unknown_model_gets_suggestions():
    with pytest.raises(EncoderError, match=r"has no model 'resnet5'\. Did you mean timm:resnet50"):
        load_encoder("timm:resnet5")


def test_an_unknown_tag_lists_the_known_ones():
    with pytest.raises(EncoderError, match=r"no weights 'in22k' for 'test_vit'\. Known tags: r160_in1k\."):
        load_encoder("timm:test_vit.in22k")
