"""Lines of JSON in a file that grows with a measurement: whole ones count, and a piece that a kill left is cut off."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from linmap.errors import OutputFolderError

__all__ = ["append_lines", "object_in", "split_lines"]


def append_lines(path: Path, kept: int, lines: Sequence[Any]) -> int:
    """Writes JSON-able `lines` behind the first `kept` bytes of a file, which is made if need be, and forces them out.

    Returns:
        The bytes that count now.

    Raises:
        OutputFolderError: The file cannot be written.
    """
    data = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines).encode("utf-8", "surrogatepass")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.truncate(kept)
            file.seek(kept)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OutputFolderError(
            f"{path} cannot be written ({error.strerror}); name another folder, or make room."
        ) from error
    return kept + len(data)


def split_lines(path: Path) -> list[bytes]:
    """The whole lines of a file, without their ends; what stands behind the last line end is a piece.

    Raises:
        OutputFolderError: The file cannot be read.
    """
    try:
        return path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise OutputFolderError(f"{path} cannot be read ({error.strerror}); name another folder.") from error


def object_in(line: bytes) -> dict[str, Any] | None:
    """The object in a line; None where there is none.

    Example:
        >>> object_in(b'{"a": 1}'), object_in(b'{"a"')
        ({'a': 1}, None)
    """
    try:
        facts = json.loads(line.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return None
    return facts if isinstance(facts, dict) else None
