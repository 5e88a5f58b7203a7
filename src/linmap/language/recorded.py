"""A frozen language model as a checkpoint records it: found again under its name, or replaced on purpose."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Protocol

from transformers import PreTrainedModel

from linmap.language import loading
from linmap.weights import Fingerprint
from linmap.weights.records import hub_revision, is_verified, put_down, recorded_part

__all__ = ["LANGUAGE_MODEL_ARGUMENTS", "portable_config", "record_of", "recorded_language_model", "savable"]

LANGUAGE_MODEL_ARGUMENTS = (
    "dtype",
    "torch_dtype",
    "device_map",
    "quantization_config",
    "attn_implementation",
    "gguf_file",
    "max_memory",
    "offload_folder",
    "offload_buffers",
    "offload_state_dict",
)
"""What `from_pretrained` of a composite model passes on to its language model."""


class HasLanguageModel(Protocol):
    """A configuration with the language model's own in it, and a record for each frozen part."""

    text_config: Any
    backbones: dict | None


def record_of(fingerprint: Fingerprint, gguf_file: str | None) -> dict[str, Any]:
    """What a configuration says of a language model: enough to load it again."""
    return fingerprint.to_dict() | ({"gguf_file": gguf_file} if gguf_file else {})


def recorded_language_model(
    config: HasLanguageModel,
    part: str,
    name: str | None,
    checkpoint: str,
    hub: Mapping[str, Any],
    arguments: Mapping[str, Any],
) -> PreTrainedModel:
    """The language model under its recorded name, or another; what cannot be told to be the same is recorded anew.

    Args:
        config: Of the composite model; its record of the part is renewed where another model is taken.
        part: What `config.backbones` calls the language model.
        name: Another name than the recorded one, or None.
        checkpoint: What errors call the checkpoint.
        hub: Hub arguments (`token`, `cache_dir`, …).
        arguments: Those of `LANGUAGE_MODEL_ARGUMENTS`. Without a dtype, or with `"auto"`, the saved one is taken.
    """
    recorded = recorded_part(config.backbones, part, checkpoint)
    known_file = (config.backbones or {})[part].get("gguf_file")
    options = {"revision": hub_revision(recorded), "gguf_file": known_file, **hub}
    options |= {key: value for key, value in arguments.items() if value is not None}
    asked = options.pop("torch_dtype", "auto")
    asked = options.pop("dtype", asked)
    options["dtype"] = (config.text_config.dtype or "auto") if asked == "auto" else asked
    # a quantised file the user names in place of the recorded one is another file on purpose
    swapped = options["gguf_file"] != known_file
    loaded, found = loading.load_language_model(
        name or recorded.name,
        expected=None if swapped else recorded,
        **{key: value for key, value in options.items() if value is not None},
    )
    if swapped or (name is not None and not is_verified(found, recorded)):
        put_down(config, part, record_of(found, options["gguf_file"]))
    return loaded


def portable_config(text_config: Any) -> Any:
    """A copy of a live configuration without local paths and quantisation, and none of whose objects are shared.

    Sharing them would let the composite's setter turn the language model's causal mask off.
    """
    text_config = copy.deepcopy(text_config)
    text_config._name_or_path = ""
    if hasattr(text_config, "quantization_config"):
        del text_config.quantization_config
    return text_config


def savable(language_model: PreTrainedModel) -> PreTrainedModel:
    """The language model as plain weights: a GGUF file is held dequantised, but refuses to be saved as it is."""
    quantizer = getattr(language_model, "hf_quantizer", None)
    if quantizer is None or quantizer.is_serializable():
        return language_model
    plain = copy.copy(language_model)
    plain.config = portable_config(language_model.config)
    plain.hf_quantizer = None  # type: ignore[assignment]
    return plain
