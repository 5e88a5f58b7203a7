"""`linmap features extract`: photos through a frozen encoder once, and the features kept on disk."""

from __future__ import annotations

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linmap.errors import FeatureStoreError

if TYPE_CHECKING:
    from linmap.cli.features.encoders import Encoding
    from linmap.data.feature_store_building import Extracted

__all__ = ["AsJson", "extract"]

AsJson = Annotated[bool, typer.Option("--json", help="One line of JSON, and nothing else, on stdout.")]


class Features(StrEnum):
    """What is kept of a photo."""

    GRID = "grid"
    POOLED = "pooled"


def extract(
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="Captions in JSON, or tar files: a folder, or cc3m/{00000..00331}.tar."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the features.")],
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the photos of a captions file.", show_default=False)
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split of a captions file.", show_default="all, each photo with its split")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(metavar="RECIPE", help="Encode as this recipe does.", show_default=False)
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Encode as this model does: folder, Hub id, or default.", show_default=False
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Encode with this: timm:NAME, open_clip:NAME/TAG, hf:REPO, wheel:NAME.",
            show_default=False,
        ),
    ] = None,
    features: Annotated[
        Features, typer.Option(help="With --encoder: every cell of its grid, or its own pooled feature.")
    ] = Features.GRID,
    grid_size: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="With --encoder: average the grid to N x N.", show_default="its own grid"
        ),
    ] = None,
    dtype: Annotated[str, typer.Option(help="Number format kept: float16, bfloat16 or float32.")] = "float16",
    num_shards: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Share the work among N processes.", show_default="the launcher's"),
    ] = None,
    shard_index: Annotated[
        int | None,
        typer.Option(min=0, metavar="K", help="Which of them this is, from 0.", show_default="the launcher's"),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Photos encoded at a time.")] = 32,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the first N photos.", show_default="all")
    ] = None,
    max_unreadable: Annotated[int, typer.Option(min=0, help="Photos that may be missing or damaged.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Run photos through a frozen encoder, once, and keep the features with captions beside them.

    One of --recipe, --model and --encoder says which encoder, with which preprocessing and pooling. Training reads the
    features with [bold]--set data.format=features --set data.captions=DIR[/bold], evaluation with --features DIR; both
    then need no encoder, and refuse features of another one.

    An extraction that is cut off goes on when the same command is given again, encodes no finished shard twice, and
    ends with the same bytes; so does one that is shared among processes, by accelerate launch or by --num-shards and
    --shard-index on any machines that see the same folder.

    [bold]Examples[/bold]

      linmap features extract captions.json --images photos/ --recipe limber-clip-rn50x16 --output features/

      linmap features extract captions.json --images photos/ --model default --output features/ --split train

      linmap features extract 'cc3m/{00000..00331}.tar' --encoder timm:nf_resnet50 --features pooled --output features/

      accelerate launch --multi_gpu --num_processes 2 -m linmap features extract captions.json --images photos/
      --model default --output features/
    """
    from linmap.cli.devices import check_device
    from linmap.cli.messages import no_bars_off_terminals, quiet_libraries

    check_device(device)
    job = _job(num_shards, shard_index)
    quiet_libraries()
    no_bars_off_terminals()
    from linmap.cli.features.encoders import encoding_of
    from linmap.data.feature_store_building import checked_dtype, extract_features, rows_of_a_shard
    from linmap.data.feature_store_sources import photo_source
    from linmap.data.images import UnreadableImages

    checked_dtype(dtype)
    encoding = encoding_of(
        recipe=recipe,
        model=model,
        encoder=encoder,
        features=str(features),
        grid_size=grid_size,
        device=_own_device(device),
    )
    unreadable = UnreadableImages(max_unreadable)
    rows = rows_of_a_shard(encoding.identity, dtype)
    source = photo_source(data, images, rows=rows, split=split, limit=limit, unreadable=unreadable)
    extracted = extract_features(
        source.shards,
        encoding.encode,
        encoding.image_processor,
        output,
        encoding.identity,
        source=source.facts,
        dtype=dtype,
        batch_size=batch_size,
        job=job,
        unreadable=unreadable,
    )
    report = _report(output, encoding, extracted, dtype)
    typer.echo(json.dumps(report) if as_json else "\n".join(_lines(report)))


def _job(count: int | None, index: int | None) -> tuple[int, int]:
    """(index, count) of this process, as the options or else the launcher say it.

    Raises:
        FeatureStoreError: The options are halves of one another's, or contradict the launcher.
    """
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if (count is None) != (index is None):
        raise FeatureStoreError("--num-shards and --shard-index go together: how many processes, and which this is.")
    if count is None or index is None:
        return int(os.environ.get("RANK", "0")), launched
    if launched > 1:
        raise FeatureStoreError(
            f"{launched} processes were launched (WORLD_SIZE), and each would take --shard-index {index}. Leave "
            "--num-shards and --shard-index to the launcher, or start each process by itself."
        )
    return index, count


def _own_device(device: str) -> str:
    """Each process of a launcher takes a graphics card of its own where there are as many."""
    import torch

    local = int(os.environ.get("LOCAL_RANK", "0"))
    return f"cuda:{local}" if device == "auto" and local < torch.cuda.device_count() else device


def _report(output: Path, encoding: Encoding, extracted: Extracted, dtype: str) -> dict[str, Any]:
    from linmap.data.feature_store_files import read_index, shard_facts

    shards = [shard_facts(output, shard["name"]) for shard in read_index(output)["shards"]]
    there = [facts for facts in shards if facts is not None]
    return {
        "output": str(output),
        "photos": sum(facts["rows"] for facts in there),
        "captions": sum(facts["captions"] for facts in there),
        "cells": encoding.identity.cells,
        "width": encoding.identity.width,
        "dtype": dtype,
        "encoder": encoding.identity.name,
        "bytes": sum(facts["bytes"] for facts in there),
        "shards": len(shards),
        "complete": len(there) == len(shards),
        "extracted_here": extracted.shards - extracted.found,
        "found_here": extracted.found,
        "unreadable": len(extracted.unreadable),
        "first_unreadable": [list(one) for one in extracted.unreadable[:5]],
    }


def _lines(report: dict[str, Any]) -> list[str]:
    lines = [
        f"{report['output']}: {report['photos']:,} photos, {report['captions']:,} captions, {report['cells']} x "
        f"{report['width']:,} {report['dtype']}, {report['bytes'] / 1e6:,.1f} MB, encoder {report['encoder']}"
    ]
    if report["found_here"]:
        lines.append(f"{report['found_here']} shards were finished before, and are as they were written")
    if not report["complete"]:
        lines.append(f"not complete: some of {report['shards']} shards are still to come from other processes")
    if report["unreadable"]:
        named = "; ".join(f"{key}: {reason}" for key, reason in report["first_unreadable"])
        lines.append(f"left out: {report['unreadable']:,} photos that cannot be read ({named})")
    return lines
