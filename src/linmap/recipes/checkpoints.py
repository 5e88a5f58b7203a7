"""Which checkpoint a run can go on from: the last one that was written to its end."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

__all__ = ["Checkpoints", "find_checkpoints", "processes_of", "why_incomplete"]

TORCH_FILES = ("optimizer.pt", "scheduler.pt")
RNG_FILE = "rng_state.pth"


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of a run.

    Args:
        last: The newest complete one, or None.
        incomplete: Those that were cut off while written (or while deleted), with the reason.
    """

    last: Path | None
    incomplete: tuple[tuple[Path, str], ...]


def find_checkpoints(output: Path) -> Checkpoints:
    """Looks at every `checkpoint-N` folder in `output`."""
    numbered = [
        (int(match[1]), path)
        for path in output.glob("checkpoint-*")
        if path.is_dir() and (match := re.fullmatch(r"checkpoint-(\d+)", path.name))
    ]
    last: Path | None = None
    incomplete: list[tuple[Path, str]] = []
    for _, path in sorted(numbered):
        reason = why_incomplete(path)
        if reason is None:
            last = path
        else:
            incomplete.append((path, reason))
    return Checkpoints(last, tuple(incomplete))


def why_incomplete(checkpoint: Path) -> str | None:
    """What `checkpoint` lacks to be gone on from, or None when it is whole."""
    weights = checkpoint / "model.safetensors"
    torch_files = (*TORCH_FILES, *_rng_files(checkpoint))
    for file in (weights, *(checkpoint / name for name in torch_files), checkpoint / "trainer_state.json"):
        if not file.is_file():
            return f"{file.name} is missing"
    try:
        with safe_open(weights, framework="pt") as opened:
            opened.keys()
    except SafetensorError:
        return "model.safetensors is cut off"
    for name in torch_files:
        if not zipfile.is_zipfile(checkpoint / name):
            return f"{name} is cut off"
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except ValueError:
        return "trainer_state.json is cut off"
    return None


def processes_of(checkpoint: Path) -> int:
    """How many processes wrote `checkpoint`: each of several wrote its random state beside it."""
    return len(_rng_files(checkpoint))


def _rng_files(checkpoint: Path) -> list[str]:
    """The random state of a process alone, or of each of several: as many as wrote one of the checkpoints."""
    stem, suffix = RNG_FILE.split(".")
    numbered = re.compile(rf"{stem}_(\d+)\.{suffix}")
    written = checkpoint.parent.glob(f"checkpoint-*/{stem}_*.{suffix}")
    last = max((int(match[1]) for path in written if (match := numbered.fullmatch(path.name))), default=None)
    return [RNG_FILE] if last is None else [f"{stem}_{number}.{suffix}" for number in range(last + 1)]
