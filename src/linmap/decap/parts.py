"""What a checkpoint of DeCap stands on: dual encoder, frozen decoder, memory; found under their names and checked."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from linmap import language
from linmap.decap.configuration import DeCapConfig
from linmap.decap.memory import SupportMemory
from linmap.dual.fingerprints import whole_fingerprint
from linmap.dual.modeling import DualEncoderModel
from linmap.dual.named import load_dual_model, name_of
from linmap.dual.reading import dtype_named
from linmap.errors import ConfigurationError
from linmap.language.recorded import portable_config, recorded_language_model
from linmap.weights import Fingerprint
from linmap.weights.records import put_down, recorded_part

__all__ = [
    "DECODER_FOLDER",
    "DUAL_ENCODER_FOLDER",
    "MEMORY_FOLDER",
    "recorded_decoder",
    "recorded_dual_encoder",
    "recorded_memory",
]

DECODER_FOLDER = "decoder"
DUAL_ENCODER_FOLDER = "dual_encoder"
MEMORY_FOLDER = "memory"


def recorded_dual_encoder(
    config: DeCapConfig, given: str | DualEncoderModel | Literal[False] | None, directory: Path
) -> DualEncoderModel | None:
    """The dual encoder under its recorded name, or another, if it gives the latents the decoder was trained with."""
    if given is False or (given is None and "dual_encoder" not in (config.backbones or {})):
        return None
    own = directory / DUAL_ENCODER_FOLDER
    if given is None and config.checkpoint_contents == "full" and own.is_dir():
        return load_dual_model(str(own))
    if given is None:
        recorded = recorded_part(config.backbones, "dual_encoder", str(directory))
        name, model = recorded.name, load_dual_model(recorded.name)
        whole_fingerprint(model, name).require(recorded)
    elif isinstance(given, str):
        name, model = given, load_dual_model(given)
    else:
        name, model = name_of(given), given
    found = model.text_fingerprint()
    if config.text_tower:
        Fingerprint(**{**found.to_dict(), "name": name}).require(Fingerprint.from_dict(config.text_tower))
    else:
        config.text_tower = found.to_dict()  # a converted checkpoint, whose text tower nobody had seen
    put_down(config, "dual_encoder", whole_fingerprint(model, name).to_dict())
    return model


def recorded_decoder(
    config: DeCapConfig,
    given: str | PreTrainedModel | None,
    directory: Path,
    hub: Mapping[str, Any],
    arguments: Mapping[str, Any],
) -> PreTrainedModel:
    """The frozen decoder; or, for one that was trained, the network that `_load_learned` fills."""
    if config.train_decoder:
        if given is not None:
            raise ConfigurationError(
                "The decoder of this checkpoint was trained and is part of it; it takes no other. Leave decoder out."
            )
        implementation = arguments.get("attn_implementation")
        chosen = {} if implementation is None else {"attn_implementation": implementation}
        # built in its number format: moved there later, what rotary positions are made of would be rounded, too
        chosen["dtype"] = dtype_named(arguments.get("dtype", arguments.get("torch_dtype"))) or torch.float32
        return AutoModelForCausalLM.from_config(copy.deepcopy(config.text_config), **chosen)
    if isinstance(given, PreTrainedModel):
        put_down(config, "decoder", None)
        model = given
    elif given is None and config.checkpoint_contents == "full":
        model, _ = language.load_language_model(str(directory / DECODER_FOLDER), **arguments)
    else:
        model = recorded_language_model(config, "decoder", given, str(directory), hub, arguments)
    config.text_config = portable_config(model.config)
    return model


def recorded_memory(
    given: str | Path | SupportMemory | Literal[False] | None, directory: Path, hub: Mapping[str, Any]
) -> SupportMemory | None:
    """The memory of a checkpoint, or another; None where there is none, or none is wanted."""
    if given is False:
        return None
    if isinstance(given, SupportMemory):
        return given
    if given is not None:
        return SupportMemory.from_pretrained(given, **hub)
    return SupportMemory.from_pretrained(directory / MEMORY_FOLDER) if (directory / MEMORY_FOLDER).is_dir() else None
