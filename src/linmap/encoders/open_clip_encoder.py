"""Image towers of open_clip; the only place that builds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import open_clip
import torch
from torch import Tensor

from linmap.encoders.names import EncoderName
from linmap.encoders.open_clip_files import (
    load_open_clip_model,
    model_arguments,
    model_config,
    pretrained_entry,
)
from linmap.encoders.preprocessing import resize_and_crop
from linmap.encoders.tower import LoadedTower, Tower
from linmap.errors import EncoderError
from linmap.weights.identity import Fingerprint

__all__ = ["OpenClipTower", "load_open_clip", "loaded_tower", "tower_around"]

# The text tower is not wanted: the smallest one that open_clip builds takes its place.
NO_TEXT = {"context_length": 1, "vocab_size": 1, "width": 64, "heads": 1, "layers": 1}


class OpenClipTower(Tower):
    """The image tower of an open_clip model.

    Grid features are the last block's output, before the final norm and before attention pooling; pooled features are
    the image embedding, projected but not normalised; without the projection where `drop_projection` took it.

    Args:
        architecture: Name of an open_clip model configuration.
        model_args: `quick_gelu`; `image_size` where it is not the configuration's own; `projection`, False where the
            tower is without its last matrix.
    """

    def __init__(self, architecture: str, model_args: dict[str, Any]) -> None:
        super().__init__(architecture, model_args)
        config = model_config(architecture)
        vision = {**config["vision_cfg"], "timm_model_pretrained": False}
        if "image_size" in model_args:
            vision["image_size"] = model_args["image_size"]
        self.network: Any = open_clip.CustomTextCLIP(
            embed_dim=config["embed_dim"],
            vision_cfg=vision,
            text_cfg=NO_TEXT,
            quick_gelu=model_args.get("quick_gelu", config.get("quick_gelu", False)),
        ).visual
        if not model_args.get("projection", True):
            self.drop_projection()

    def drop_projection(self) -> Tensor | None:
        """Takes the matrix (width, embedding) away that projects the pooled feature, and returns it.

        None where there is no matrix by itself (attention pooling of ResNets, heads of timm towers): then the tower
        stays as it is.
        """
        projection = getattr(self.network, "proj", None)
        if not isinstance(projection, torch.nn.Parameter):
            return None
        self.network.proj = None
        return projection.detach()

    def grid_features(self, pixel_values: Tensor) -> Tensor:
        """As `Tower.grid_features`; the class token is dropped."""
        blocks = self.network.forward_intermediates(pixel_values, indices=1, intermediates_only=True)
        return blocks["image_intermediates"][-1].permute(0, 2, 3, 1)

    def pooled_features(self, pixel_values: Tensor) -> Tensor:
        """As `Tower.pooled_features`."""
        pooled = self.network(pixel_values)
        return pooled[0] if isinstance(pooled, tuple) else pooled  # CoCa's tower gives its tokens as well


def load_open_clip(name: EncoderName, *, pretrained: bool, revision: str | None, image_size: int | None) -> LoadedTower:
    """An open_clip image tower by `NAME/TAG`; without pretrained weights `NAME` is enough."""
    architecture, _, tag = name.id.partition("/")
    config = model_config(architecture)
    entry = pretrained_entry(architecture, tag, pretrained)
    model_args = model_arguments(config, entry)
    if image_size is not None:
        model_args["image_size"] = image_size
    fingerprint = Fingerprint(name=str(name), library="open_clip", id=name.id, pretrained=False)
    if not pretrained:
        return loaded_tower(name, OpenClipTower(architecture, model_args), model_args, fingerprint)
    whole, _, fingerprint = load_open_clip_model(name, revision, image_size)
    return loaded_tower(name, tower_around(whole, architecture, model_args), model_args, fingerprint)


def tower_around(model: Any, architecture: str, model_args: dict[str, Any]) -> OpenClipTower:
    """The tower whose network is the image tower of a whole open_clip model, as it is."""
    with torch.device("meta"):
        tower = OpenClipTower(architecture, model_args)
    tower.network = model.visual
    return tower


def loaded_tower(
    name: EncoderName,
    tower: OpenClipTower,
    model_args: dict[str, Any],
    fingerprint: Fingerprint,
    *,
    preprocessing: Mapping[str, Any] | None = None,
) -> LoadedTower:
    """A tower with what a configuration remembers of it.

    Args:
        name: Architecture and tag.
        tower: The network.
        model_args: As `OpenClipTower` takes them.
        fingerprint: Where the weights came from.
        preprocessing: open_clip's `preprocess_cfg` of a live model; None takes what belongs to the tag.
    """
    architecture, _, tag = name.id.partition("/")
    size = model_args.get("image_size") or model_config(architecture)["vision_cfg"].get("image_size", 224)
    side = _side(name, size)
    entry = dict(preprocessing or pretrained_entry(architecture, tag, pretrained=False))
    return LoadedTower(
        tower=tower,
        library="open_clip",
        architecture=architecture,
        model_args=model_args,
        image_size=side,
        preprocessing=_preprocessing(name, entry, side),
        fingerprint=fingerprint,
    )


def _side(name: EncoderName, image_size: int | tuple[int, int]) -> int:
    if isinstance(image_size, int):
        return image_size
    height, width = image_size
    if height != width:
        raise EncoderError(f"{name} takes images of {height}x{width} pixels; only square ones are supported.")
    return int(height)


def _preprocessing(name: EncoderName, entry: dict[str, Any], side: int) -> dict[str, Any]:
    """open_clip's evaluation transform: resized to exactly the input size, the rest cut off or squashed."""
    settings = open_clip.transform.merge_preprocess_dict(open_clip.transform.PreprocessCfg(), entry)
    if settings["resize_mode"] not in {"shortest", "squash"}:
        raise EncoderError(f"{name} is preprocessed with resize mode {settings['resize_mode']!r}: not supported.")
    return resize_and_crop(
        side,
        crop_fraction=1.0,
        squash=settings["resize_mode"] == "squash",
        interpolation="bilinear" if settings["interpolation"] == "bilinear" else "bicubic",
        mean=settings["mean"],
        std=settings["std"],
    )
