"""`linmap study text-size`: CIDEr-D against the number of texts that the decoder learned from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linmap.cli.evaluate.caption import Tokenizer
from linmap.cli.evaluate.options import AsJson, Device, MaxUnreadable, Photos, Plot, Split
from linmap.cli.study.options import NumBeams, ShuffleSeed, Sizes, Tokens, check_sizes, sizes_named
from linmap.errors import CaptionDataError, RecipeError

if TYPE_CHECKING:
    from linmap.recipes.decap.schema import DeCapRecipe

__all__ = ["text_size"]


def text_size(
    context: typer.Context,
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Recipe with method: decap; a file, or a name.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the runs, one a size.")],
    sizes: Sizes = "1000,3000,10000,all",
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change one value of the recipe; may be repeated."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Captions to measure on.", show_default="the recipe's photos")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the photos.", show_default="the recipe's")
    ] = None,
    split: Split = None,
    memory: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="One memory for all sizes.", show_default="each run's own texts"),
    ] = None,
    num_beams: NumBeams = None,
    limit: Photos = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Photos captioned at a time.")] = 64,
    tokenizer: Tokens = Tokenizer.PTB,
    seed: ShuffleSeed = 0,
    max_unreadable: MaxUnreadable = 0,
    device: Device = "auto",
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Train a recipe on several numbers of texts, and score the models.

    The texts of a smaller run lie among those of a larger one. Each size is a run of its own in DIR: one that is
    finished is not trained again, one that was cut off goes on from its last checkpoint. Each model's memory holds the
    texts it learned from, unless --memory gives all of them one. Of the default sizes those are left out that the
    recipe's text does not have.

    [bold]Examples[/bold]

      linmap study text-size decap-flickr8k --sizes 1000,3000,10000,30000 --output runs/sizes --plot sizes.png

      linmap study text-size my.yaml --output runs/sizes --memory memory --set training.epochs=3 --json
    """
    from linmap.cli.study.reports import about, notes, prepare, where

    check_sizes(sizes)
    prepare(device, tokenizer)
    from linmap.cli.evaluate.output import write
    from linmap.cli.study.captioning import Way, captions_by, decoding_of, load_seeing, memory_of, read_photos, see
    from linmap.cli.study.memory_size import curve_rows
    from linmap.data.images import UnreadableImages
    from linmap.evaluation import compare_strategies, plot_sizes, scores_by_size, size_table
    from linmap.recipes.decap.texts import read_sources

    changes = list(change or [])
    read = _recipe(recipe, changes)
    if read.evaluation.metric == "loss":  # then photos are read here alone, once for all runs
        changes.append("evaluation.photos=null")
    _check_memory(read, memory)
    data, images, split, limit = _photos(read, data, images, split, limit)
    unreadable = UnreadableImages(max_unreadable)
    captioned = read_photos(data, images, split, limit, unreadable)
    whole = len(read_sources(read.data.texts, "data.texts"))
    wanted = sizes_named(context, sizes, whole)
    seen: Any = None
    decoding: dict[str, Any] = {}

    def measure(size: int, draw: int) -> dict[str, float]:
        nonlocal seen, decoding
        folder = _trained(recipe, [*changes, f"data.train_texts={size}"], output / f"texts-{size}")
        loaded = load_seeing(str(folder), device, memory)
        decoding = decoding_of(loaded, num_beams)
        if seen is None:  # the runs share the dual encoder
            seen = see(loaded, captioned, unreadable, batch_size)
        asked = memory_of(loaded, str(folder))
        ways = {
            "PD": Way("projection", loaded.model.config.tau, asked),
            "VD": Way("visual"),
            "CLIPRe": Way("retrieval", None, asked),
        }
        found = compare_strategies(
            seen.latents,
            seen.references,
            {name: captions_by(loaded, way, decoding, batch_size) for name, way in ways.items()},
            blind=["PD"],
            tokenizer=tokenizer,
            metrics=["CIDEr-D"],
            seed=seed,
        )
        return {name: scores["CIDEr-D"] for name, scores in found.rows.items()}

    rows = scores_by_size(measure, wanted, whole=whole)
    report: dict[str, Any] = {
        "metric": "CIDEr-D",
        "rows": curve_rows(rows),
        "recipe": recipe,
        "output": str(output),
        "memory": None if memory is None else str(memory),
        "texts": whole,
        **about(
            context,
            data=data,
            split=split,
            photos=len(seen.references),
            left_out=len(unreadable.errors),
            tokenizer=tokenizer,
            decoding=decoding,
            seed=seed,
        ),
    }
    asked = f"memory {memory}" if memory else "each run's memory of its own texts"
    lines = [f"CIDEr-D of {recipe}: {where(report)}; {asked}", size_table(rows, "texts"), *notes(report, "PD")]
    draw = {"": lambda path: plot_sizes(rows, path, xlabel="training texts")}
    write(report, lines, draw, plot=plot, as_json=as_json)


def _recipe(name: str, changes: list[str]) -> DeCapRecipe:
    from linmap.recipes.decap.schema import DeCapRecipe
    from linmap.recipes.recipe import load_recipe

    read = load_recipe(name, changes)
    if not isinstance(read, DeCapRecipe):
        raise RecipeError(f"{name} trains no DeCap model; this study needs a recipe with method: decap.")
    return read


def _check_memory(read: DeCapRecipe, memory: Path | None) -> None:
    """A memory that is not there is said before the training, not after it."""
    from linmap.decap.memory import SupportMemory

    if memory is not None:
        SupportMemory.from_pretrained(memory)
    elif read.memory is None:
        raise RecipeError("The recipe's memory is null, and PD and CLIPRe ask one. Give one memory with --memory DIR.")


def _photos(
    read: DeCapRecipe, data: Path | None, images: Path | None, split: str | None, limit: int | None
) -> tuple[Path, Path, str | None, int | None]:
    """What is measured on: what was named, else the photos of the recipe."""
    if data is not None and images is not None:
        return data, images, split, limit
    if data is not None or images is not None:
        raise CaptionDataError("Give --data and --images together, or neither for the photos of the recipe.")
    photos = read.evaluation.photos
    if photos is None or photos.images is None:
        raise CaptionDataError("The recipe names no folder of captioned photos. Give --data and --images.")
    return Path(photos.captions), Path(photos.images), split or photos.split, limit or photos.limit


def _trained(recipe: str, changes: list[str], folder: Path) -> Path:
    """The model of a run in `folder`: the finished one, or the one that is trained, or trained to its end, now."""
    from linmap.recipes.methods import train
    from linmap.recipes.outputs import OutputFolder

    run = OutputFolder(folder)
    read = _recipe(recipe, changes)
    if run.finished:
        run.check(read, resume=True, overwrite=False)  # of this very recipe, or an error that names what differs
        return folder
    return train(read, folder, resume=run.holds_run)
