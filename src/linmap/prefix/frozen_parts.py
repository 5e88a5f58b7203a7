"""The frozen parts of a checkpoint: found under their recorded names, checked, recorded anew where they are others."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from transformers.utils import SAFE_WEIGHTS_NAME

from linmap import encoders, language
from linmap.errors import ConfigurationError, ProjectionError
from linmap.prefix.configuration import LinearVisionPrefixConfig
from linmap.weights import sha256_of
from linmap.weights.records import hub_revision, is_verified, put_down, recorded_part

__all__ = ["named_encoder", "own_encoder", "require_fit", "trained_encoder"]


def named_encoder(
    config: LinearVisionPrefixConfig, name: str | None, checkpoint: str, arguments: Mapping[str, Any]
) -> encoders.ImageEncoder:
    """The encoder under its recorded name, or another; what cannot be told to be the same is recorded anew.

    The one of the recorded name keeps the preprocessing that is recorded, too: a library's own may change.
    """
    recorded = recorded_part(config.backbones, "encoder", checkpoint)
    options = {
        "pretrained": recorded.pretrained,
        "seed": recorded.seed,
        "revision": hub_revision(recorded),
        "image_size": config.vision_config.image_size,
        "dtype": config.vision_config.dtype,
    }
    encoder = encoders.load_encoder(name or recorded.name, expected=recorded, **(options | dict(arguments)))
    if name is None and encoder.config.image_size == config.vision_config.image_size:
        encoder.config.preprocessing = copy.deepcopy(config.vision_config.preprocessing)
    if name is not None and not is_verified(encoder.fingerprint, recorded):
        put_down(config, "encoder", encoder.fingerprint.to_dict())
    return encoder


def own_encoder(directory: Path, encoder_kwargs: Mapping[str, Any] | None) -> encoders.ImageEncoder:
    """The encoder of a self-contained checkpoint."""
    loaded: Any = encoders.ImageEncoder.from_pretrained(directory, output_loading_info=True, **(encoder_kwargs or {}))
    encoder, found = loaded
    language.require_all_weights(f"encoder in {directory}", found)
    return encoder.requires_grad_(False)


def trained_encoder(
    config: LinearVisionPrefixConfig, given: str | encoders.ImageEncoder | Literal[False] | None, directory: Path
) -> encoders.ImageEncoder | Literal[False]:
    """The encoder of a checkpoint that learned with the projection, yet to be filled from it; False for none.

    Its fingerprint is that of the checkpoint's own file: features of the encoder it began as are not its features.
    """
    weights = directory / SAFE_WEIGHTS_NAME
    if weights.is_file():
        start = config.vision_config.fingerprint or {}
        own = {"revision": None, "file": weights.name, "sha256": sha256_of(weights)}
        config.vision_config.fingerprint = {**start, **own}
    if given is None:
        return encoders.ImageEncoder(copy.deepcopy(config.vision_config))
    if given is not False:
        raise ConfigurationError(
            "The encoder of this checkpoint was trained and is part of it; it takes no other. Leave encoder out."
        )
    return False


def require_fit(encoder: encoders.ImageEncoder, config: LinearVisionPrefixConfig) -> None:
    """Refuses an encoder whose features the projection cannot take; of one that fits, the configuration is kept."""
    found = encoder.config
    width = found.feature_dim if config.features == "grid" else found.pooled_dim
    whole_grid = config.features == "grid" and config.grid_size is None
    cells = math.prod(found.grid or []) if whole_grid else config.num_image_tokens
    if (width, cells) != (config.feature_dim, config.num_image_tokens):
        raise ProjectionError(
            f"The projection does not fit the encoder {encoder.fingerprint.name!r}: that one gives {cells} image "
            f"tokens of {width} channels, and the projection was trained on {config.num_image_tokens} of "
            f"{config.feature_dim}. Use the encoder it was trained with, or train it again."
        )
    config.vision_config = copy.deepcopy(found)
