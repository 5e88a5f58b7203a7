"""Models of transformers on disk or on the Hub: found, read whole, and named so that they are found again."""

from __future__ import annotations

import contextlib
import copy
import inspect
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import transformers
from transformers import CONFIG_MAPPING, MODEL_MAPPING, AutoConfig, PreTrainedConfig

from linmap.encoders.names import EncoderName
from linmap.errors import EncoderError, WeightsUnavailableError
from linmap.weights.hub import commit_of, hub_file, hub_license, license_in

__all__ = [
    "facts_of",
    "load_whole",
    "model_class",
    "model_directory",
    "pooling_arguments",
    "portable",
    "read_configuration",
    "weight_file",
]

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
LOCAL = ("_name_or_path", "architectures", "dtype", "transformers_version")  # of a config: says where, not what


def model_directory(name: EncoderName, revision: str | None, **hub: Any) -> tuple[Path, str | None]:
    """The directory with the configuration, and the commit if the name is one on the hub; `hub` as for `hub_file`."""
    local = Path(name.id).expanduser()
    if local.is_dir():
        if not (local / "config.json").is_file():
            raise EncoderError(f"The directory {name.id!r} holds no config.json. Name one that save_pretrained wrote.")
        return local.resolve(), None
    if re.match(r"[./~]", name.id) or name.id.count("/") > 1:
        raise EncoderError(f"There is no directory {name.id!r}. Write hf:DIR or hf:OWNER/REPOSITORY.")
    config = hub_file(name.id, ["config.json"], revision, **hub)
    return config.parent, commit_of(config)


def read_configuration(name: EncoderName, directory: Path) -> PreTrainedConfig:
    """The configuration in the directory, of a model that transformers itself has."""
    kind = json.loads((directory / "config.json").read_text(encoding="utf-8")).get("model_type")
    if kind is None or kind == "timm_wrapper":
        hint = f"Write timm:{name.id.removeprefix('timm/')} for timm's models." if "timm" in name.id else ""
        raise EncoderError(f"{name} is not a model of transformers itself. {hint}".rstrip())
    if kind not in CONFIG_MAPPING:
        raise EncoderError(
            f"{name} is a {kind!r} model, which transformers {transformers.__version__} does not have; code that comes "
            "with a checkpoint is not run. Install a transformers that has it, import the module that tells the Auto "
            "classes of it if it is your own, or take another encoder."
        )
    return AutoConfig.from_pretrained(directory)


def facts_of(name: EncoderName, directory: Path, commit: str | None, **hub: Any) -> dict[str, Any]:
    """What a `Fingerprint` says of a model beside its weight file."""
    local = Path(name.id).expanduser().is_dir()
    return {
        "name": str(name),
        "library": "transformers",
        "id": directory.name if local else name.id,
        "revision": commit,
        "license": license_in(directory / "README.md") if local else hub_license(name.id, commit, **hub),
    }


def model_class(config: PreTrainedConfig) -> Any:
    """The plain model of a configuration, without a head for any task."""
    if type(config) not in MODEL_MAPPING:
        # towers of two-tower models go by their names alone (SiglipTextConfig, SiglipTextModel)
        named = getattr(transformers, type(config).__name__.removesuffix("Config") + "Model", None)
        if named is not None:
            return named
        raise EncoderError(f"transformers {transformers.__version__} has no plain model for {config.model_type!r}.")
    kind = MODEL_MAPPING[type(config)]
    return kind[0] if isinstance(kind, tuple) else kind


def pooling_arguments(config: PreTrainedConfig, wanted: bool) -> dict[str, Any]:
    """The argument that leaves out a pooler, for the models that have one that can be left out."""
    if wanted or "add_pooling_layer" not in inspect.signature(model_class(config)).parameters:
        return {}
    return {"add_pooling_layer": False}


def portable(config: PreTrainedConfig) -> dict[str, Any]:
    """The configuration without what it knows of this machine: paths, versions, number format."""
    return {key: value for key, value in json.loads(config.to_json_string(False)).items() if key not in LOCAL}


def weight_file(name: EncoderName, directory: Path, commit: str | None, **hub: Any) -> Path:
    """The weight file in the directory; with a commit it is fetched there first, shards included."""
    if commit is None:
        for file in WEIGHTS:
            if (directory / file).is_file():
                return directory / file
        raise WeightsUnavailableError(
            f"The directory {name.id!r} holds no weights. It needs one of: {', '.join(WEIGHTS)}."
        )
    weights = hub_file(name.id, WEIGHTS, commit, **hub)
    if weights.name.endswith(".index.json"):
        for shard in sorted(set(json.loads(weights.read_text(encoding="utf-8"))["weight_map"].values())):
            hub_file(name.id, [shard], commit, **hub)
    return weights


def load_whole(name: EncoderName, directory: Path, config: PreTrainedConfig) -> tuple[Any, bool]:
    """The model with every weight from the checkpoint, and whether that has a pooler."""
    kind = model_class(config)
    for pooler in (True, False):
        # The configuration is copied: from_pretrained writes into it.
        with _without_load_report():
            # Tensors of another shape are counted below, with the missing ones, instead of a bare RuntimeError here.
            network, found = kind.from_pretrained(
                directory,
                config=copy.deepcopy(config),
                dtype="float32",
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                **pooling_arguments(config, pooler),
            )
        missing = sorted(found["missing_keys"]) + sorted(str(key) for key in found["mismatched_keys"])
        if not missing:
            return network, pooler
        if not (pooler and pooling_arguments(config, False) and all("pooler" in key for key in missing)):
            break
    raise WeightsUnavailableError(
        f"The checkpoint {name} does not hold all weights of {kind.__name__}: {len(missing)} are missing or of another "
        f"shape, first {missing[0]!r}. Name a checkpoint of the encoder itself."
    )


@contextlib.contextmanager
def _without_load_report() -> Iterator[None]:
    """Keeps transformers from listing the other tower as unexpected; missing weights are an error of ours."""

    def is_other_news(record: logging.LogRecord) -> bool:
        return "LOAD REPORT" not in record.getMessage()

    logger = logging.getLogger("transformers.modeling_utils")
    logger.addFilter(is_other_news)
    try:
        yield
    finally:
        logger.removeFilter(is_other_news)
