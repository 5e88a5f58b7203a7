"""What `linmap info` tells of a model that captions: encoder, projection, language model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from linmap.cli.info.files import files_in, frozen_part, header_of, json_in, size_of
from linmap.errors import ProjectionError

if TYPE_CHECKING:
    from linmap.prefix.configuration import LinearVisionPrefixConfig

__all__ = ["captioner_facts"]


def captioner_facts(folder: Path, written: dict[str, Any]) -> dict[str, Any]:
    """Everything `linmap info` tells of it; sizes are in bytes.

    Args:
        folder: Of the model.
        written: Its `config.json`.
    """
    from linmap.prefix.configuration import LinearVisionPrefixConfig

    config = LinearVisionPrefixConfig.from_dict(written)
    recorded = config.backbones or {}
    inside = config.checkpoint_contents == "full"
    trained: dict[str, Any] = {"projector": _projector(folder)}
    frozen: dict[str, Any] = {}
    if config.vision_config is not None:
        learned = config.trained_encoder
        encoder = frozen_part(recorded.get("encoder"), inside or learned, *_encoder_size(config))
        (trained if learned else frozen)["encoder"] = encoder
    if config.adapter_downsample is not None:
        trained["adapters"] = header_of(folder, "a projection").under("adapters.").facts()
    frozen["language_model"] = frozen_part(recorded.get("language_model"), inside, *_language_model_size(config))
    return {
        "folder": str(folder),
        "kind": "captioner",
        "trained": trained,
        "frozen": frozen,
        "prefix": {
            "features": config.features,
            "grid_size": config.grid_size,
            "feature_dim": config.feature_dim,
            "hidden_size": config.hidden_size,
            "tokens_per_image": config.num_image_tokens,
            "prompt": json_in(folder / "processor_config.json").get("prompt"),
        },
        "generation": {
            name: value
            for name, value in json_in(folder / "generation_config.json").items()
            if name in ("max_new_tokens", "num_beams", "do_sample", "length_penalty", "repetition_penalty")
        },
        "files": {
            file.relative_to(folder).as_posix(): file.stat().st_size
            for file in files_in(folder, folder / "encoder", folder / "language_model")
        },
    }


def _projector(folder: Path) -> dict[str, Any]:
    """Shapes and size of the projection, from the header of its file alone."""
    header = header_of(folder, "a projection").under("projector.")
    file = folder / "model.safetensors"
    if "projector.weight" not in header.shapes:
        raise ProjectionError(f"{file} holds no projector.weight. Train a projection, or fetch the model again.")
    outputs, inputs = header.shapes["projector.weight"]
    return {"inputs": inputs, "outputs": outputs, **header.facts()}


def _encoder_size(config: LinearVisionPrefixConfig) -> tuple[int, int, str]:
    import torch

    from linmap.encoders import ImageEncoder, ImageEncoderConfig

    vision_config = config.vision_config
    assert isinstance(vision_config, ImageEncoderConfig)
    with torch.device("meta"):  # shapes without storage: nothing is read, nothing is allocated
        return size_of(ImageEncoder(vision_config))


def _language_model_size(config: LinearVisionPrefixConfig) -> tuple[int, int, str]:
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return size_of(AutoModelForCausalLM.from_config(config.text_config))
