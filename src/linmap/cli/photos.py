"""From the words after `linmap caption` to photos: files, folders and patterns, in the order they were written."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

from linmap.data.images import PHOTO_SUFFIXES
from linmap.errors import PhotoNotFoundError

__all__ = ["photos_named"]


def photos_named(words: Iterable[str]) -> Iterator[tuple[str, PhotoNotFoundError | None]]:
    """Each photo that `words` stand for, as written, with the reason where a word stands for none.

    A file stands for itself, a folder for the photos in it (sorted, not those in folders below), a pattern (`*`, `?`,
    `[…]`, `**`) for what it matches (sorted), each taken as if it had been written out. A word that comes twice is
    answered twice. What the operating system refuses to look up (a name that is too long, a folder that is closed to
    the user) is the reason for that word alone.
    """
    for word in words:
        try:
            yield from _named(word)
        except OSError as error:
            yield word, PhotoNotFoundError(f"{word}: cannot be looked up ({_reason(error)}); check the path.")


def _named(word: str) -> Iterator[tuple[str, PhotoNotFoundError | None]]:
    path = Path(word)
    if path.is_dir():
        yield from _in_folder(word)
    elif path.exists() or not glob.has_magic(word):
        missing = f"{word}: there is no such file; check the path."
        yield word, None if path.exists() else PhotoNotFoundError(missing)
    else:
        yield from _matching(word)


def _in_folder(word: str) -> Iterator[tuple[str, PhotoNotFoundError | None]]:
    try:
        files = sorted(Path(word).iterdir())
    except OSError as error:
        refused = f"{word}: this folder cannot be read ({_reason(error)}); check its permissions."
        yield word, PhotoNotFoundError(refused)
        return
    found = [file for file in files if file.suffix.lower() in PHOTO_SUFFIXES and not file.name.startswith(".")]
    if not found:
        wanted = f"a file ending in {' '.join(PHOTO_SUFFIXES)}"
        yield word, PhotoNotFoundError(f"{word}: no photo in this folder ({wanted}); folders below are not read.")
    for file in found:
        yield str(file), None


def _matching(pattern: str) -> Iterator[tuple[str, PhotoNotFoundError | None]]:
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
    if not matches:
        yield pattern, PhotoNotFoundError(f"{pattern}: nothing matches this pattern; check it.")
    for match in matches:
        if Path(match).is_dir():
            yield from _in_folder(match)
        else:
            yield match, None


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
