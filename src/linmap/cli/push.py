"""`linmap push`: a model's folder becomes a repository on the Hub."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the command to the program."""
    app.command(name="push")(push)


def push(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder that linmap train or save_pretrained wrote.")
    ],
    repository: Annotated[str, typer.Argument(metavar="ORG/NAME", help="Repository on the Hub; made if need be.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    revision: Annotated[
        str | None, typer.Option("--revision", metavar="BRANCH", help="Branch; made if need be (default: main).")
    ] = None,
    message: Annotated[
        str, typer.Option("--message", "--commit-message", "-m", metavar="TEXT", help="What this push is.")
    ] = "Upload with linmap",
    propose: Annotated[bool, typer.Option("--create-pr", help="Open a pull request; needs no right to write.")] = False,
    token: Annotated[
        str | None,
        typer.Option("--token", metavar="TOKEN", help="Hub token (default: HF_TOKEN, or that of hf auth login)."),
    ] = None,
) -> None:
    """Put a model on the Hub, with its processor and its card; prints the address of the commit.

    A token that may write has to be here first: hf auth login. What goes up is what loading needs: weights that were
    learned, configuration, processor, a DeCap model's memory, the card, and the record of the training. What stays
    here: checkpoints, cached features, photos. Others then load it by its name, from_pretrained("org/name"), and see
    the card on its page.

    All of it is one commit, or none. Pushing again replaces what linmap wrote and keeps what people did: a card edited
    on the Hub stays, and so does every file of another name.

    [bold]Examples[/bold]

      linmap push runs/mine my-name/my-captioner

      linmap push runs/mine my-name/my-captioner --private -m "Trained for 5000 steps"

      linmap push runs/mine my-name/my-captioner --revision longer-training

      linmap caption photo.jpg --model my-name/my-captioner
    """
    from linmap.cli.messages import no_bars_off_terminals, quiet_libraries

    quiet_libraries()
    no_bars_off_terminals()
    from linmap.decap.memory import SupportMemory
    from linmap.decap.parts import MEMORY_FOLDER
    from linmap.sharing import push_folder
    from linmap.sharing.contents import left_out
    from linmap.sharing.whole import require_whole

    folder = directory.expanduser()
    require_whole(folder)
    if (folder / MEMORY_FOLDER).is_dir():
        SupportMemory.from_pretrained(folder / MEMORY_FOLDER)  # no shard of it is missing
    stays = left_out(folder)
    if stays:
        sys.stderr.write(f"linmap: not uploaded: {', '.join(stays)}\n")
    commit = push_folder(
        folder,
        repository,
        commit_message=message,
        private=private or None,
        token=token or None,
        revision=revision,
        create_pr=propose,
    )
    typer.echo(commit.pr_url or commit.commit_url)
