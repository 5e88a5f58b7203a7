"""Whether a folder is a whole model of ours, before anything of it is uploaded."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers.utils import CONFIG_NAME, PROCESSOR_NAME, SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from linmap.errors import LinmapError, ModelNotFoundError, first_line
from linmap.sharing.contents import contents
from linmap.sharing.shared import SharedConfig

__all__ = ["require_whole"]


def require_whole(directory: Path) -> SharedConfig:
    """Reads the configuration and looks into every file of weights; nothing is loaded.

    Args:
        directory: What shall be pushed.

    Returns:
        The configuration.

    Raises:
        ModelNotFoundError: It is no folder, no model of ours, or lacks weights or processor, or a file is cut off.
    """
    from transformers import AutoConfig  # noqa: F401 - every family is registered with it

    if not directory.is_dir():
        found = "is a file" if directory.exists() else "is not there"
        raise ModelNotFoundError(f"{directory} {found}. Name the folder that save_pretrained or linmap train wrote.")
    if not (directory / CONFIG_NAME).is_file():
        found = ", ".join(sorted(path.name for path in directory.iterdir())[:6]) or "nothing"
        raise ModelNotFoundError(f"{directory} holds no {CONFIG_NAME}, so it is no model. Found: {found}.")
    try:
        kind = json.loads((directory / CONFIG_NAME).read_text(encoding="utf-8")).get("model_type")
        ours = {known.model_type: known for known in SharedConfig.__subclasses__()}
        if kind not in ours:
            raise ModelNotFoundError(
                f"{directory} holds a model of type {kind!r}; linmap pushes those of type "
                f"{', '.join(sorted(ours))}. For others there is hf upload."
            )
        config = ours[kind].from_pretrained(directory)
    except LinmapError:
        raise
    except (AttributeError, OSError, RecursionError, TypeError, ValueError) as error:
        raise ModelNotFoundError(
            f"{directory / CONFIG_NAME} is damaged: {first_line(error)}. Save the model again."
        ) from error
    if not any((directory / name).is_file() for name in (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME)):
        raise ModelNotFoundError(f"{directory} holds no {SAFE_WEIGHTS_NAME}: the model's weights are missing.")
    for path in contents(directory):
        if path.endswith(".safetensors"):
            _require_readable(directory / path)
        elif path.endswith(SAFE_WEIGHTS_INDEX_NAME):
            _require_shards(directory / path)
    if not (directory / PROCESSOR_NAME).is_file():
        raise ModelNotFoundError(
            f"{directory} holds a model without its processor ({PROCESSOR_NAME}). Save it there too: "
            f"processor.save_pretrained({str(directory)!r})."
        )
    return config


def _require_shards(index: Path) -> None:
    try:
        named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (AttributeError, KeyError, OSError, RecursionError, TypeError, ValueError) as error:
        raise ModelNotFoundError(f"{index} is damaged: {first_line(error)}. Save the model again.") from error
    missing = sorted(name for name in named if not (index.parent / name).is_file())
    if missing:
        raise ModelNotFoundError(f"{index.parent} lacks {missing[0]}, which its index names. Save the model again.")


def _require_readable(weights: Path) -> None:
    try:
        with safe_open(weights, framework="pt") as opened:
            opened.keys()
    except (OSError, SafetensorError) as error:
        raise ModelNotFoundError(f"{weights} is cut off or damaged: {first_line(error)}. Save it again.") from error
