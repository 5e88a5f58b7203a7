"""Vision models of transformers, and the vision towers of its two-tower models."""

from __future__ import annotations

import contextlib
import copy
import inspect
import json
import logging
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import CONFIG_MAPPING, MODEL_MAPPING, AutoConfig, AutoImageProcessor, PreTrainedConfig

from linmap.encoders.names import EncoderName
from linmap.encoders.preprocessing import describe
from linmap.encoders.tower import LoadedTower, Tower
from linmap.errors import EncoderError, WeightsUnavailableError
from linmap.weights.hub import commit_of, hub_file, hub_license, license_in
from linmap.weights.identity import Fingerprint, sha256_of_weights

__all__ = ["TransformersTower", "load_transformers"]

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
MOST_PREFIX_TOKENS = 16  # class, distillation and register tokens in front of the patches
LOCAL = ("_name_or_path", "architectures", "dtype", "transformers_version")  # of a config: says where, not what


class TransformersTower(Tower):
    """A vision model of transformers.

    Grid features are `last_hidden_state` without class, distillation and register tokens (which stand first); pooled
    features are `pooler_output` where the checkpoint has one, else the class token, else the mean.

    Args:
        architecture: `model_type` of the vision configuration.
        model_args: `config`, the vision configuration; `pooler`, whether the checkpoint holds a pooler's weights;
            `interpolate`, whether position embeddings are interpolated to another input size.
    """

    def __init__(self, architecture: str, model_args: dict[str, Any]) -> None:
        super().__init__(architecture, model_args)
        config = CONFIG_MAPPING[architecture].from_dict(copy.deepcopy(model_args["config"]))
        self.network: Any = _model_class(config)(config, **_pooling(config, model_args.get("pooler", True)))
        self.patch_size = getattr(config, "patch_size", None)
        self.extra = {"interpolate_pos_encoding": True} if model_args.get("interpolate") else {}

    def grid_features(self, pixel_values: Tensor) -> Tensor:
        """As `Tower.grid_features`."""
        features = self.network(pixel_values, **self.extra).last_hidden_state
        if features.ndim == 4:
            return features.permute(0, 2, 3, 1)
        height, width = self._grid(features.shape[1], *pixel_values.shape[-2:])
        return features[:, features.shape[1] - height * width :].unflatten(1, (height, width))

    def pooled_features(self, pixel_values: Tensor) -> Tensor:
        """As `Tower.pooled_features`."""
        output = self.network(pixel_values, **self.extra)
        pooled = getattr(output, "pooler_output", None)
        if pooled is not None:
            return pooled.flatten(1)
        features = output.last_hidden_state
        if features.ndim == 4:
            return features.mean(dim=(2, 3))
        height, width = self._grid(features.shape[1], *pixel_values.shape[-2:])
        return features[:, 0] if features.shape[1] > height * width else features.mean(dim=1)

    def _grid(self, tokens: int, image_height: int, image_width: int) -> tuple[int, int]:
        """Height and width of the grid that the last `height * width` of the tokens form."""
        if isinstance(self.patch_size, int):
            height, width = image_height // self.patch_size, image_width // self.patch_size
            if height * width <= tokens <= height * width + MOST_PREFIX_TOKENS:
                return height, width
        side = math.isqrt(tokens)  # hierarchical models have merged their patches, and have no class token
        if side * side == tokens:
            return side, side
        raise EncoderError(
            f"{type(self.network).__name__} gives {tokens} tokens for an image of {image_height}x{image_width} pixels, "
            "which form no grid. Take an encoder that keeps one token for each patch."
        )


def load_transformers(
    name: EncoderName, *, pretrained: bool, revision: str | None, image_size: int | None
) -> LoadedTower:
    """A vision model by hub id or local directory; of a two-tower model its vision tower."""
    directory, commit = _directory(name, revision)
    config = _vision_config(name, directory)
    processor = _image_processor(name, directory, commit, image_size)
    side = _side(name, config, processor)
    model_args: dict[str, Any] = {"config": _portable(config), "pooler": True, "interpolate": False}
    if image_size is not None and image_size != getattr(config, "image_size", image_size):
        model_args["interpolate"] = _takes_other_sizes(config)
    local = Path(name.id).expanduser().is_dir()
    facts: dict[str, Any] = {
        "name": str(name),
        "library": "transformers",
        "id": directory.name if local else name.id,
        "revision": commit,
        "license": license_in(directory / "README.md") if local else hub_license(name.id, commit),
    }
    if pretrained:
        weights = _weights(name, directory, commit)
        network, model_args["pooler"] = _load(name, directory, config)
        with torch.device("meta"):
            tower = TransformersTower(config.model_type, model_args)
        tower.network = network
        facts |= {"file": weights.name, "sha256": sha256_of_weights(weights)}
    else:
        tower = TransformersTower(config.model_type, model_args)
        facts["pretrained"] = False
    return LoadedTower(
        tower=tower,
        library="transformers",
        architecture=config.model_type,
        model_args=model_args,
        image_size=side,
        preprocessing=describe(processor),
        fingerprint=Fingerprint(**facts),
    )


def _directory(name: EncoderName, revision: str | None) -> tuple[Path, str | None]:
    """The directory with the configuration, and the commit if the name is one on the hub."""
    local = Path(name.id).expanduser()
    if local.is_dir():
        if not (local / "config.json").is_file():
            raise EncoderError(f"The directory {name.id!r} holds no config.json. Name one that save_pretrained wrote.")
        return local.resolve(), None
    if re.match(r"[./~]", name.id) or name.id.count("/") > 1:
        raise EncoderError(f"There is no directory {name.id!r}. Write hf:DIR or hf:OWNER/REPOSITORY.")
    config = hub_file(name.id, ["config.json"], revision)
    return config.parent, commit_of(config)


