"""What the program says on stderr: its own errors, one line each, and nothing of the libraries below."""

from __future__ import annotations

import logging
import os
import sys
import warnings

__all__ = ["no_bars_off_terminals", "quiet_libraries", "say_error"]


def say_error(message: str) -> None:
    """Writes `linmap: error: MESSAGE` to stderr, on one line whatever the message holds."""
    sys.stderr.write(f"linmap: error: {' '.join(message.split())}\n")
    sys.stderr.flush()


def quiet_libraries() -> None:
    """Silences warnings, loggers and progress bars of transformers, timm and others; linmap's own stay.

    For the program only, which owns its process; the package itself never touches the settings of others.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.simplefilter("ignore")
    logging.basicConfig(level=logging.ERROR, format="linmap: %(message)s")
    for library in ("timm", "open_clip", "PIL", "huggingface_hub", "httpx", "httpx2", "torch"):
        logging.getLogger(library).setLevel(logging.ERROR)
    logging.getLogger("linmap").setLevel(logging.WARNING)

    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def no_bars_off_terminals() -> None:
    """Turns the progress bars of this process off where stderr is no terminal, so that warnings stand alone there."""
    if not sys.stderr.isatty():
        from huggingface_hub.utils import disable_progress_bars

        disable_progress_bars()
