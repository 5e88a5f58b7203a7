"""`linmap memory`: captions become a support memory, and what a memory is made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from linmap.dual.named import DualEncoder

__all__ = ["register"]

AsJson = Annotated[bool, typer.Option("--json", help="One line of JSON, and nothing else, on stdout.")]


def register(app: typer.Typer) -> None:
    """Adds the command group to the program."""
    group = typer.Typer(no_args_is_help=True)
    group.callback()(_group)
    group.command(name="build", no_args_is_help=True)(build)
    group.command(name="info", no_args_is_help=True)(info)
    app.add_typer(group, name="memory")


def _group() -> None:
    """Support memories of DeCap: captions with their text latents, which photos are compared with."""


def build(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE...", help="Text, JSON, JSONL, CSV or Parquet files, or a dataset's name."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the memory.")],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Dual encoder whose text tower embeds: folder, Hub id, or open_clip:NAME/TAG.",
            show_default="the bundled dual encoder",
        ),
    ] = None,
    dtype: Annotated[str, typer.Option(help="Number format of the latents: float32, float16 or int8.")] = "float16",
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most N captions.", show_default="all")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Split of captions in JSON and of datasets; text, JSONL, CSV and Parquet files have none.",
            show_default="all of them",
        ),
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="Column that holds the sentences.", show_default="the only one with text")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Lose another memory that lies in DIR.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Build a support memory: every different sentence once, with its latent.

    Text files have a sentence a line; captions in JSON are as Flickr8k's, COCO's or Karpathy's, or a list of strings.
    What is left out is counted and the first places are named: empty sentences, those of more than 8,192 bytes, those
    that are no UTF-8, duplicates, empty files. A build that is cut off goes on when the same command is given again,
    and ends with the same bytes.

    [bold]Examples[/bold]

      linmap memory build captions.txt --output memory

      linmap memory build captions.json --split train --output memory --dtype int8

      linmap memory build a.txt b.json rows.csv --column caption --output memory --limit 1000000

      linmap memory build captions.txt --model open_clip:ViT-B-32/openai --output memory --json
    """
    from linmap.cli.dual_encoders import announce, load_dual_encoder

    shown = announce(model, device, drawing=False)
    from linmap.data.left_out import LeftOut
    from linmap.data.sentences import read_sentences, require_sources
    from linmap.decap.memory_building import build_memory, source_facts
    from linmap.decap.memory_files import total_bytes
    from linmap.decap.rows import checked_dtype

    checked_dtype(dtype)
    require_sources(sources)
    dual = load_dual_encoder(model, device)
    left_out = LeftOut()
    facts = build_memory(
        read_sentences(sources, left_out, split=split, column=column),
        _embedding(dual),
        output,
        text_tower=dual.model.text_fingerprint(),
        left_out=left_out,
        plan={"sources": [source_facts(source) for source in sources], "split": split, "column": column},
        dtype=dtype,
        limit=limit,
        overwrite=overwrite,
    )
    report = {
        "output": str(output),
        "captions": facts["rows"],
        "dim": facts["dim"],
        "dtype": facts["dtype"],
        "shards": len(facts["shards"]),
        "bytes": total_bytes(facts),
        "left_out": facts["left_out"],
        "first_left_out": left_out.places,
        "text_tower": facts["text_tower"]["name"],
        "model": shown,
        "sources": sources,
    }
    if as_json:
        typer.echo(json.dumps(report))
        return
    typer.echo(
        f"{output}: {facts['rows']:,} captions, {facts['dim']} channels, {facts['dtype']}, "
        f"{report['bytes'] / 1e6:,.1f} MB, text tower {report['text_tower']}"
    )
    if left_out.counts:
        typer.echo(f"left out: {left_out}")
    elif facts["left_out"]:
        typer.echo(f"it was complete; left out then: {_counts(facts['left_out'])}")


def info(
    memory: Annotated[str, typer.Argument(metavar="DIR", help="Folder of the memory, or a repository on the Hub.")],
    as_json: AsJson = False,
) -> None:
    """Tell what a support memory is made of, and check that every file is the one that was written.

    [bold]Examples[/bold]

      linmap memory info memory

      linmap memory info memory --json
    """
    from linmap.decap.memory import SupportMemory
    from linmap.decap.memory_files import complete_facts, verify
    from linmap.weights.repositories import checkpoint_directory

    directory = checkpoint_directory(memory)
    facts = complete_facts(directory)
    size = verify(directory)
    loaded = SupportMemory.from_pretrained(directory)
    report = {
        "memory": memory,
        "captions": facts["rows"],
        "dim": facts["dim"],
        "dtype": facts["dtype"],
        "shards": len(facts["shards"]),
        "bytes": size,
        "text_tower": facts["text_tower"],
        "build": facts.get("build"),
        "left_out": facts.get("left_out"),
        "first": loaded.captions[:3],
        "verified": True,
    }
    if as_json:
        typer.echo(json.dumps(report))
    else:
        _print(report)


def _embedding(dual: DualEncoder) -> Callable[[list[str]], Tensor]:
    """The text tower, with the bar of the whole build in place of one for each call."""
    import sys

    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

    from linmap.decap.memory_building import BAR
    from linmap.dual.embedding import embed_texts

    if sys.stderr.isatty():
        disable_progress_bars()
        enable_progress_bars(BAR)
    return lambda texts: embed_texts(dual.model, dual.processor, texts)


def _print(report: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    tower = report["text_tower"]
    build = report["build"] or {}
    table = Table(box=box.SIMPLE_HEAD, show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    table.add_row("captions", f"{report['captions']:,}")
    table.add_row("latents", f"{report['dim']} channels, {report['dtype']}")
    table.add_row("files", f"{report['bytes'] / 1e6:,.1f} MB in {report['shards']} shards, each with its sha256")
    table.add_row("text tower", f"{tower['name']} (sha256 {tower['sha256']})" if tower else "not known")
    for source in build.get("sources", []):
        table.add_row("source", source["name"])
    if report["left_out"]:
        table.add_row("left out", _counts(report["left_out"]))
    for caption in report["first"]:
        table.add_row("caption", caption)
    console = Console(highlight=False, markup=False)
    console.print(report["memory"], soft_wrap=True)
    console.print(table)


def _counts(left_out: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in left_out.items()) or "nothing"
