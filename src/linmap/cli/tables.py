"""The facts of a model as tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

__all__ = ["print_facts"]

ROLES = {"encoder": "image encoder", "language_model": "language model"}


def print_facts(facts: Mapping[str, Any]) -> None:
    """Prints what `linmap info` found to stdout."""
    console = Console(highlight=False, markup=False)
    console.print(f"{facts['model']}  ({facts['folder']})", soft_wrap=True)
    console.print(_parts(facts))
    console.print(_origins(facts["frozen"]))
    console.print(_use(facts))


def _parts(facts: Mapping[str, Any]) -> Table:
    table = Table("part", "state", box=box.SIMPLE_HEAD, title="What it is made of", title_justify="left")
    for name in ("parameters", "size"):
        table.add_column(name, justify="right")
    table.add_column("format")
    for role, part in _in_order(facts):
        state = "trained" if role == "projector" else "frozen"
        parameters, size = f"{part['parameters']:,}", _megabytes(part["bytes"])
        table.add_row(ROLES.get(role, role), state, parameters, size, part["dtype"])
    return table


def _in_order(facts: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """As an image travels: encoder, projector, language model."""
    parts = {**facts["frozen"], **facts["trained"]}
    return [(role, parts[role]) for role in ("encoder", "projector", "language_model") if role in parts]


def _origins(frozen: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="Where the frozen parts come from", title_justify="left")
    table.add_column("")
    for role in frozen:
        table.add_column(ROLES.get(role, role), overflow="fold")
    rows = {
        "name": lambda part: part["name"],
        "library": lambda part: part["library"],
        "id": lambda part: part["id"],
        "revision": lambda part: part["revision"],
        "file": lambda part: part["file"],
        "sha256": lambda part: part["sha256"],
        "licence": lambda part: part["license"],
        "weights": _weights,
        "kept": lambda part: "in this folder" if part["in_folder"] else "found by its name",
    }
    for name, fact in rows.items():
        table.add_row(name, *(str(fact(part) or "not known") for part in frozen.values()))
    return table


def _weights(part: Mapping[str, Any]) -> str:
    if part["pretrained"] is None:
        return "not known"
    return "pretrained" if part["pretrained"] else f"random, seed {part['seed']}"


def _use(facts: Mapping[str, Any]) -> Table:
    prefix, projector = facts["prefix"], facts["trained"]["projector"]
    cells = f"{prefix['features']} features"
    if prefix["grid_size"]:
        cells += f", averaged to {prefix['grid_size']} x {prefix['grid_size']}"
    table = Table(box=box.SIMPLE_HEAD, show_header=False, title="How it is used", title_justify="left")
    table.add_column()
    table.add_column(overflow="fold")
    table.add_row("prefix", f"{prefix['tokens_per_image']} tokens an image, from {cells}")
    table.add_row("projection", f"{projector['inputs']} channels to {projector['outputs']}")
    table.add_row("prompt", "not known" if prefix["prompt"] is None else repr(prefix["prompt"]))
    generation = ", ".join(f"{name} {value}" for name, value in facts["generation"].items())
    table.add_row("generation", generation or "as transformers does")
    table.add_row("files", "\n".join(f"{_megabytes(size):>10}  {name}" for name, size in facts["files"].items()))
    return table


def _megabytes(size: int) -> str:
    """In units of 10^6 bytes; small files in 10^3."""
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"
