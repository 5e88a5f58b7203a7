"""`linmap train`: a recipe becomes a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the command to the program."""
    app.command(name="train")(train)


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A YAML file, or the name of a packaged recipe.")],
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="SECTION.KEY=VALUE",
            help="Change one value of the recipe; may be repeated. lm= and encoder= swap a part.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder of the run (default: runs/RECIPE).")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last complete checkpoint in the output folder.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start anew in a folder that holds a run already; that run is lost.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say what would be frozen, trained, loaded and needed, and stop: needs no network."
        ),
    ] = False,
) -> None:
    """Train linear maps, two towers or one from captioned photos, or a decoder of text latents from text alone.

    What goes through a frozen part goes through it once, then the rest learns. At every evaluation the output folder
    gets the loss as a picture (loss.png) and captions of a few photos (samples.md), recall both ways (recall.png), or
    CIDEr-D (cider_d.png); a run that was cut off goes on with --resume. At the end the folder is a model: linmap
    caption photo.jpg --model DIR, linmap evaluate retrieval --data captions.json --images photos/ --model DIR, or
    linmap caption photo.jpg --decap DIR.

    [bold]Examples[/bold]

      linmap train efficientnet-lite0-smollm2-135m --dry-run

      linmap train efficientnet-lite0-smollm2-135m --set data.captions=captions.json --set data.images=photos/

      linmap train limber-clip-rn50x16 --dry-run --set lm=wheel:smollm2-135m-instruct

      linmap train linear-dual --output runs/dual --set data.captions=captions.json --set data.images=photos/

      linmap train clippo-flickr8k-text-pairs --output runs/clippo --set data.mirror=false

      linmap train decap-flickr8k --output runs/decap --set 'data.texts=[{source: captions.txt}]'

      linmap train my-recipe.yaml --output runs/mine --set training.steps=500 --set data.train_photos=1000

      linmap train my-recipe.yaml --output runs/mine --set training.steps=500 --set data.train_photos=1000 --resume

      accelerate launch --multi_gpu --num_processes 2 -m linmap train my-recipe.yaml --output runs/mine
    """
    import logging

    from huggingface_hub.utils import disable_progress_bars

    from linmap.cli.messages import quiet_libraries
    from linmap.recipes.launcher import is_first
    from linmap.recipes.outputs import OutputFolder
    from linmap.recipes.recipe import load_recipe

    quiet_libraries()
    read = load_recipe(recipe, change or [])
    folder = output or Path("runs") / Path(recipe).stem
    if is_first():  # of several processes the others look when it has made the folder ready
        OutputFolder(folder).check(read, resume=resume, overwrite=overwrite)
    else:
        logging.getLogger("linmap").setLevel(logging.ERROR)
        disable_progress_bars()
    if dry_run:
        from linmap.recipes.methods import describe

        typer.echo(describe(read))
        return
    from linmap.recipes.methods import train as run

    trained = run(read, folder, resume=resume, overwrite=overwrite)
    if is_first():
        typer.echo(str(trained))
