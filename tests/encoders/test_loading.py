"""Loading gives the encoder that was asked for, verified, or an error; random weights only where asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from linmap.encoders import load_encoder
from linmap.errors import EncoderError, FingerprintMismatchError


def weights(name: str, **kwargs: object) -> torch.Tensor:
    encoder = load_encoder(name, pretrained=False, **kwargs)  # type: ignore[arg-type]
    return torch.cat([parameter.flatten() for parameter in encoder.parameters()])


@pytest.mark.parametrize("name", ["timm:test_vit", "open_clip:linmap-tiny-ViT", "hf:vit"])
def test_random_weights_follow_their_seed(name: str, tiny_open_clip: tuple[str, str], hf_dir: Callable[[str], Path]):
    name = f"hf:{hf_dir('vit')}" if name == "hf:vit" else name
    assert torch.equal(weights(name, seed=1), weights(name, seed=1))
    assert torch.equal(weights(name, seed=0), weights(name))
    assert not torch.equal(weights(name, seed=1), weights(name, seed=2))


def test_drawing_random_weights_leaves_the_callers_generator_alone():
    torch.manual_seed(0)
    wanted = torch.randn(3)
    torch.manual_seed(0)
    weights("timm:test_vit", seed=5)
    assert torch.equal(torch.randn(3), wanted)


def test_a_random_control_says_that_it_is_one():
    fingerprint = load_encoder("timm:test_vit", pretrained=False, seed=4).fingerprint
    assert (fingerprint.pretrained, fingerprint.seed, fingerprint.sha256) == (False, 4, None)


def test_a_random_control_is_found_again_by_its_fingerprint():
    encoder = load_encoder("timm:test_vit", pretrained=False, seed=4)
    again = load_encoder(encoder.fingerprint.name, expected=encoder.fingerprint)
    assert again.fingerprint == encoder.fingerprint
    assert torch.equal(again.state_dict()["tower.network.cls_token"], encoder.state_dict()["tower.network.cls_token"])


def test_the_expected_weights_are_accepted(hf_dir: Callable[[str], Path]):
    name = f"hf:{hf_dir('vit')}"
    fingerprint = load_encoder(name).fingerprint
    assert load_encoder(name, expected=fingerprint).fingerprint == fingerprint


def test_other_weights_than_the_expected_are_refused(hf_dir: Callable[[str], Path]):
    name = f"hf:{hf_dir('vit')}"
    expected = replace(load_encoder(name).fingerprint, sha256="0" * 64)
    with pytest.raises(FingerprintMismatchError, match=r"is not what this checkpoint was trained with: sha256 found"):
        load_encoder(name, expected=expected)


def test_a_seed_for_pretrained_weights_is_a_mistake():
    with pytest.raises(EncoderError, match=r"seed=1 says how random weights are drawn; give it with pretrained=False"):
        load_encoder("timm:test_vit", seed=1)


def test_an_image_size_is_positive():
    with pytest.raises(EncoderError, match=r"image_size=0 is no size of an image"):
        load_encoder("timm:test_vit", pretrained=False, image_size=0)
