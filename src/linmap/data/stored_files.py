"""Files that are there whole or not at all, known again by their size and sha256, and read through a memory map."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from linmap.errors import LinmapError

__all__ = ["described", "mapped_tensors", "put", "put_json", "settled", "sha256_in", "whole_file"]


def put(file: Path, content: bytes, *, part: str | None = None) -> None:
    """Writes a file in one move that survives a power cut.

    Args:
        file: The file.
        content: Its bytes.
        part: What it is called until it is whole; where several processes write it, each needs a name of its own.
    """
    written = file.with_name(part or f"{file.name}.part")
    written.write_bytes(content)
    settled(written, file)


def put_json(file: Path, facts: Mapping[str, Any], *, part: str | None = None) -> None:
    """Writes facts as JSON, likewise."""
    put(file, f"{json.dumps(facts, indent=1, ensure_ascii=False)}\n".encode(), part=part)


def settled(part: Path, file: Path) -> None:
    """Gives a written file its name, once its bytes are on the disk."""
    with part.open("rb") as opened:
        os.fsync(opened.fileno())
    part.replace(file)


def sha256_in(file: Path) -> str:
    """The SHA-256 of a file's bytes: 64 lower-case hexadecimal digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def described(file: Path) -> dict[str, Any]:
    """Name, bytes and sha256 of a file, by which it is known again."""
    return {"file": file.name, "bytes": file.stat().st_size, "sha256": sha256_in(file)}


def whole_file(directory: Path, described: Mapping[str, Any], again: str, error: type[LinmapError]) -> Path:
    """A described file of a folder, if it is there in its full size.

    Args:
        directory: The folder.
        described: Its `file` and `bytes`.
        again: How to get it anew, for the message.
        error: What is raised.

    Raises:
        LinmapError: `error`, where it is missing or cut off.
    """
    file = directory / described["file"]
    if not file.is_file():
        raise error(f"{file} is missing. {again}.")
    if (found := file.stat().st_size) != described["bytes"]:
        raise error(f"{file} is damaged or cut off: it has {found:,} bytes, expected {described['bytes']:,}. {again}.")
    return file


def mapped_tensors(file: Path, again: str, error: type[LinmapError]) -> dict[str, Tensor]:
    """The tensors of a safetensors file, which lie in it: what is not asked for is not read.

    Raises:
        LinmapError: `error`, where it is damaged; see `whole_file` for the arguments.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
    except SafetensorError as damage:
        raise error(f"{file} is damaged ({damage}). {again}.") from damage
