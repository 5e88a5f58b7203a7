"""A language model without its weights, and its tokenizer if that is at hand: what a plan needs to know of them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

from linmap.errors import BackboneError, UnknownNameError, first_line
from linmap.language.loading import WHEEL_PREFIX, is_made_of_nothing, place_of
from linmap.weights import WHEELS, Fingerprint, cache_dir, wheels_of
from linmap.weights.known import known_configuration

__all__ = ["outline_language_model", "tokenizer_at_hand"]


def outline_language_model(
    name: str, *, gguf_file: str | None = None, dtype: torch.dtype = torch.float32
) -> tuple[PreTrainedModel, Fingerprint]:
    """A causal language model on the meta device: its parts and their sizes, and no memory for them.

    The configuration comes from linmap itself, from the directory, or from the Hub and its cache; weights are not read.

    Args:
        name: As `load_language_model` takes it.
        gguf_file: As there.
        dtype: Of the weights that it would have.

    Returns:
        The model, frozen and in eval mode, and what can be said of its weights.

    Raises:
        BackboneError: Its configuration cannot be had here.

    Example:
        >>> model, _ = outline_language_model("EleutherAI/gpt-j-6b", dtype=torch.bfloat16)
        >>> f"{sum(weight.numel() for weight in model.parameters()):,}", model.device.type
        ('6,050,882,784', 'meta')
    """
    config, fingerprint = _configuration(name, gguf_file)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    return model.requires_grad_(False).eval(), fingerprint


def tokenizer_at_hand(name: str, *, gguf_file: str | None = None) -> Tokenizer | None:
    """The tokenizer of a language model if it lies on this machine; nothing is fetched or unpacked for it.

    Args:
        name: As `load_language_model` takes it.
        gguf_file: As there.
    """
    folder = name
    if name.startswith(WHEEL_PREFIX):
        wheel = WHEELS[name.removeprefix(WHEEL_PREFIX)]
        folder = str(cache_dir() / "weights" / name.removeprefix(WHEEL_PREFIX) / f"{Path(wheel.member).stem}.unpacked")
        if not Path(folder).is_dir():
            return None
    elif gguf_file is not None or name.endswith(".gguf"):
        return None  # read anew, it takes many seconds
    with contextlib.suppress(OSError, ValueError):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return None if is_made_of_nothing(tokenizer) else tokenizer
    return None


def _configuration(name: str, gguf_file: str | None) -> tuple[Any, Fingerprint]:
    known = known_configuration(name)
    if name.startswith(WHEEL_PREFIX):
        if name not in wheels_of("language_model") or known is None:
            raise UnknownNameError("language model among the wheels,", name, wheels_of("language_model"))
        return _config_of(known.config), WHEELS[name.removeprefix(WHEEL_PREFIX)].fingerprint(name)
    place = place_of(name, gguf_file)
    local = Path(place.repo_or_dir).is_dir()
    identity = Path(place.repo_or_dir).resolve().name if local else name
    if known is not None and not local:
        return _config_of(known.config), Fingerprint(name, "transformers", identity, license=known.license)
    arguments = {"gguf_file": place.gguf_file} if place.gguf_file else {}
    try:
        config = AutoConfig.from_pretrained(place.repo_or_dir, **arguments)
    except (OSError, ValueError) as error:
        raise BackboneError(
            f"Nothing is known of the language model {name!r}: {first_line(error)} Give a Hub id, a directory, a .gguf "
            f"file, or one of the built-in wheels: {', '.join(wheels_of('language_model'))}."
        ) from error
    return config, Fingerprint(name, "transformers", identity)


def _config_of(facts: dict[str, Any]) -> Any:
    return CONFIG_MAPPING[facts["model_type"]].from_dict(dict(facts))
