"""What the files of a model's folder tell without being loaded: shapes, number formats, sizes, recorded origins."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linmap.errors import ProjectionError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["Header", "files_cell", "files_in", "frozen_part", "header_of", "json_in", "megabytes", "size_of"]

DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""What safetensors calls the number formats, and what torch does."""

ITEM_SIZES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}

FINGERPRINT_FACTS = ("name", "library", "id", "revision", "file", "sha256", "license", "pretrained", "seed")


@dataclass(frozen=True, slots=True)
class Header:
    """Some tensors of a safetensors file, as its header has them.

    Args:
        shapes: By name.
        dtypes: By name, as torch calls them.
    """

    shapes: dict[str, list[int]]
    dtypes: dict[str, str]

    def facts(self) -> dict[str, Any]:
        """Numbers and bytes of all of them together, and their format."""
        parameters = {name: math.prod(shape) for name, shape in self.shapes.items()}
        return {
            "parameters": sum(parameters.values()),
            "bytes": sum(count * ITEM_SIZES.get(self.dtypes[name], 1) for name, count in parameters.items()),
            "dtype": ", ".join(sorted(set(self.dtypes.values()))),
        }

    def under(self, prefix: str) -> Header:
        """Those whose name begins so."""
        shapes = {name: shape for name, shape in self.shapes.items() if name.startswith(prefix)}
        return Header(shapes, {name: self.dtypes[name] for name in shapes})


def header_of(folder: Path, what: str) -> Header:
    """The header of `model.safetensors`.

    Args:
        folder: Of the model.
        what: What the file holds, for the error when it is not there: `"a projection"`.

    Raises:
        ProjectionError: It is not there, damaged or cut off.
    """
    from safetensors import SafetensorError, safe_open

    file = folder / "model.safetensors"
    if not file.is_file():
        raise ProjectionError(f"{folder} holds no {file.name} with {what}. Train one, or fetch the model again.")
    try:
        with safe_open(file, framework="numpy") as opened:
            tensors = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
            shapes = {name: list(tensor.get_shape()) for name, tensor in tensors.items()}
            dtypes = {name: DTYPES.get(tensor.get_dtype(), tensor.get_dtype()) for name, tensor in tensors.items()}
    except SafetensorError as error:
        raise ProjectionError(f"{file} is damaged or cut off ({error}). Save or fetch the model again.") from error
    return Header(shapes, dtypes)


def files_in(*places: Path) -> list[Path]:
    """The model's own files; a run leaves checkpoints and samples beside them, which are not the model."""
    return [file for place in places if place.is_dir() for file in sorted(place.iterdir()) if file.is_file()]


def frozen_part(
    recorded: dict[str, Any] | None, inside: bool, parameters: int | None, size: int | None, dtype: str | None
) -> dict[str, Any]:
    """Where a frozen part comes from, as the checkpoint recorded it, and its size in bytes where that is known."""
    known = {name: (recorded or {}).get(name) for name in FINGERPRINT_FACTS}
    return {**known, "parameters": parameters, "bytes": size, "dtype": dtype, "in_folder": inside}


def size_of(part: PreTrainedModel) -> tuple[int, int, str]:
    """Parameters (tied ones once), bytes in the recorded number format, and that format."""
    import torch

    dtype = getattr(torch, str(part.config.dtype or "float32").removeprefix("torch."))
    parameters = sum(parameter.numel() for parameter in part.parameters())
    return parameters, parameters * dtype.itemsize, str(dtype).removeprefix("torch.")


def json_in(file: Path) -> dict[str, Any]:
    """The facts in a JSON file; none where there is no such file."""
    from linmap.cli.models import read_json

    return read_json(file) if file.is_file() else {}


def files_cell(facts: Mapping[str, Any]) -> str:
    """The files of a folder with their sizes, one a line."""
    return "\n".join(f"{megabytes(size):>10}  {name}" for name, size in facts["files"].items())


def megabytes(size: int) -> str:
    """In units of 10^6 bytes; small files in 10^3."""
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"
