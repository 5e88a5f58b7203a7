"""A process of its own in which the real Hub client talks to the small Hub: it reads its settings when imported."""

from __future__ import annotations

import contextlib
import io
import logging
import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

__all__ = ["HubClient", "Said", "run_linmap"]

LONGEST_WAIT = 0.05
"""Seconds between two attempts of the client, which waits up to eight of its own accord."""


class Said(NamedTuple):
    """What a run of the program came to."""

    code: int
    out: str
    err: str


class HubClient:
    """Runs functions in a process that has imported everything with these settings, and gives back what they return.

    Args:
        url: Of the small Hub.
        home: Where this client keeps its cache and its token.
        offline: Whether HF_HUB_OFFLINE is set.
    """

    def __init__(self, url: str, home: Path, *, offline: bool = False) -> None:
        settings = {
            "HF_ENDPOINT": url,
            "HF_HOME": str(home),
            "HF_HUB_OFFLINE": "1" if offline else "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }
        self._process = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin)
        with patch.dict(os.environ, settings):
            for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
                os.environ.pop(name, None)
            self._process.submit(os.getpid).result()

    def __call__(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """What the function returns or raises, in that process; it stands at the top of a module."""
        return self._process.submit(function, *arguments, **named).result()

    def refusal(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> str:
        """Name and text of the exception that the function ends with."""
        return self(_refusal, function, arguments, named)

    def linmap(self, *words: str) -> Said:
        """Runs the `linmap` program."""
        return self(run_linmap, *words)

    def close(self) -> None:
        """Ends the process."""
        self._process.shutdown()


def _begin() -> None:
    sleep = time.sleep
    time.sleep = lambda seconds: sleep(min(seconds, LONGEST_WAIT))


def _refusal(function: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> str:
    try:
        returned = function(*arguments, **named)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError(f"Nothing was refused: {function.__name__} returned {returned!r}.")


def run_linmap(*words: str) -> Said:
    """Runs the program in this process."""
    from linmap.cli.app import main

    logging.root.handlers.clear()  # the program gives them its stderr, and each run here has another
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main(words)
    return Said(code, out.getvalue(), err.getvalue())
