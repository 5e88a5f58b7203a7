"""`linmap info`: what a model is made of, read from its configuration and the headers of its files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linmap.errors import ModelNotFoundError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the command to the program."""
    app.command(name="info")(info)


def info(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="Folder, a model on the Hub, or a bundled one: default-dual-encoder, default-decap.",
            show_default="the bundled captioner",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Show what a model is made of: what is frozen, from where, how big, and what was trained.

    Of a model that captions, a dual encoder, a CLIPPO model, or a DeCap model with its memory. Frozen parts are named
    by library, id, revision, licence and the sha256 of their weight file; they are neither loaded nor fetched.

    [bold]Examples[/bold]

      linmap info

      linmap info runs/mine --json

      linmap info default-dual-encoder

      linmap info default-decap
    """
    from linmap.cli.messages import quiet_libraries
    from linmap.cli.models import CAPTIONER, CLIPPO, DECAP, DUAL_ENCODER, config_in, one_line

    folder = _folder(model)
    written = config_in(folder)
    kind = written.get("model_type")
    if kind not in (CAPTIONER, DUAL_ENCODER, CLIPPO, DECAP):
        raise ModelNotFoundError(
            f"{folder} holds a model of type {kind!r}; linmap info tells of linmap's own, {CAPTIONER!r}, "
            f"{DUAL_ENCODER!r}, {CLIPPO!r} and {DECAP!r}. Name a folder that save_pretrained or linmap train wrote."
        )
    quiet_libraries()
    with one_line(folder):
        facts = {"model": model or "the bundled model", **_facts(kind, folder, written)}
    if as_json:
        typer.echo(json.dumps(facts, indent=1))
    else:
        from linmap.cli.info.tables import print_facts

        print_facts(facts)


def _folder(model: str | None) -> Path:
    """Of a model, or of a bundled one by the name of its page in the documentation."""
    from pathlib import Path

    from linmap.cli.models import model_folder
    from linmap.hub import default_decap, default_dual_encoder

    bundled = {"default-dual-encoder": default_dual_encoder, "default-decap": default_decap}
    return Path(bundled[model]()) if model in bundled else model_folder(model)


def _facts(kind: str, folder: Path, written: dict[str, Any]) -> dict[str, Any]:
    """Everything `linmap info` tells; sizes are in bytes."""
    from linmap.cli.models import CAPTIONER, CLIPPO, DECAP

    if kind == CLIPPO:
        from linmap.cli.info.clippo import clippo_facts

        return clippo_facts(folder, written)
    if kind == DECAP:
        from linmap.cli.info.decap import decap_facts

        return decap_facts(folder, written)
    if kind == CAPTIONER:
        from linmap.cli.info.captioner import captioner_facts

        return captioner_facts(folder, written)
    from linmap.cli.info.dual_encoder import dual_encoder_facts

    return dual_encoder_facts(folder, written)
