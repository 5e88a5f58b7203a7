"""Two heads without towers, and texts."""

from __future__ import annotations

import pytest
import torch

from linmap import DualEncoderConfig, DualEncoderModel

TEXTS = ["a dog runs", "two children play with a red ball", "a cat", "a man rides a bicycle"]


@pytest.fixture
def heads() -> DualEncoderModel:
    """Two heads alone: image features of 6 channels, text features of 4, 8 in the shared space."""
    torch.manual_seed(0)
    return DualEncoderModel(DualEncoderConfig(image_feature_dim=6, text_feature_dim=4, projection_dim=8)).eval()


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Four texts, one for each of the pictures."""
    return list(TEXTS)
