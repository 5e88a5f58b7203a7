"""`linmap study`: what DeCap's choices are worth, each a table and a plot by one command."""

from __future__ import annotations

import typer

from linmap.cli.study.domains import domains
from linmap.cli.study.memory_size import memory_size
from linmap.cli.study.strategies import strategies
from linmap.cli.study.text_size import text_size

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the command group to the program."""
    group = typer.Typer(no_args_is_help=True)
    group.callback()(_group)
    for name, command in (
        ("strategies", strategies),
        ("memory-size", memory_size),
        ("text-size", text_size),
        ("domains", domains),
    ):
        group.command(name=name, no_args_is_help=True)(command)
    app.add_typer(group, name="study")


def _group() -> None:
    """Studies of DeCap (arXiv 2303.03032) on captioned photos, each with the blind control beside it.

    In the tables PD decodes the photo's projection on the memory, NND the memory's nearest text, VD the photo's own
    latent; CLIPRe gives the nearest caption as it stands. blind is PD with the photos shuffled: what a caption scores
    that was written for another photo.
    """
