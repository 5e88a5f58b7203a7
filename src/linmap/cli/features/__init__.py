"""`linmap features`: what a frozen encoder makes of photos, kept on disk, so that training needs no encoder."""

from __future__ import annotations

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the command group to the program."""
    from linmap.cli.features.extract import extract
    from linmap.cli.features.info import info

    group = typer.Typer(no_args_is_help=True)
    group.callback()(_group)
    group.command(name="extract", no_args_is_help=True)(extract)
    group.command(name="info", no_args_is_help=True)(info)
    app.add_typer(group, name="features")


def _group() -> None:
    """Encode photos once, and train and evaluate from what was kept."""
