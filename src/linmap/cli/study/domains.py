"""`linmap study domains`: decoders and memories of different text on the same photos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from linmap.cli.evaluate.caption import Tokenizer
from linmap.cli.evaluate.options import AsJson, Data, Device, Images, MaxUnreadable, Photos, Plot, Split
from linmap.cli.study.options import NumBeams, ShuffleSeed, Tokens
from linmap.errors import ConfigurationError, MemoryMismatchError

if TYPE_CHECKING:
    from linmap.cli.models import DeCap
    from linmap.decap.memory import SupportMemory

__all__ = ["domains"]


class Pairing(NamedTuple):
    """A decoder with a memory, its own or another's.

    Args:
        name: What tables call it.
        decoder: The model's name.
        memory_of: The name of the model that the memory belongs to.
        memory: The memory.
    """

    name: str
    decoder: str
    memory_of: str
    memory: SupportMemory


def domains(
    context: typer.Context,
    data: Data,
    images: Images,
    decap: Annotated[
        list[str],
        typer.Option(metavar="MODEL", help="DeCap models, the option once for each; the in-domain one first."),
    ],
    split: Split = None,
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
    """Score models that learned from different text, each with its own memory and with the others'.

    One row a decoder and a memory, CIDEr-D by every strategy, with the model's own tau. A memory goes with another
    model's decoder where both have one text tower; where not, that is said under the table.

    [bold]Examples[/bold]

      linmap study domains --data captions.json --images photos/ --split val --decap runs/in --decap runs/out

      linmap study domains --data captions.json --images photos/ --decap default --decap runs/out --plot domains.png
    """
    from linmap.cli.study.reports import about, notes, prepare, where

    decap = list(dict.fromkeys(decap))
    if len(decap) < 2:
        raise typer.BadParameter("--decap: one model has nothing to stand beside; name at least two.")
    prepare(device, tokenizer)
    from linmap.cli.evaluate.output import rounded, write
    from linmap.cli.models import DECAP, decap_folder, read_config
    from linmap.cli.study.captioning import PAPER_NAMES, captions_by, decoding_of, load_seeing, read_photos, see, ways
    from linmap.data.images import UnreadableImages
    from linmap.evaluation import caption_table, compare_strategies, plot_caption_scores

    for name in decap:
        read_config(decap_folder(name), DECAP)
    captioned = read_photos(data, images, split, limit, first := UnreadableImages(max_unreadable))
    models = {name: load_seeing(name, device) for name in decap}
    latents: dict[str, Any] = {}
    rows: dict[str, dict[str, float]] = {}
    described: list[dict[str, Any]] = []
    pairings, refused = _pairings(models)
    decoding: dict[str, Any] = {}
    for pairing in pairings:
        model = models[pairing.decoder]
        decoding = decoding_of(model, num_beams)
        if (space := _space(model)) not in latents:  # once for all models behind one dual encoder
            unreadable = first if not latents else UnreadableImages(max_unreadable)
            latents[space] = see(model, captioned, unreadable, batch_size)
        seen = latents[space]
        found = compare_strategies(
            seen.latents,
            seen.references,
            {
                PAPER_NAMES[way.strategy]: captions_by(model, way, decoding, batch_size)
                for way in ways([(pairing.name, pairing.memory)], [model.model.config.tau])
            },
            blind=["PD"],
            tokenizer=tokenizer,
            metrics=["CIDEr-D"],
            seed=seed,
        )
        rows[pairing.name] = {name: scores["CIDEr-D"] for name, scores in found.rows.items()}
        described.append(
            {
                "row": pairing.name,
                "decoder": pairing.decoder,
                "memory_of": pairing.memory_of,
                "captions": len(pairing.memory),
                "tau": model.model.config.tau,
                "cider_d": rounded(rows[pairing.name]),
            }
        )
    report = {
        "metric": "CIDEr-D",
        "rows": described,
        "refused": refused,
        **about(
            context,
            data=data,
            split=split,
            photos=len(seen.references),
            left_out=len(first.errors),
            tokenizer=tokenizer,
            decoding=decoding,
            seed=seed,
        ),
    }
    memories = [
        f"{name}: memory of {len(one.model.memory or ()):,} captions, tau {one.model.config.tau:g}"
        for name, one in models.items()
    ]
    lines = [f"CIDEr-D: {where(report)}", caption_table(rows, "decoder"), *memories, *refused, *notes(report, "PD")]
    draw = {"": lambda path: plot_caption_scores(_by_strategy(rows), path, ylabel="CIDEr-D")}
    write(report, lines, draw, plot=plot, as_json=as_json)


def _pairings(models: dict[str, DeCap]) -> tuple[list[Pairing], list[str]]:
    """Each decoder with its own memory, then with the others'; and a line for each that does not fit."""
    from linmap.cli.study.captioning import memory_of

    own = {name: memory_of(loaded, name) for name, loaded in models.items()}
    found, refused = [], []
    for name, loaded in models.items():
        for other, memory in sorted(own.items(), key=lambda item: item[0] != name):
            try:
                loaded.model.memory = memory
            except (ConfigurationError, MemoryMismatchError) as error:
                refused.append(f"not measured: {name} with the memory of {other}: {error}")
                continue
            label = name if other == name else f"{name}, memory of {other}"
            found.append(Pairing(label, name, other, memory))
        loaded.model.memory = own[name]
    return found, refused


def _space(loaded: DeCap) -> str:
    """Which dual encoder a model's latents come from; another folder is another one, unless it is named alike."""
    config = loaded.model.config
    record = (config.backbones or {}).get("dual_encoder") or {}
    inside = config.name_or_path if config.checkpoint_contents == "full" else ""
    return f"{record.get('name')} {record.get('sha256')} {inside}"


def _by_strategy(rows: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """The table turned: one bar a strategy, one group a decoder."""
    names = list(next(iter(rows.values())))
    return {name: {row: scores[name] for row, scores in rows.items()} for name in names}