def _vision_config(name: EncoderName, directory: Path) -> PreTrainedConfig:
    """The configuration of the vision model, or that of the vision tower of a two-tower model."""
    kind = json.loads((directory / "config.json").read_text(encoding="utf-8")).get("model_type")
    if kind is None or kind == "timm_wrapper":
        hint = f"Write timm:{name.id.removeprefix('timm/')} for timm's models." if "timm" in name.id else ""
        raise EncoderError(f"{name} is not a model of transformers itself. {hint}".rstrip())
    if kind not in CONFIG_MAPPING:
        raise EncoderError(
            f"{name} is a {kind!r} model, which transformers {transformers.__version__} does not have; code that comes "
            "with a checkpoint is not run. Install a transformers that has it, or take another encoder."
        )
    config = AutoConfig.from_pretrained(directory)
    config = getattr(config, "vision_config", None) or config
    model = _model_class(config)
    if getattr(model, "main_input_name", None) != "pixel_values":
        raise EncoderError(f"{name} is a {kind!r} model, which takes no images. Name an image encoder.")
    return config


def _model_class(config: PreTrainedConfig) -> Any:
    if type(config) not in MODEL_MAPPING:
        raise EncoderError(f"transformers {transformers.__version__} has no plain model for {config.model_type!r}.")
    kind = MODEL_MAPPING[type(config)]
    return kind[0] if isinstance(kind, tuple) else kind


def _pooling(config: PreTrainedConfig, wanted: bool) -> dict[str, Any]:
    """The argument that leaves out a pooler, for the models that have one that can be left out."""
    if wanted or "add_pooling_layer" not in inspect.signature(_model_class(config)).parameters:
        return {}
    return {"add_pooling_layer": False}


def _takes_other_sizes(config: PreTrainedConfig) -> bool:
    return "interpolate_pos_encoding" in inspect.signature(_model_class(config).forward).parameters


def _portable(config: PreTrainedConfig) -> dict[str, Any]:
    """The configuration without what it knows of this machine: paths, versions, number format."""
    return {key: value for key, value in json.loads(config.to_json_string(False)).items() if key not in LOCAL}


def _image_processor(name: EncoderName, directory: Path, commit: str | None, image_size: int | None) -> Any:
    """The image processor in the directory; with a commit its file is fetched there first."""
    try:
        if commit is not None:
            hub_file(name.id, ["preprocessor_config.json", "processor_config.json"], commit)
        processor = AutoImageProcessor.from_pretrained(directory)
    except (OSError, ValueError) as error:
        raise EncoderError(
            f"{name} says nothing about preprocessing (no preprocessor_config.json). Save its image processor there."
        ) from error
    if image_size is not None:
        _resize(processor, image_size)
    return processor


def _resize(processor: Any, side: int) -> None:
    """Another input size, at the same share of the photo that is cropped away."""
    old = processor.size
    crop = getattr(processor, "crop_size", None) if getattr(processor, "do_center_crop", False) else None
    if old.get("shortest_edge") and crop:
        processor.size = type(old)(shortest_edge=round(old["shortest_edge"] * side / crop["height"]))
    elif old.get("shortest_edge"):
        processor.size = type(old)(shortest_edge=side)
    else:
        processor.size = type(old)(height=side, width=side)
    if crop:
        processor.crop_size = type(crop)(height=side, width=side)


def _side(name: EncoderName, config: PreTrainedConfig, processor: Any) -> int:
    """Side of the square that the image processor makes."""
    size = processor.crop_size if getattr(processor, "do_center_crop", False) else processor.size
    height, width = size.get("height") or size.get("shortest_edge"), size.get("width") or size.get("shortest_edge")
    if not height or height != width:
        raise EncoderError(f"The image processor of {name} makes no square images ({dict(size)}): not supported.")
    return int(height)


def _weights(name: EncoderName, directory: Path, commit: str | None) -> Path:
    """The weight file in the directory; with a commit it is fetched there first, shards included."""
    if commit is None:
        for file in WEIGHTS:
            if (directory / file).is_file():
                return directory / file
        raise WeightsUnavailableError(
            f"The directory {name.id!r} holds no weights. It needs one of: {', '.join(WEIGHTS)}."
        )
    weights = hub_file(name.id, WEIGHTS, commit)
    if weights.name.endswith(".index.json"):
        for shard in sorted(set(json.loads(weights.read_text(encoding="utf-8"))["weight_map"].values())):
            hub_file(name.id, [shard], commit)
    return weights


def _load(name: EncoderName, directory: Path, config: PreTrainedConfig) -> tuple[Any, bool]:
    """The model with every weight from the checkpoint, and whether that has a pooler."""
    kind = _model_class(config)
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
                **_pooling(config, pooler),
            )
        missing = sorted(found["missing_keys"]) + sorted(str(key) for key in found["mismatched_keys"])
        if not missing:
            return network, pooler
        if not (pooler and _pooling(config, False) and all("pooler" in key for key in missing)):
            break
    raise WeightsUnavailableError(
        f"The checkpoint {name} does not hold all weights of {kind.__name__}: {len(missing)} are missing or of another "
        f"shape, first {missing[0]!r}. Name a checkpoint of the vision model itself."
    )


@contextlib.contextmanager
def _without_load_report() -> Iterator[None]:
    """Keeps transformers from listing the text tower's weights as unexpected; missing ones are an error of ours."""

    def is_other_news(record: logging.LogRecord) -> bool:
        return "LOAD REPORT" not in record.getMessage()

    logger = logging.getLogger("transformers.modeling_utils")
    logger.addFilter(is_other_news)
    try:
        yield
    finally:
        logger.removeFilter(is_other_news)
