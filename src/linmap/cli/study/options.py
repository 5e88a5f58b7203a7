"""Options that the studies share."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from linmap.cli.evaluate.caption import Tokenizer
from linmap.cli.evaluate.options import MAX_SEED

__all__ = [
    "DecapName",
    "MemoryName",
    "NumBeams",
    "ShuffleSeed",
    "Sizes",
    "Tokens",
    "check_sizes",
    "command_line",
    "sizes_named",
    "taus_named",
]

ALL = "all"

DecapName = Annotated[
    str,
    typer.Option("--decap", metavar="MODEL", help="DeCap model: folder, organisation/name on the Hub, or default."),
]
MemoryName = Annotated[
    Path | None,
    typer.Option("--memory", metavar="DIR", help="Support memory to ask.", show_default="the model's own"),
]
NumBeams = Annotated[
    int | None, typer.Option(min=1, help="Beams of the search; 1 is greedy.", show_default="the model's own")
]
Sizes = Annotated[str, typer.Option(metavar="N,N,…", help="How many, with commas between; all is all there are.")]
ShuffleSeed = Annotated[
    int, typer.Option("--seed", min=0, max=MAX_SEED, help="Of the control, the shuffle of the photos.")
]
Tokens = Annotated[
    Tokenizer,
    typer.Option(help="ptb needs Java; simple does not, compares with no published score, and leaves METEOR out."),
]


def sizes_named(context: typer.Context, text: str, whole: int) -> list[int]:
    """The numbers in `--sizes`, in order; of those that nobody asked for, the ones that are there.

    Args:
        context: Of the command, which knows whether `text` is its default.
        text: As it was given.
        whole: What `all` stands for.

    Raises:
        BadParameter: A word is no whole number above 0.
    """
    sizes = {whole if word == ALL else _number(word) for word in _words(text)}
    source = context.get_parameter_source("sizes")
    asked = source is not None and source.name == "COMMANDLINE"
    return sorted(size for size in sizes if asked or size <= whole)


def check_sizes(text: str) -> None:
    """Refuses sizes that `sizes_named` would: before the work."""
    for word in _words(text):
        if word != ALL:
            _number(word)


def taus_named(text: str | None, default: float) -> list[float]:
    """The temperatures in `--tau`, or the model's.

    Raises:
        BadParameter: A word is no number above 0.
    """
    if text is None:
        return [default]
    found = []
    for word in _words(text):
        try:
            value = float(word)
        except ValueError:
            value = 0.0
        if not 0 < value < float("inf"):
            raise typer.BadParameter(f"--tau: {word!r} is no number above 0; the paper's is 0.01.")
        found.append(value)
    return list(dict.fromkeys(found))


def command_line(context: typer.Context) -> str:
    """The command as it was given, for a report that says how it was made."""
    words = context.command_path.split()
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if source is None or source.name != "COMMANDLINE":
            continue
        values: Any = context.params[str(parameter.name)]
        for value in values if isinstance(values, (list, tuple)) else [values]:
            words += [parameter.opts[-1]] if parameter.param_type_name == "option" else []
            words += [] if value is True else [str(value)]
    return shlex.join(words)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _number(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise typer.BadParameter(f"--sizes: {word!r} is no whole number above 0, and not all.")
    return int(word)
