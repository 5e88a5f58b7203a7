"""`linmap study memory-size`: CIDEr-D against the number of captions in the memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from linmap.cli.evaluate.caption import Tokenizer
from linmap.cli.evaluate.options import AsJson, Data, Device, Images, MaxUnreadable, Photos, Plot, Split
from linmap.cli.study.options import (
    DecapName,
    MemoryName,
    NumBeams,
    ShuffleSeed,
    Sizes,
    Tokens,
    check_sizes,
    sizes_named,
)

if TYPE_CHECKING:
    from linmap.evaluation import SizeScores

__all__ = ["curve_rows", "memory_size"]


def memory_size(
    context: typer.Context,
    data: Data,
    images: Images,
    split: Split = None,
    sizes: Sizes = "100,300,1000,3000,10000,all",
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Draws of each size.")] = 3,
    decap: DecapName = "default",
    memory: MemoryName = None,
    tau: Annotated[
        float | None,
        typer.Option(min=1e-6, help="Temperature of the projection.", show_default="the model's own"),
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
    """Score PD and CLIPRe with memories of several sizes, drawn at random from one.

    A smaller memory of the same draw lies in a larger one. The table has the mean over the draws and their range. Of
    the default sizes those are left out that the memory does not have.

    [bold]Examples[/bold]

      linmap study memory-size --data captions.json --images photos/ --split val --plot memory.png

      linmap study memory-size --data captions.json --images photos/ --decap runs/decap --sizes 1000,all --seeds 1
    """
    from linmap.cli.study.reports import about, notes, prepare, where

    check_sizes(sizes)
    prepare(device, tokenizer)
    from linmap.cli.evaluate.output import write
    from linmap.cli.models import DECAP, decap_folder, read_config
    from linmap.cli.study.captioning import Way, captions_by, decoding_of, load_seeing, memory_of, read_photos, see
    from linmap.data.images import UnreadableImages
    from linmap.evaluation import compare_strategies, plot_sizes, scores_by_size, size_table

    read_config(decap_folder(decap), DECAP)  # a wrong name is said before torch is imported, which takes seconds
    unreadable = UnreadableImages(max_unreadable)
    captioned = read_photos(data, images, split, limit, unreadable)
    loaded = load_seeing(decap, device, memory)
    whole = memory_of(loaded, decap)
    wanted = sizes_named(context, sizes, len(whole))
    how = decoding_of(loaded, num_beams)
    temperature = loaded.model.config.tau if tau is None else tau
    seen = see(loaded, captioned, unreadable, batch_size)

    def measure(size: int, draw: int) -> dict[str, float]:
        asked = whole if size == len(whole) else whole.sample(size, draw)
        ways = {"PD": Way("projection", temperature, asked), "CLIPRe": Way("retrieval", None, asked)}
        found = compare_strategies(
            seen.latents,
            seen.references,
            {name: captions_by(loaded, way, how, batch_size) for name, way in ways.items()},
            blind=["PD"],
            tokenizer=tokenizer,
            metrics=["CIDEr-D"],
            seed=seed,
        )
        return {name: scores["CIDEr-D"] for name, scores in found.rows.items()}

    rows = scores_by_size(measure, wanted, whole=len(whole), seeds=seeds)
    report: dict[str, Any] = {
        "metric": "CIDEr-D",
        "rows": curve_rows(rows),
        "tau": temperature,
        "model": decap,
        "memory": None if memory is None else str(memory),
        **about(
            context,
            data=data,
            split=split,
            photos=len(seen.references),
            left_out=len(unreadable.errors),
            tokenizer=tokenizer,
            decoding=how,
            seed=seed,
        ),
    }
    asked = f"memory {memory or 'its own'}: {len(whole):,} captions, tau {temperature:g}"
    headline = f"CIDEr-D of {decap}: {where(report)}; {asked}"
    lines = [headline, size_table(rows, "captions in the memory"), *notes(report, "PD")]
    draw = {"": lambda path: plot_sizes(rows, path, xlabel="captions in the memory")}
    write(report, lines, draw, plot=plot, as_json=as_json)


def curve_rows(rows: tuple[SizeScores, ...]) -> list[dict[str, Any]]:
    """Scores against a size as reports have them: mean and every draw."""
    return [
        {
            "size": row.size,
            **{
                name: {"mean": round(row.mean(name), 2), "draws": [round(value, 2) for value in values]}
                for name, values in row.scores.items()
            },
        }
        for row in rows
    ]
