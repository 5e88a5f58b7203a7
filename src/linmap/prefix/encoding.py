"""What an image becomes before the linear layer, the encoder's grid or its pooled feature; and whose it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from linmap.data.feature_identity import FeatureIdentity
from linmap.encoders import ImageEncoder, ImageEncoderConfig
from linmap.encoders.preprocessing import is_random
from linmap.errors import FeatureStoreError
from linmap.prefix.splicing import pool_grid

if TYPE_CHECKING:
    from transformers import BaseImageProcessor

__all__ = ["encoder_config", "feature_identity", "frozen_features", "outlined_identity"]

ARCHITECTURE = ("library", "architecture", "model_args", "feature_dim", "pooled_dim", "grid", "image_size")


def frozen_features(encoder: ImageEncoder, pixel_values: Tensor, *, features: str, grid_size: int | None) -> Tensor:
    """Runs an image encoder as a linear vision prefix does.

    Args:
        encoder: The encoder.
        pixel_values: `(images, 3, height, width)`, on any device.
        features: `"grid"` or `"pooled"`.
        grid_size: Side of the grid that the encoder's own is averaged to, in cells; None keeps it.

    Returns:
        `(images, cells, feature_dim)` in the encoder's dtype; pooled features have one cell.
    """
    # on a CPU, convolutions take a third less time with the channels last
    pixel_values = pixel_values.to(encoder.device, encoder.dtype, memory_format=torch.channels_last)
    if features == "pooled":
        return encoder.pooled_features(pixel_values)
    grid = encoder.grid_features(pixel_values)
    return grid if grid_size is None else pool_grid(grid, encoder.grid, grid_size)


def feature_identity(
    config: ImageEncoderConfig, image_processor: BaseImageProcessor | None, *, features: str, grid_size: int | None
) -> FeatureIdentity:
    """Whose features `frozen_features` gives.

    Args:
        config: Of the encoder.
        image_processor: The preprocessing in front of it; None takes the one that its configuration holds.
        features: As there.
        grid_size: As there.

    Raises:
        FeatureStoreError: They would be others each time, since the preprocessing is random.
    """
    preprocessing = config.preprocessing if image_processor is None else json.loads(image_processor.to_json_string())
    if is_random(preprocessing or {}):
        raise FeatureStoreError(
            "The preprocessing of this encoder takes a random window of a photo, so its features are others each time "
            "and are not kept. Take a preprocessing that is not random (limber-nfrn50), or photos."
        )
    dtype = str(config.dtype or torch.float32).removeprefix("torch.")
    return FeatureIdentity(
        encoder=dict(config.fingerprint or {}),
        preprocessing=dict(preprocessing or {}),
        architecture={**{name: getattr(config, name) for name in ARCHITECTURE}, "dtype": dtype},
        features=features,
        grid_size=grid_size,
    )


def outlined_identity(encoder: str, *, features: str, grid_size: int | None, **arguments: Any) -> FeatureIdentity:
    """Whose features an encoder would give, as far as its name tells without its weights.

    Args:
        encoder: As `load_encoder` takes it.
        features: See `frozen_features`.
        grid_size: As there.
        **arguments: `pretrained`, `seed`, `image_size` and `preprocessing`, as `load_encoder` takes them.

    Raises:
        EncoderError: The name cannot be understood.
        WeightsUnavailableError: The configuration of the encoder cannot be had here.
    """
    from linmap.encoders.outline import outline_encoder

    config = outline_encoder(encoder, **arguments).config
    return feature_identity(config, None, features=features, grid_size=grid_size)


def encoder_config(identity: FeatureIdentity) -> ImageEncoderConfig:
    """The configuration of the encoder that made some features, with which a model names it without having it."""
    return ImageEncoderConfig(
        **identity.architecture, fingerprint=dict(identity.encoder), preprocessing=dict(identity.preprocessing)
    )
