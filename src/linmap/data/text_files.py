"""Text and JSON as people hand them over: read whole, or one clear line that says why not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from linmap.errors import LinmapError

__all__ = ["is_file", "is_folder", "is_unicode", "place_of", "read_json", "read_text"]


def read_text(path: Path, what: str, error: type[LinmapError]) -> str:
    """The text in `path`, UTF-8 with or without a byte order mark.

    Args:
        path: Of the file.
        what: What errors call it, such as `"captions file"`.
        error: What is raised.

    Raises:
        LinmapError: `error`, where there is no such file, where it may not be read, or where it is no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise error(f"There is no {what} {path}; check the path.") from None
    except IsADirectoryError:
        raise error(f"{path} is a directory; name the {what} in it.") from None
    except OSError as refused:
        raise error(f"The {what} {path} cannot be read ({refused.strerror}); check its path and permissions.") from None
    except UnicodeDecodeError as undecoded:
        raise error(f"{path} is no text in UTF-8 ({undecoded}); save it as UTF-8.") from undecoded


def read_json(path: Path, what: str, error: type[LinmapError], otherwise: str, *, pairs: bool = False) -> Any:
    """What the JSON file `path` holds.

    Args:
        path: Of the file.
        what: See `read_text`.
        error: See there.
        otherwise: What to do about a file that is no JSON.
        pairs: Objects as lists of tuples, so that no name is lost that stands there twice.

    Raises:
        LinmapError: `error`, as `read_text` does, or where the file is no JSON.
    """
    try:
        return json.loads(read_text(path, what, error), object_pairs_hook=list if pairs else None)
    except RecursionError:
        raise error(f"{path} is not JSON of ours (its brackets are nested too deeply); {otherwise}.") from None
    except ValueError as wrong:
        if isinstance(wrong, LinmapError):
            raise
        raise error(f"{path} is not JSON ({wrong}); {otherwise}.") from wrong


def is_unicode(text: str) -> bool:
    """Whether `text` can be written as UTF-8, which half of a surrogate pair cannot, nor can tokenizers read it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_folder(path: Path) -> bool:
    """Whether there is a folder; False where the operating system refuses to look, as it does for too long a name."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_file(path: Path) -> bool:
    """Whether there is a file; False likewise."""
    try:
        return path.is_file()
    except OSError:
        return False


def place_of(file: Path) -> str:
    """The absolute path without `.` and `..`, by which the same file is known under several spellings."""
    return os.path.normpath(file.absolute())
