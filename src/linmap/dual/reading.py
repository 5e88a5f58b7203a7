"""What `from_pretrained` finds in a folder, and what its words for number formats and devices mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers.utils import CONFIG_NAME, SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from linmap.errors import ConfigurationError, UnknownNameError

__all__ = ["device_of", "dtype_named", "kind_of", "tensors_in"]


def dtype_named(asked: torch.dtype | str | None) -> torch.dtype | None:
    """What a word for a number format means; None for none, and for `"auto"`."""
    if asked is None or asked == "auto" or isinstance(asked, torch.dtype):
        return asked if isinstance(asked, torch.dtype) else None
    found = getattr(torch, asked.removeprefix("torch."), None)
    if not isinstance(found, torch.dtype):
        raise UnknownNameError("dtype", asked, ("auto", "bfloat16", "float16", "float32"))
    return found


def tensors_in(directory: Path) -> dict[str, Tensor] | None:
    """The tensors of a checkpoint, in one file or in shards; None where there are none."""
    index = directory / SAFE_WEIGHTS_INDEX_NAME
    if (directory / SAFE_WEIGHTS_NAME).is_file():
        return load_file(directory / SAFE_WEIGHTS_NAME)
    if not index.is_file():
        return None
    shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    return {key: value for shard in shards for key, value in load_file(directory / shard).items()}


def kind_of(directory: Path) -> str | None:
    """`model_type` of the model in a folder; None where there is none."""
    file = directory / CONFIG_NAME
    return json.loads(file.read_text(encoding="utf-8")).get("model_type") if file.is_file() else None


def device_of(device_map: Any) -> torch.device | None:
    """The one device that transformers' `device_map` means; None for none."""
    if device_map is None:
        return None
    if isinstance(device_map, Mapping):
        if set(device_map) != {""}:
            raise ConfigurationError(
                f"device_map={dict(device_map)!r}: a dual encoder stays on one device. Give it as device_map='cuda' or "
                "{'': 'cuda'}."
            )
        device_map = device_map[""]
    if device_map == "auto":
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return accelerator or torch.device("cpu")
    return torch.device(device_map)
