"""The towers of a checkpoint: found under their recorded names and checked, or built to be filled from it."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from linmap import encoders, text_encoders
from linmap.dual.configuration import DualEncoderConfig
from linmap.encoders.frozen import FrozenEncoder
from linmap.errors import ProjectionError
from linmap.weights.records import hub_revision, is_verified, put_down, recorded_part

__all__ = ["image_tower", "text_tower"]

AnyEncoder = TypeVar("AnyEncoder", bound=FrozenEncoder)


def image_tower(
    config: DualEncoderConfig, given: str | encoders.ImageEncoder | None, checkpoint: str, dtype: Any
) -> encoders.ImageEncoder | None:
    """The image tower as given, from the checkpoint (yet to be filled), or under its recorded name.

    A loaded one is trusted to be the right one, and recorded in place of the other.
    """
    if config.vision_config is None and given is None:
        return None
    if isinstance(given, encoders.ImageEncoder):
        encoder = _without_projection(given, config.vision_config, filled=_is_inside(config, "image"))
        _require_fit("image", encoder.pooled_dim, config.image_feature_dim)
        _adopt(config, "image_encoder", encoder)
        config.vision_config = copy.deepcopy(encoder.config)
        return encoder
    if given is None and _is_inside(config, "image"):
        return encoders.ImageEncoder(config.vision_config)
    if config.vision_config is None:
        encoder = encoders.load_encoder(str(given), dtype=dtype)
        _adopt(config, "image_encoder", encoder)
        config.vision_config = copy.deepcopy(encoder.config)
    else:
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
        encoder = _without_projection(encoder, config.vision_config)
        if given is not None and not is_verified(encoder.fingerprint, recorded):
            _adopt(config, "image_encoder", encoder)
    _require_fit("image", encoder.pooled_dim, config.image_feature_dim)
    return encoder


def text_tower(
    config: DualEncoderConfig, given: str | text_encoders.TextEncoder | None, checkpoint: str, dtype: Any
) -> text_encoders.TextEncoder | None:
    """The text tower, as `image_tower`."""
    if config.text_config is None and given is None:
        return None
    if isinstance(given, text_encoders.TextEncoder):
        encoder = _without_projection(given, config.text_config, filled=_is_inside(config, "text"))
        _require_fit("text", encoder.feature_dim, config.text_feature_dim)
        _require_pooling(encoder, config)
        _adopt(config, "text_encoder", encoder)
        config.text_config = copy.deepcopy(encoder.config)
        return encoder
    if given is None and _is_inside(config, "text"):
        return text_encoders.TextEncoder(config.text_config)
    if config.text_config is None:
        encoder = text_encoders.load_text_encoder(str(given), dtype=dtype)
        _adopt(config, "text_encoder", encoder)
        config.text_config = copy.deepcopy(encoder.config)
    else:
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
        encoder = _without_projection(encoder, config.text_config)
        if given is not None and not is_verified(encoder.fingerprint, recorded):
            _adopt(config, "text_encoder", encoder)
    _require_fit("text", encoder.feature_dim, config.text_feature_dim)
    return encoder


def _is_inside(config: DualEncoderConfig, tower: str) -> bool:
    """Whether the checkpoint itself holds the weights of a tower."""
    return config.checkpoint_contents == "full" or tower in (config.trained_towers or [])


def _adopt(config: DualEncoderConfig, part: str, encoder: FrozenEncoder) -> None:
    put_down(config, part, encoder.fingerprint.to_dict() if encoder.fingerprint.name else None)


def _without_projection(encoder: AnyEncoder, recorded: Any, *, filled: bool = False) -> AnyEncoder:
    """The tower as the head was trained behind it; a copy, where what the user holds would change."""
    cut = not (getattr(recorded, "model_args", None) or {}).get("projection", True)
    if cut and (encoder.config.model_args or {}).get("projection", True):
        encoder = copy.deepcopy(encoder)
        encoder.take_projection()
    elif filled:
        encoder = copy.deepcopy(encoder)
    return encoder


def _require_pooling(encoder: text_encoders.TextEncoder, config: DualEncoderConfig) -> None:
    if config.text_config is not None and encoder.config.pooling != config.text_config.pooling:
        raise ProjectionError(
            f"The text head does not fit this text encoder: it pools by {encoder.config.pooling!r}, and the head was "
            f"trained on {config.text_config.pooling!r}. Load it with pooling={config.text_config.pooling!r}."
        )


def _require_fit(tower: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise ProjectionError(
            f"The {tower} head does not fit this {tower} encoder: it gives {found} channels, and the head was trained "
            f"on {wanted}. Use the encoder it was trained with, or train it again."
        )
