"""Every exception linmap raises on purpose: each says what was found, what is on offer and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Collection

__all__ = ["LinmapError", "UnknownNameError"]


class LinmapError(Exception):
    """Base of all errors raised on purpose; the command line prints them as one line, without a traceback."""


class UnknownNameError(LinmapError, ValueError):
    """A word that is not among the known ones; the message suggests the closest and lists all."""

    def __init__(self, what: str, name: str, known: Collection[str]) -> None:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        super().__init__(f"Unknown {what} {name!r}.{hint} Known: {', '.join(sorted(known))}.")
