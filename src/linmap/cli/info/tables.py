"""The facts of a model as tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from linmap.cli.info.clippo import PARTS, clippo_use
from linmap.cli.info.files import files_cell, megabytes

__all__ = ["print_facts"]

ROLES = {
    "encoder": "image encoder",
    "language_model": "language model",
    "image_encoder": "image encoder",
    "image_projection": "image head",
    "text_projection": "text head",
    "text_encoder": "text encoder",
    "dual_encoder": "dual encoder",
    "text_tower": "tower for texts",
    "text_patch_embedding": "patch embedding for texts",
    "text_embedding": "token embedding",
    "projection": "head",
    "logit_scale": "temperature",
}


def print_facts(facts: Mapping[str, Any]) -> None:
    """Prints what `linmap info` found to stdout."""
    console = Console(highlight=False, markup=False)
    console.print(f"{facts['model']}  ({facts['folder']})", soft_wrap=True)
    console.print(_parts(facts))
    towers = {role: part for role, part in _in_order(facts) if "sha256" in part}
    if facts["kind"] == "decap":
        if towers:
            console.print(_origins(towers, "Where the frozen parts come from"))
        console.print(_decoding(facts))
    elif facts["kind"] == "captioner":
        which = "parts" if "encoder" in facts["trained"] else "frozen parts"
        console.print(_origins(towers, f"Where the {which} come from"))
        console.print(_use(facts))
    elif facts["kind"] == "clippo":
        console.print(clippo_use(facts))
    else:
        if towers:
            console.print(_origins(towers, "Where the towers come from"))
        console.print(_space(facts))


def _parts(facts: Mapping[str, Any]) -> Table:
    table = Table("part", "state", box=box.SIMPLE_HEAD, title="What it is made of", title_justify="left")
    for name in ("parameters", "size"):
        table.add_column(name, justify="right")
    table.add_column("format")
    for role, part in _in_order(facts):
        state = "trained" if role in facts["trained"] else "frozen"
        if part["parameters"] is None:
            table.add_row(ROLES.get(role, role), state, "not known", "not here", "")
            continue
        parameters, size = f"{part['parameters']:,}", megabytes(part["bytes"])
        table.add_row(ROLES.get(role, role), state, parameters, size, part["dtype"])
    if memory := facts.get("memory"):
        table.add_row(
            "support memory", f"{memory['captions']:,} captions", "", megabytes(memory["bytes"]), memory["dtype"]
        )
    return table


def _in_order(facts: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """As an image travels, and then a text."""
    parts = {**facts["frozen"], **facts["trained"]}
    order = ("dual_encoder", "encoder", "projector", "language_model", "adapters", "decoder")
    towers = ("image_encoder", "image_projection", "text_encoder", "text_projection")
    names = PARTS if facts["kind"] == "clippo" else (*order, *towers)
    return [(role, parts[role]) for role in names if role in parts]


def _origins(parts: Mapping[str, Mapping[str, Any]], title: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column("")
    for role in parts:
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
        table.add_row(name, *(str(fact(part) or "not known") for part in parts.values()))
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
    table.add_row("files", files_cell(facts))
    return table


def _decoding(facts: Mapping[str, Any]) -> Table:
    decap, memory = facts["decap"], facts["memory"]
    table = Table(box=box.SIMPLE_HEAD, show_header=False, title="How it is used", title_justify="left")
    table.add_column()
    table.add_column(overflow="fold")
    table.add_row("latent", f"{decap['latent_dim']} channels, one vector a text or photo")
    table.add_row("text tower", _tower(decap["text_tower"]))
    table.add_row("prefix", f"{decap['prefix_length']} x {decap['hidden_size']} channels in front of the text")
    table.add_row("decoder", f"{decap['decoder']}, {decap['vocabulary']:,} tokens")
    if memory is None:
        table.add_row("memory", "none; --memory DIR gives it one")
    else:
        kept = f"{memory['captions']:,} captions in {memory['dtype']}, text tower {_tower(memory['text_tower'])}"
        table.add_row("memory", kept)
    table.add_row("strategy", decap["strategy"])
    table.add_row("tau", f"{decap['tau']:g}")
    learned = f"label smoothing {decap['label_smoothing']:g}, noise on the latents {decap['latent_noise']:g}"
    table.add_row("learned with", learned + (f", at most {decap['max_length']} tokens" if decap["max_length"] else ""))
    generation = ", ".join(f"{name} {value}" for name, value in facts["generation"].items())
    table.add_row("generation", generation or "as transformers does")
    table.add_row("files", files_cell(facts))
    return table


def _tower(recorded: Mapping[str, Any] | None) -> str:
    """A text tower by name, and the beginning of its digest."""
    if not recorded:
        return "not known"
    return f"{recorded['name']} ({str(recorded.get('sha256') or 'no sha256')[:12]})"


def _space(facts: Mapping[str, Any]) -> Table:
    space = facts["space"]
    table = Table(box=box.SIMPLE_HEAD, show_header=False, title="The space they share", title_justify="left")
    table.add_column()
    table.add_column(overflow="fold")
    table.add_row("width", f"{space['projection_dim']} channels")
    for kind in ("image", "text"):
        head = facts["trained"].get(f"{kind}_projection")
        widths = f"{head['inputs']} channels to {head['outputs']}, no bias" if head else "none: the tower's own output"
        table.add_row(f"{kind} head", widths)
    if space["image_size"]:
        table.add_row("photos", f"{space['image_size']} x {space['image_size']} pixels")
    if space["context_length"]:
        table.add_row("texts", f"at most {space['context_length']} tokens, pooling {space['pooling']}")
    if space["logit_scale"] is not None:
        bias = "" if space["logit_bias"] is None else f", bias {space['logit_bias']:.2f}"
        table.add_row("temperature", f"{space['temperature']:.4f} (cosines times {space['logit_scale']:.2f}{bias})")
    table.add_row("loss", space["loss"])
    table.add_row("files", files_cell(facts))
    return table
