"""The towers of a checkpoint: found under their recorded names and checked, or built to be filled from it."""

from __future__ import annotations

import copy
from typing import Any

from linmap import encoders, text_encoders
from linmap.dual.configuration import DualEncoderConfig
from linmap.errors import ProjectionError
from linmap.weights.records import hub_revision, is_verified, put_down, recorded_part

__all__ = ["image_tower", "text_tower"]


def _is_inside(config: DualEncoderConfig, tower: str) -> bool:
    """Whether the checkpoint itself holds the weights of a tower."""
    return config.checkpoint_contents == "full" or tower in (config.trained_towers or [])


def image_tower(
    config: DualEncoderConfig, given: str | encoders.ImageEncoder | None, checkpoint: str, dtype: Any
) -> encoders.ImageEncoder | None:
    """The image tower as given, from the checkpoint (yet to be filled), or under its recorded name."""
    if config.vision_config is None and given is None:
        return None
    if isinstance(given, encoders.ImageEncoder):
        put_down(config, "image_encoder", given.fingerprint.to_dict())
        _require_width("image", given.pooled_dim, config.image_feature_dim)
        config.vision_config = copy.deepcopy(given.config)
        return given
    if given is None and _is_inside(config, "image"):
        return encoders.ImageEncoder(config.vision_config)
    recorded = recorded_part(config.backbones, "image_encoder", checkpoint)
    encoder = encoders.load_encoder(
        given or recorded.name,
        expected=recorded,
        pretrained=recorded.pretrained,
        seed=recorded.seed,
        revision=hub_revision(recorded),
        image_size=config.vision_config.image_size,
        dtype=dtype or config.vision_config.dtype,
    )
    if not (config.vision_config.model_args or {}).get("projection", True):
        encoder.take_projection()
    _require_width("image", encoder.pooled_dim, config.image_feature_dim)
    if given is not None and not is_verified(encoder.fingerprint, recorded):
        put_down(config, "image_encoder", encoder.fingerprint.to_dict())
    return encoder


def text_tower(
    config: DualEncoderConfig, given: str | text_encoders.TextEncoder | None, checkpoint: str, dtype: Any
) -> text_encoders.TextEncoder | None:
    """The text tower as given, from the checkpoint (yet to be filled), or under its recorded name."""
    if config.text_config is None and given is None:
        return None
    if isinstance(given, text_encoders.TextEncoder):
        put_down(config, "text_encoder", given.fingerprint.to_dict())
        _require_width("text", given.feature_dim, config.text_feature_dim)
        config.text_config = copy.deepcopy(given.config)
        return given
    if given is None and _is_inside(config, "text"):
        return text_encoders.TextEncoder(config.text_config)
    recorded = recorded_part(config.backbones, "text_encoder", checkpoint)
    own_pooling = config.text_config.library == "open_clip"
    encoder = text_encoders.load_text_encoder(
        given or recorded.name,
        expected=recorded,
        pooling=None if own_pooling else config.text_config.pooling,
        pretrained=recorded.pretrained,
        seed=recorded.seed,
        revision=hub_revision(recorded),
        dtype=dtype or config.text_config.dtype,
    )
    if not (config.text_config.model_args or {}).get("projection", True):
        encoder.take_projection()
    _require_width("text", encoder.feature_dim, config.text_feature_dim)
    if given is not None and not is_verified(encoder.fingerprint, recorded):
        put_down(config, "text_encoder", encoder.fingerprint.to_dict())
    return encoder


def _require_width(tower: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise ProjectionError(
            f"The {tower} head does not fit this {tower} encoder: it gives {found} channels, and the head was trained "
            f"on {wanted}. Use the encoder it was trained with, or train it again."
        )
