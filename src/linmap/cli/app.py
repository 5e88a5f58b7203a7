"""The `linmap` program: its commands, and the one place where an error becomes one line and an exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from linmap.cli import app_page, caption, convert, evaluate, features, info, inspect, memory, push, render, study, train
from linmap.errors import LinmapError

__all__ = ["app", "main"]

BAD_INPUT = 2
"""Exit code for what the user can mend: a photo, an option, a model."""

UNEXPECTED = 1
"""Exit code for a mistake in linmap itself."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

app = typer.Typer(
    name="linmap",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"linmap {version('linmap')}")
        raise typer.Exit


@app.callback()
def linmap(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """A frozen image encoder, a frozen language model, and one trained linear map between them.

    [bold]Start here[/bold]

      linmap caption photo.jpg            a caption for one photo, with the bundled model

      linmap caption photos/ --json       a line of JSON for every photo of a folder

      linmap info                         what the bundled model is made of

      linmap evaluate --help              measure captions, retrieval, zero-shot classification, …
    """


for _command in (app_page, caption, train, evaluate, study, features, memory, info, inspect, render, convert, push):
    _command.register(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code; errors become one line on stderr, never a traceback.

    Args:
        arguments: The words after `linmap`; `None` takes them from the command line.

    Returns:
        0 when all went well, 2 for anything the user can mend, 130 after Ctrl-C, 1 for a mistake in linmap itself
        (`LINMAP_TRACEBACK=1` in the environment shows where).
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # file names may hold bytes that are no text
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = app(args=arguments, prog_name="linmap", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except LinmapError as error:
        return _fail(str(error))
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone (`linmap … | head`): nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNEXPECTED
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a command without a word after it: its help is already there
            return BAD_INPUT
        if hasattr(error, "format_message"):  # a wrong command or option; typer's class for it moved between versions
            return _fail(_usage(error))
        if os.environ.get("LINMAP_TRACEBACK"):
            raise
        found = f"{type(error).__name__}: {error}"
        _fail(f"{found} (unexpected; LINMAP_TRACEBACK=1 shows where, and is what a bug report needs)")
        return UNEXPECTED


def _usage(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "linmap"
    words = str(error.format_message()).rstrip(".")  # type: ignore[attr-defined]
    return f"{words}{'' if words.endswith('?') else '.'} See: {command} --help"


def _fail(message: str) -> int:
    from linmap.cli.messages import say_error

    say_error(message)
    return BAD_INPUT
