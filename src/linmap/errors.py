"""Every exception linmap raises on purpose: each says what was found, what is on offer and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Collection

__all__ = [
    "ChecksumError",
    "EncoderError",
    "FingerprintMismatchError",
    "LinmapError",
    "UnknownNameError",
    "WeightsUnavailableError",
]


class LinmapError(Exception):
    """Base of all errors raised on purpose; the command line prints them as one line, without a traceback."""


class UnknownNameError(LinmapError, ValueError):
    """A word that is not among the known ones; the message suggests the closest and lists all."""

    def __init__(self, what: str, name: str, known: Collection[str]) -> None:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        super().__init__(f"Unknown {what} {name!r}.{hint} Known: {', '.join(sorted(known))}.")


class WeightsUnavailableError(LinmapError, OSError):
    """Weights that were asked for cannot be had here; they are never replaced by random ones."""


class ChecksumError(LinmapError, ValueError):
    """A file is not the pinned one."""

    def __init__(self, file: str, found: str, expected: str) -> None:
        super().__init__(
            f"{file} is damaged or another file: its sha256 is {found}, expected {expected}. "
            "It was not kept; run again to fetch it anew."
        )


class FingerprintMismatchError(LinmapError, ValueError):
    """A frozen part was found under its name, but it is not the one the projection was trained with."""

    def __init__(self, name: str, fact: str, found: str, expected: str) -> None:
        super().__init__(
            f"{name!r} is not what this checkpoint was trained with: {fact} found {found}, expected {expected}. "
            "Name the revision or file it was trained with, or train the projection again."
        )


class EncoderError(LinmapError, ValueError):
    """An image encoder cannot be had or used as asked; the message says what to do."""
