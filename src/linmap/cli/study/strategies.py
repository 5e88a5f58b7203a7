"""`linmap study strategies`: strategy x metric."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linmap.cli.evaluate.caption import Tokenizer
from linmap.cli.evaluate.options import AsJson, Data, Device, Images, MaxUnreadable, Photos, Plot, Split
from linmap.cli.study.options import DecapName, NumBeams, ShuffleSeed, Tokens, taus_named

if TYPE_CHECKING:
    from linmap.cli.models import DeCap
    from linmap.decap.memory import SupportMemory

__all__ = ["strategies"]


def strategies(
    context: typer.Context,
    data: Data,
    images: Images,
    split: Split = None,
    decap: DecapName = "default",
    memory: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Support memory; may be repeated.", show_default="the model's own"),
    ] = None,
    tau: Annotated[
        str | None,
        typer.Option(metavar="T,T,…", help="Temperatures of the projection.", show_default="the model's own"),
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
    """Score every strategy on the same photos: CIDEr-D, BLEU, ROUGE-L, METEOR.

    Photos are encoded once, and a memory is asked once for each strategy. The control is the best PD with the photos
    shuffled. Choose tau on a split that you do not report.

    [bold]Examples[/bold]

      linmap study strategies --data captions.json --images photos/ --split val

      linmap study strategies --data captions.json --images photos/ --split val --tau 0.01,0.02,0.05 --plot table.png

      linmap study strategies --data captions.json --images photos/ --decap runs/decap --memory a --memory b --json
    """
    from linmap.cli.study.reports import about, notes, prepare, where

    taus_named(tau, 0.01)
    prepare(device, tokenizer)
    from linmap.cli.evaluate.output import rounded, write
    from linmap.cli.models import DECAP, decap_folder, read_config
    from linmap.cli.study.captioning import captions_by, decoding_of, load_seeing, read_photos, see, ways
    from linmap.data.images import UnreadableImages
    from linmap.evaluation import caption_table, compare_strategies, plot_caption_scores

    read_config(decap_folder(decap), DECAP)  # a wrong name is said before torch is imported, which takes seconds
    unreadable = UnreadableImages(max_unreadable)
    captioned = read_photos(data, images, split, limit, unreadable)
    loaded = load_seeing(decap, device)
    memories = _memories(loaded, decap, memory or [])
    how = decoding_of(loaded, num_beams)
    seen = see(loaded, captioned, unreadable, batch_size)
    asked = {
        way.label(several=len(memories) > 1): way for way in ways(memories, taus_named(tau, loaded.model.config.tau))
    }
    found = compare_strategies(
        seen.latents,
        seen.references,
        {label: captions_by(loaded, way, how, batch_size) for label, way in asked.items()},
        blind=[label for label, way in asked.items() if way.strategy == "projection"],
        tokenizer=tokenizer,
        seed=seed,
    )
    report: dict[str, Any] = {
        "rows": [
            {"row": label, **way.facts(), "metrics": rounded(found.scores[label])} for label, way in asked.items()
        ],
        "control": {"kind": "blind", "of": found.blind_of, "metrics": rounded(found.blind)},
        "model": decap,
        **about(
            context,
            data=data,
            split=split,
            photos=found.photos,
            left_out=len(unreadable.errors),
            tokenizer=tokenizer,
            decoding=how,
            seed=seed,
        ),
    }
    sizes = ", ".join(f"{name}: {len(one):,} captions" for name, one in memories)
    lines = [f"{decap}: {where(report)}; memory {sizes}", caption_table(found.rows), *notes(report, found.blind_of)]
    write(report, lines, {"": lambda path: plot_caption_scores(found.rows, path)}, plot=plot, as_json=as_json)


def _memories(loaded: DeCap, name: str, named: list[Path]) -> list[tuple[str, SupportMemory]]:
    """The memories that are asked, by name; each is of the model's text tower."""
    from linmap.cli.study.captioning import memory_of
    from linmap.decap.memory import SupportMemory

    if not named:
        return [("its own", memory_of(loaded, name))]
    found = []
    for directory in named:
        loaded.model.memory = SupportMemory.from_pretrained(directory)  # the model refuses one of another text tower
        found.append((str(directory), loaded.model.memory))
    return found
