"""Parameters out of a checkpoint of big_vision (`np.savez` of a flattened tree), and nothing else: no code is run."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from linmap.errors import ConversionError, first_line

__all__ = ["parameters_saved_by_big_vision"]

ROOTS = ("params/", "opt/target/", "")
"""Where the parameters stand: beside the optimiser's state, inside it (older code), or alone."""

LEFT_OUT = ("opt/", "chrono/")
"""What belongs to the training alone."""

SCANNED = "/encoderblock/"
"""Stands in the names of blocks that are stacked along axis 0 (`scan=True`)."""

_DAMAGES = (OSError, ValueError, EOFError, RuntimeError, MemoryError, OverflowError, zipfile.BadZipFile, zlib.error)


def parameters_saved_by_big_vision(path: str | Path) -> dict[str, Tensor]:
    """The parameters by name (`img/head/kernel`, …), in float32 on the CPU, blocks that were stacked taken apart.

    Optimiser state is not even read. Leaves of bfloat16, which NumPy stores as two bytes without a type, become
    float32, as leaves of float16 and float64 do.

    Args:
        path: An npz file: with the parameters under `params/` or alone, blocks one by one or stacked.

    Raises:
        ConversionError: There is no such file, it is no npz of big_vision, is damaged, or a leaf holds anything but
            finite numbers; the message names the leaf.
    """
    try:
        held = np.load(Path(path), allow_pickle=False)
    except FileNotFoundError as error:
        raise ConversionError(f"{path}: there is no such file; check the path.") from error
    except _DAMAGES as error:
        if isinstance(error, OSError) and error.strerror:
            raise ConversionError(f"{path}: it cannot be read ({error.strerror}).") from error
        raise ConversionError(_no_archive(path)) from error
    if not isinstance(held, np.lib.npyio.NpzFile):
        raise ConversionError(_no_archive(path))
    with held:
        root = next(root for root in ROOTS if any(name.startswith(root) for name in held.files) or not root)
        wanted = [name for name in held.files if name.startswith(root) and (root or not name.startswith(LEFT_OUT))]
        leaves = {name.removeprefix(root): _leaf(held, name, path) for name in wanted}
    return _one_by_one(leaves, path)


def _leaf(held: np.lib.npyio.NpzFile, name: str, path: str | Path) -> Tensor:
    try:
        array = held[name]
    except _DAMAGES as error:
        raise ConversionError(
            f"{path} is damaged, or holds what is not read here: its leaf {name} cannot be read ({first_line(error)}). "
            "Fetch the file again."
        ) from error
    if array.dtype.kind == "V" and array.dtype.names is None and array.dtype.itemsize == 2:
        leaf = torch.from_numpy(array.view(np.int16)).view(torch.bfloat16).float()
    elif array.dtype.kind == "f" and array.dtype.itemsize <= 8:
        leaf = torch.from_numpy(array.astype(array.dtype.newbyteorder("="))).float()
    else:
        raise ConversionError(
            f"{path}: the leaf {name} is {array.dtype} of the shape {array.shape}; parameters are float32 or bfloat16."
        )
    if not leaf.isfinite().all():
        raise ConversionError(
            f"{path}: the leaf {name} holds values that are no finite numbers; the training or the file went wrong."
        )
    return leaf


def _one_by_one(leaves: dict[str, Tensor], path: str | Path) -> dict[str, Tensor]:
    """Takes stacked blocks apart: `encoderblock/x` of (depth, …) becomes `encoderblock_0/x`, `encoderblock_1/x`, …"""
    stacked = {name: leaf for name, leaf in leaves.items() if SCANNED in name}
    depths = {name: leaf.shape[0] if leaf.ndim else 0 for name, leaf in stacked.items()}
    if len(set(depths.values())) > 1:
        counts = sorted(depths.values(), key=list(depths.values()).count)
        odd = next(name for name, depth in depths.items() if depth == counts[0])
        raise ConversionError(
            f"{path}: its blocks are stacked, and not as many in every leaf: {odd} holds {counts[0]}, others "
            f"{counts[-1]}. The file is damaged."
        )
    apart = {
        name.replace(SCANNED, f"/encoderblock_{number}/"): block
        for name, leaf in stacked.items()
        for number, block in enumerate(leaf)
    }
    return {name: leaf for name, leaf in leaves.items() if name not in stacked} | apart


def _no_archive(path: str | Path) -> str:
    return (
        f"{path} is no npz file as np.savez and big_vision write them, or it is damaged or cut off; fetch it again. "
        "A folder of arrays (tensorstore) is no such file either."
    )
