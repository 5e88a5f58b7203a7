"""`linmap features info`: whose features lie in a folder, of which photos, and whether all are there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from linmap.cli.features.extract import AsJson

__all__ = ["info"]


def info(
    features: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that linmap features extract wrote.")],
    verify: Annotated[bool, typer.Option("--verify", help="Read every shard and check its sha256.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell whose features lie in a folder, of which photos, and whether all are there.

    [bold]Examples[/bold]

      linmap features info features/

      linmap features info features/ --verify --json
    """
    from linmap.data.feature_store import FeatureStore

    store = FeatureStore(features)
    if verify:
        store.verify()
    identity = store.identity
    report = {
        "features": str(features),
        "photos": len(store),
        "captions": sum(shard["captions"] for shard in store.shards),
        "splits": store.splits,
        "kind": identity.features,
        "grid_size": identity.grid_size,
        "cells": identity.cells,
        "width": identity.width,
        "dtype": store.index["dtype"],
        "encoder": dict(identity.encoder),
        "preprocessing": dict(identity.preprocessing),
        "source": store.index["source"],
        "shards": len(store.shards),
        "bytes": store.bytes,
        "unreadable": len(store.unreadable),
        "first_unreadable": store.unreadable[:5],
        "verified": verify,
    }
    if as_json:
        typer.echo(json.dumps(report))
    else:
        _print(report)


def _print(report: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    encoder, source = report["encoder"], report["source"]
    table = Table(box=box.SIMPLE_HEAD, show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    splits = f", splits {', '.join(report['splits'])}" if report["splits"] else ""
    table.add_row("photos", f"{report['photos']:,} with {report['captions']:,} captions{splits}")
    table.add_row("features", f"{report['kind']}, {report['cells']} x {report['width']:,}, {report['dtype']}")
    random = "" if encoder.get("pretrained", True) else f"random weights, seed {encoder.get('seed')}"
    known = f"sha256 {encoder['sha256']}" if encoder.get("sha256") else random
    table.add_row("encoder", f"{encoder.get('name')}{f' ({known})' if known else ''}")
    of_split = f", split {source['split']}" if source.get("split") else ""
    table.add_row("source", f"{source['name']}{of_split}")
    checked = "each of its sha256" if report["verified"] else "sha256 not checked: --verify"
    table.add_row("files", f"{report['bytes'] / 1e6:,.1f} MB in {report['shards']} shards, {checked}")
    if report["unreadable"]:
        table.add_row("left out", f"{report['unreadable']:,} photos that cannot be read")
    for key, reason in report["first_unreadable"]:
        table.add_row("", f"{key}: {reason}")
    console = Console(highlight=False, markup=False)
    console.print(report["features"], soft_wrap=True)
    console.print(table)
