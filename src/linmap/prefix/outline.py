"""A linear vision prefix without its weights: what a plan needs to know before anything is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from linmap.encoders.outline import outline_encoder
from linmap.language.outline import outline_language_model, tokenizer_at_hand
from linmap.prefix.modeling import LinearVisionPrefixModel

__all__ = ["outline", "outline_language_model", "tokenizer_at_hand"]


def outline(
    encoder: str | None,
    language_model: str,
    *,
    encoder_kwargs: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float32,
    gguf_file: str | None = None,
    **arguments: Any,
) -> LinearVisionPrefixModel:
    """The model that `from_backbones` would make, on the meta device: from configurations alone, in a moment.

    Args:
        encoder: As `LinearVisionPrefixModel.from_backbones` takes it.
        language_model: As there.
        encoder_kwargs: `pretrained`, `seed`, `image_size` and `preprocessing`, as `load_encoder` takes them.
        dtype: Of the language model's weights.
        gguf_file: Name of the GGUF file inside `language_model`.
        **arguments: What else `from_backbones` takes for a model.

    Raises:
        EncoderError: The encoder's name cannot be understood.
        BackboneError: A configuration cannot be had here.

    Example:
        >>> model = outline("open_clip:RN50x16/openai", "EleutherAI/gpt-j-6b", dtype=torch.bfloat16)
        >>> model.projector, model.config.num_image_tokens
        (Linear(in_features=3072, out_features=4096, bias=True), 144)
    """
    seeing = None if encoder is None else outline_encoder(encoder, **(encoder_kwargs or {}))
    reading, fingerprint = outline_language_model(language_model, gguf_file=gguf_file, dtype=dtype)
    with torch.device("meta"):
        model = LinearVisionPrefixModel.from_backbones(seeing, reading, **arguments)
    model.config.backbones = {**(model.config.backbones or {}), "language_model": fingerprint.to_dict()}
    return model
