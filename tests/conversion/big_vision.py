"""Checkpoints as big_vision writes them, in all its layouts, of the small CLIPPO in tests/golden."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file

__all__ = ["LAYOUTS", "golden_arrays", "golden_parameters", "in_layout", "written"]

LAYOUTS = ("params", "bare", "full", "optimiser", "bfloat16", "scanned")

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "clippo"


def golden_arrays(name: str = "model") -> dict[str, np.ndarray]:
    """What the original computed; see tests/golden/clippo/README.md."""
    return load_file(GOLDEN / f"{name}.safetensors")


def golden_parameters() -> dict[str, np.ndarray]:
    """`img/head/kernel` and so on."""
    held = golden_arrays()
    return {name.removeprefix("params/"): value for name, value in held.items() if name.startswith("params/")}


def in_layout(parameters: Mapping[str, np.ndarray], layout: str) -> dict[str, np.ndarray]:
    """Leaves of a file in one of `LAYOUTS`."""
    if layout == "scanned":
        return {f"params/{name}": value for name, value in _stacked(parameters).items()}
    if layout == "bfloat16":
        return {f"params/{name}": _two_bytes(value) for name, value in parameters.items()}
    root = {"bare": "", "optimiser": "opt/target/"}.get(layout, "params/")
    leaves = {f"{root}{name}": value for name, value in parameters.items()}
    if layout in ("full", "optimiser"):
        momentum = {f"opt/state/0/mu/{name}": np.zeros_like(value) for name, value in parameters.items()}
        leaves = {"chrono/accum_train_time": np.array(3.0), "opt/state/0/count": np.array(7), **momentum, **leaves}
    return leaves


def written(path: Path, leaves: Mapping[str, np.ndarray]) -> Path:
    """An npz file; names may hold slashes."""
    np.savez(path, **leaves)
    return path


def _stacked(parameters: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """All blocks in one, along axis 0, as `scan=True` keeps them."""
    single = re.compile(r"(.*/encoderblock)_(\d+)(/.*)")
    blocks: dict[str, dict[int, np.ndarray]] = {}
    others = {}
    for name, value in parameters.items():
        if found := single.fullmatch(name):
            blocks.setdefault(found[1] + found[3], {})[int(found[2])] = value
        else:
            others[name] = value
    return others | {name: np.stack([held[number] for number in sorted(held)]) for name, held in blocks.items()}


def _two_bytes(value: np.ndarray) -> np.ndarray:
    """bfloat16 as `np.savez` stores it: two bytes without a type."""
    halved = torch.from_numpy(value).bfloat16().view(torch.int16).numpy()
    return halved.view(np.dtype("V2"))
