"""`linmap evaluate`: what a model scores, beside what needs no model."""

from __future__ import annotations

import typer

from linmap.cli.evaluate.caption import caption
from linmap.cli.evaluate.concepts import concepts
from linmap.cli.evaluate.gap import gap
from linmap.cli.evaluate.probe import probe
from linmap.cli.evaluate.retrieval import retrieval
from linmap.cli.evaluate.vqa import vqa
from linmap.cli.evaluate.zero_shot import zero_shot

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the command group to the program."""
    group = typer.Typer(no_args_is_help=True)
    group.callback()(_group)
    for name, command in (
        ("caption", caption),
        ("vqa", vqa),
        ("concepts", concepts),
        ("retrieval", retrieval),
        ("zero-shot", zero_shot),
        ("probe", probe),
        ("gap", gap),
    ):
        group.command(name=name, no_args_is_help=True)(command)
    app.add_typer(group, name="evaluate")


def _group() -> None:
    """Measure a model, with its control beside the score.

    caption and vqa measure a model that writes captions and answers; the others measure a dual encoder, which compares
    photos with texts.
    """
