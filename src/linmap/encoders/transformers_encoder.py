"""Vision models of transformers, and the vision towers of its two-tower models."""

from __future__ import annotations

import copy
import inspect
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import CONFIG_MAPPING, AutoImageProcessor, PreTrainedConfig

from linmap.encoders.names import EncoderName
from linmap.encoders.preprocessing import describe
from linmap.encoders.tower import LoadedTower, Tower
from linmap.encoders.transformers_files import (
    facts_of,
    load_whole,
    model_class,
    model_directory,
    pooling_arguments,
    portable,
    read_configuration,
    weight_file,
)
from linmap.errors import EncoderError
from linmap.weights.hub import hub_file
from linmap.weights.identity import Fingerprint, sha256_of_weights

__all__ = ["TransformersTower", "load_transformers"]

MOST_PREFIX_TOKENS = 16  # class, distillation and register tokens in front of the patches


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
        self.network: Any = model_class(config)(config, **pooling_arguments(config, model_args.get("pooler", True)))
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
    directory, commit = model_directory(name, revision)
    config = _vision_config(name, directory)
    processor = _image_processor(name, directory, commit, image_size)
    side = _side(name, config, processor)
    model_args: dict[str, Any] = {"config": portable(config), "pooler": True, "interpolate": False}
    if image_size is not None and image_size != getattr(config, "image_size", image_size):
        model_args["interpolate"] = _takes_other_sizes(config)
    facts = facts_of(name, directory, commit)
    if pretrained:
        weights = weight_file(name, directory, commit)
        network, model_args["pooler"] = load_whole(name, directory, config)
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


def _vision_config(name: EncoderName, directory: Path) -> PreTrainedConfig:
    """The configuration of the vision model, or that of the vision tower of a two-tower model."""
    config = read_configuration(name, directory)
    kind = config.model_type
    config = getattr(config, "vision_config", None) or config
    model = model_class(config)
    if getattr(model, "main_input_name", None) != "pixel_values":
        raise EncoderError(f"{name} is a {kind!r} model, which takes no images. Name an image encoder.")
    return config


def _takes_other_sizes(config: PreTrainedConfig) -> bool:
    return "interpolate_pos_encoding" in inspect.signature(model_class(config).forward).parameters


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
