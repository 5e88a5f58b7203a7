"""How the page's functions are run: one at a time, and an error is one message on the page."""

from __future__ import annotations

import functools
import html
import logging
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from linmap.errors import LinmapError

__all__ = ["ONE_AT_A_TIME", "cleared_with", "told"]

logger = logging.getLogger(__name__)

ONE_AT_A_TIME: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "models", "trigger_mode": "always_last"}
"""For events that ask a model: it answers one at a time, and of those that came meanwhile from one page the last."""


def cleared_with(box: gr.Image | gr.File, results: Sequence[Component]) -> None:
    """Empties `results` when another photo comes into `box`: what was said of one never stands beside another."""
    box.change(None, None, list(results), js=f"() => {[''] * len(results)}", api_visibility="private")


def told(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, whose errors become messages that stay on the page until they are closed."""

    @functools.wraps(function)
    def run(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except LinmapError as error:
            raise _message(str(error)) from error
        except Exception as error:  # the page goes on; where it happened stands in the terminal
            logger.exception("unexpected")
            raise _message(f"{type(error).__name__}: {error} (unexpected; the terminal shows where)") from error

    return run


def _message(text: str) -> gr.Error:
    return gr.Error(html.escape(text), duration=None, print_exception=False)
