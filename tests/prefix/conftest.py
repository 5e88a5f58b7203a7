"""Tiny real prefix models: every language model family between a tiny real encoder, or none, and its text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from linmap import LinearVisionPrefixModel, LinearVisionPrefixProcessor

FEATURE_DIM = 6


def _projection(model: LinearVisionPrefixModel) -> LinearVisionPrefixModel:
    """Gives the projection weights large enough that one image visibly differs from another."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.projector.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


@pytest.fixture(scope="session")
def feature_model(tiny_lm: Callable[..., Any], tiny_tokenizer: Callable[..., Any]) -> Callable[..., Any]:
    """`feature_model(family, **settings)`: (model without an encoder, its processor); 4 placeholders an image."""

    def make(family: str = "gpt2", *, bos: bool = False, **settings: Any) -> tuple[Any, Any]:
        tokenizer = tiny_tokenizer(bos=bos)
        settings = {"feature_dim": FEATURE_DIM, "num_image_tokens": 4} | settings
        model = LinearVisionPrefixModel.from_backbones(None, tiny_lm(family), tokenizer=tokenizer, **settings)
        return _projection(model), LinearVisionPrefixProcessor.for_model(model, tokenizer)

    return make


@pytest.fixture(scope="session")
def photo_model(tiny_lm_dir: Callable[..., Any]) -> Callable[..., Any]:
    """`photo_model(family, **settings)`: (model, processor) on a tiny encoder; the language model lies in a folder."""

    def make(family: str = "llama", **settings: Any) -> tuple[Any, Any]:
        encoder_kwargs = {"pretrained": False, "seed": 0}
        settings = {"grid_size": 2} | settings
        model = LinearVisionPrefixModel.from_backbones(
            "timm:test_vit", str(tiny_lm_dir(family)), encoder_kwargs=encoder_kwargs, **settings
        )
        return _projection(model), LinearVisionPrefixProcessor.for_model(model)

    return make


@pytest.fixture(scope="session")
def features() -> Callable[..., torch.Tensor]:
    """`features(images, cells=4)`: seeded features of `FEATURE_DIM` channels."""

    def make(images: int, cells: int = 4) -> torch.Tensor:
        return torch.randn(images, cells, FEATURE_DIM, generator=torch.Generator().manual_seed(images))

    return make


@pytest.fixture(scope="session")
def photos() -> list[Image.Image]:
    """Three pictures that have little in common: stripes, noise, and nearly black."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 255, (48, 64, 3), dtype=np.uint8)
    stripes = np.tile(np.repeat(np.array([[[255, 0, 0]], [[0, 255, 255]]], dtype=np.uint8), 8, axis=0), (3, 64, 1))
    return [Image.fromarray(pixels) for pixels in (stripes, noise, noise // 16)]
