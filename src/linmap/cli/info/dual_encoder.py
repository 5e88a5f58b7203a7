"""What `linmap info` tells of a dual encoder: two towers, two heads, the temperature."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linmap.cli.info.files import Header, files_in, frozen_part, header_of, size_of
from linmap.errors import ProjectionError

if TYPE_CHECKING:
    from linmap.dual.configuration import DualEncoderConfig

__all__ = ["dual_encoder_facts"]

SCALARS = ("logit_scale", "logit_bias")


def dual_encoder_facts(folder: Path, written: dict[str, Any]) -> dict[str, Any]:
    """Everything `linmap info` tells of it; sizes are in bytes.

    Args:
        folder: Of the model.
        written: Its `config.json`.
    """
    from linmap.dual.configuration import DualEncoderConfig

    config = DualEncoderConfig.from_dict(written)
    learning = config.trained_towers or []
    header = header_of(folder, "what was learned")
    trained: dict[str, Any] = {}
    frozen: dict[str, Any] = {}
    for tower in ("image", "text"):
        if (size := _tower_size(config, tower)) is not None:
            recorded = (config.backbones or {}).get(f"{tower}_encoder")
            inside = tower in learning or config.checkpoint_contents == "full"
            (trained if tower in learning else frozen)[f"{tower}_encoder"] = frozen_part(recorded, inside, *size)
        if getattr(config, f"{tower}_projection"):
            trained[f"{tower}_projection"] = _head(header, folder, f"{tower}_projection")
    return {
        "folder": str(folder),
        "kind": "dual encoder",
        "trained": trained,
        "frozen": frozen,
        "space": {
            "projection_dim": config.projection_dim,
            "image_feature_dim": config.image_feature_dim,
            "text_feature_dim": config.text_feature_dim,
            "image_size": getattr(config.vision_config, "image_size", None),
            "context_length": getattr(config.text_config, "context_length", None),
            "pooling": getattr(config.text_config, "pooling", None),
            "loss": config.loss,
            **_scalars(folder),
        },
        "files": {file.name: file.stat().st_size for file in files_in(folder)},
    }


def _head(header: Header, folder: Path, name: str) -> dict[str, Any]:
    """Shape and size of a head, from the header of the file alone."""
    weight = header.under(f"{name}.")
    if f"{name}.weight" not in weight.shapes:
        raise ProjectionError(
            f"{folder / 'model.safetensors'} holds no {name}.weight. Train the heads, or fetch the model again."
        )
    outputs, inputs = weight.shapes[f"{name}.weight"]
    return {"inputs": inputs, "outputs": outputs, **weight.facts()}


def _scalars(folder: Path) -> dict[str, float | None]:
    """The factor on the cosines, the temperature that is its inverse, and the bias: the only numbers that are read."""
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", framework="numpy") as opened:
        there = set(opened.keys())
        values = {name: float(opened.get_tensor(name)) for name in SCALARS if name in there}
    scale = math.exp(values["logit_scale"]) if "logit_scale" in values else None
    return {
        "logit_scale": None if scale is None else round(scale, 4),
        "temperature": None if scale is None else round(1 / scale, 6),
        "logit_bias": values.get("logit_bias"),
    }


def _tower_size(config: DualEncoderConfig, tower: str) -> tuple[int, int, str] | None:
    import torch

    from linmap.encoders import ImageEncoder
    from linmap.text_encoders import TextEncoder

    with torch.device("meta"):  # shapes without storage: nothing is read, nothing is allocated
        if tower == "image":
            return None if config.vision_config is None else size_of(ImageEncoder(config.vision_config))
        return None if config.text_config is None else size_of(TextEncoder(config.text_config))
