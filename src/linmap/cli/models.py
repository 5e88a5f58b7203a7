"""From the word after `--model` to a model and its processor, or to an error that says what the folder lacks."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from linmap.errors import LinmapError, ModelNotFoundError

if TYPE_CHECKING:
    from linmap.prefix.modeling import LinearVisionPrefixModel
    from linmap.prefix.processing import LinearVisionPrefixProcessor

__all__ = ["Captioner", "load_captioner", "model_folder", "read_config"]

MODEL_TYPE = "linear_vision_prefix"


class Captioner(NamedTuple):
    """A model on its device, and its processor."""

    model: LinearVisionPrefixModel
    processor: LinearVisionPrefixProcessor


def model_folder(name: str | None) -> Path:
    """The local folder of a model; `None` is the bundled one, and one on the Hub is downloaded (not its frozen parts).

    Raises:
        ModelNotFoundError: It looks like a path, and no such folder is there.
        BackboneError: Neither a folder nor a repository that can be reached.
        WeightsUnavailableError: This installation came without the bundled model.
    """
    if name is None:
        from linmap.hub import default_model

        return Path(default_model())
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise ModelNotFoundError(f"{name} is a file. Name the folder that save_pretrained or linmap train wrote.")
    if name.startswith((".", "~", os.sep)) or name.count("/") != 1:  # the Hub's names are organisation/name
        raise ModelNotFoundError(
            f"There is no folder {name!r}. Name a folder that save_pretrained or linmap train wrote, or a model on the "
            "Hub as organisation/name; without --model the bundled model is used."
        )
    from linmap.prefix.checkpoints import checkpoint_directory

    return checkpoint_directory(name)


def read_config(folder: Path) -> dict[str, Any]:
    """The facts in `config.json` of a linear vision prefix.

    Raises:
        ModelNotFoundError: There is none, it is damaged, or it belongs to another kind of model.
    """
    file = folder / "config.json"
    if not file.is_file():
        names = sorted(path.name for path in folder.iterdir())
        found = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "") or "nothing"
        raise ModelNotFoundError(f"{folder} holds no config.json, so it is no model. Found: {found}.")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelNotFoundError(f"{file} is damaged: {error}. Save or fetch the model again.") from error
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind != MODEL_TYPE:
        raise ModelNotFoundError(
            f"{folder} holds a model of type {kind!r}; linmap needs {MODEL_TYPE!r}. "
            "Name a folder that linmap train wrote; frozen parts alone cannot caption."
        )
    return config


def load_captioner(name: str | None, device: str = "auto", dtype: str = "auto") -> Captioner:
    """Loads a model with its frozen parts, and its processor.

    Args:
        name: Folder, Hub id, or `None` for the bundled model.
        device: One of `linmap.cli.devices.DEVICES`, with or without a number.
        dtype: One of `linmap.cli.devices.DTYPES`, for the language model; encoder and projection keep theirs.

    Raises:
        LinmapError: The model, a frozen part, the device or the format is not to be had; the message says which.
    """
    from linmap.cli.devices import check_dtype, device_for, dtype_for

    check_dtype(dtype)
    place = device_for(device)
    folder = model_folder(name)
    read_config(folder)
    from safetensors import SafetensorError

    from linmap.prefix.configuration import LinearVisionPrefixConfig
    from linmap.prefix.modeling import LinearVisionPrefixModel
    from linmap.prefix.processing import LinearVisionPrefixProcessor

    try:
        config = LinearVisionPrefixConfig.from_pretrained(folder)
        number_format = dtype_for(dtype, place, getattr(config.text_config, "dtype", None))
        model = LinearVisionPrefixModel.from_pretrained(folder, config=config, dtype=number_format)
        processor = LinearVisionPrefixProcessor.from_pretrained(folder)
    except LinmapError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        # A damaged folder, or too little memory. The words of the libraries below are long: the first line says it.
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ModelNotFoundError(f"The model in {folder} cannot be loaded: {reason}") from error
    model.to(place)  # type: ignore[arg-type]  # transformers' wrapper hides the signature
    return Captioner(model, processor)
