"""Tiny real dual encoders: timm's smallest vision transformer and a tiny BERT, and some that take features only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from linmap import DualEncoderConfig, DualEncoderModel, DualEncoderProcessor

TEXTS = ["a dog runs", "two children play with a red ball", "a cat", "a man rides a bicycle"]


@pytest.fixture(scope="session")
def tiny_dual(text_encoder_dir: Callable[[str], Path]) -> Callable[..., tuple[Any, Any]]:
    """`tiny_dual(**settings)`: (model, its processor) on tiny real towers; 8 channels in the shared space."""

    def make(**settings: Any) -> tuple[DualEncoderModel, DualEncoderProcessor]:
        with torch.random.fork_rng():
            torch.manual_seed(3)
            model = DualEncoderModel.from_backbones(
                "timm:test_vit",
                f"hf:{text_encoder_dir('bert')}",
                text_pooling="mean",
                image_encoder_kwargs={"pretrained": False, "seed": 0},
                **({"projection_dim": 8} | settings),
            )
        return model, DualEncoderProcessor.for_model(model)

    return make


@pytest.fixture
def heads() -> DualEncoderModel:
    """Two heads alone: image features of 6 channels, text features of 4, 8 in the shared space."""
    torch.manual_seed(0)
    return DualEncoderModel(DualEncoderConfig(image_feature_dim=6, text_feature_dim=4, projection_dim=8)).eval()


@pytest.fixture(scope="session")
def pictures() -> list[Image.Image]:
    """Four pictures that differ from one another."""
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 255, (40, 50, 3), dtype=np.uint8)) for _ in range(4)]


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Four texts, one for each of the pictures."""
    return list(TEXTS)
