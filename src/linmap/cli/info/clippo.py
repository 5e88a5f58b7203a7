"""What `linmap info` tells of a CLIPPO model: one tower or two, what photos and texts share, how texts are drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linmap.cli.info.files import Header, files_cell, files_in, header_of
from linmap.errors import ProjectionError

if TYPE_CHECKING:
    from rich.table import Table

    from linmap.clippo.configuration import ClippoConfig

__all__ = ["PARTS", "clippo_facts", "clippo_use"]

PARTS = (
    "tower",
    "text_tower",
    "text_patch_embedding",
    "text_embedding",
    "projection",
    "text_projection",
    "logit_scale",
    "classifier",
)
"""What its weights are named after, as a photo and then a text travels."""

TUNED = "clippo."
"""What a model that was tuned for a task keeps the tower's weights under."""


def clippo_facts(folder: Path, written: dict[str, Any]) -> dict[str, Any]:
    """Everything `linmap info` tells of it; sizes are in bytes.

    Args:
        folder: Of the model.
        written: Its `config.json`.

    Raises:
        ProjectionError: The weights are not there or damaged, or there is no tower among them.
    """
    from linmap.clippo.configuration import ClippoConfig

    config = ClippoConfig.from_dict(written)
    header = header_of(folder, "what was learned")
    tuned = any(name.startswith(TUNED) for name in header.shapes)
    header = Header(
        {name.removeprefix(TUNED): shape for name, shape in header.shapes.items()},
        {name.removeprefix(TUNED): dtype for name, dtype in header.dtypes.items()},
    )
    parts = {part: _part(header, part) for part in PARTS}
    if parts["tower"] is None:
        raise ProjectionError(f"{folder / 'model.safetensors'} holds no tower. Train one, or fetch the model again.")
    for head in ("projection", "text_projection"):
        if (found := parts[head]) is not None:
            found["outputs"], found["inputs"] = header.shapes[f"{head}.weight"]
    return {
        "folder": str(folder),
        "kind": "clippo",
        "architecture": (written.get("architectures") or ["ClippoModel"])[0],
        "system": _system(config),
        "trained": {part: facts for part, facts in parts.items() if facts is not None},
        "frozen": {},
        "parameters": header.facts()["parameters"],
        "tower": {
            name: getattr(config, name)
            for name in (
                "image_size",
                "patch_size",
                "hidden_size",
                "num_hidden_layers",
                "num_attention_heads",
                "intermediate_size",
            )
        },
        "texts": {
            "text_input": config.text_input,
            "text_tower": config.text_tower,
            "text_patch_embedding": config.text_patch_embedding,
            "text_head": config.text_head,
            "vocab_size": config.vocab_size if config.reads_tokens else None,
            "max_text_tokens": config.max_text_tokens if config.reads_tokens else None,
            "text_renderer": None if config.reads_tokens else config.text_renderer,
        },
        "space": {"projection_dim": config.projection_dim, **_scale(folder, tuned)},
        "initialised_from": config.initialised_from,
        "files": {file.name: file.stat().st_size for file in files_in(folder)},
    }


def clippo_use(facts: Mapping[str, Any]) -> Table:
    """Tower, texts, space and files, for people."""
    from rich import box
    from rich.table import Table

    tower, texts, space, started = (facts[name] for name in ("tower", "texts", "space", "initialised_from"))
    table = Table(box=box.SIMPLE_HEAD, show_header=False, title="How it is used", title_justify="left")
    table.add_column()
    table.add_column(overflow="fold")
    table.add_row(
        "system",
        facts["system"] + ("" if facts["architecture"] == "ClippoModel" else f", tuned: {facts['architecture']}"),
    )
    table.add_row("parameters", f"{facts['parameters']:,}")
    table.add_row(
        "tower",
        f"{tower['num_hidden_layers']} blocks of {tower['hidden_size']} channels, {tower['num_attention_heads']} heads "
        "each, attention pooling",
    )
    patches = (tower["image_size"] // tower["patch_size"]) ** 2
    table.add_row(
        "photos", f"{tower['image_size']} x {tower['image_size']} pixels, {patches} patches of {tower['patch_size']}"
    )
    if texts["text_renderer"] is None:
        table.add_row("texts", f"at most {texts['max_text_tokens']} of {texts['vocab_size']:,} tokens")
    else:
        settings = ", ".join(f"{name} {value}" for name, value in texts["text_renderer"].items())
        table.add_row("texts", f"drawn: {settings}")
    table.add_row("started from", "random weights" if started is None else _origin(started))
    table.add_row("space", f"{space['projection_dim']} channels")
    if space["logit_scale"] is not None:
        table.add_row("temperature", f"{space['temperature']:.4f} (cosines times {space['logit_scale']:.2f})")
    table.add_row("files", files_cell(facts))
    return table


def _origin(started: Mapping[str, Any]) -> str:
    return f"{started.get('name')} (sha256 {str(started.get('sha256') or 'not known')[:12]})"


def _part(header: Header, part: str) -> dict[str, Any] | None:
    """Size of a part; None where the model has none."""
    own = header.under(part if part == "logit_scale" else f"{part}.")
    return own.facts() if own.shapes else None


def _system(config: ClippoConfig) -> str:
    """What the paper calls such a model."""
    if not config.reads_tokens:
        parts = {"tower": config.text_tower, "patch embedding": config.text_patch_embedding, "head": config.text_head}
        own = [name for name, sharing in parts.items() if sharing == "own"]
        return "CLIPPO" if not own else f"CLIPPO with a separate {' and '.join(own)} for texts"
    return "1T-CLIP" if config.text_tower == "shared" else "CLIP*"


def _scale(folder: Path, tuned: bool) -> dict[str, float | None]:
    """The factor on the cosines and the temperature that is its inverse: the only number that is read."""
    from safetensors import safe_open

    name = f"{TUNED if tuned else ''}logit_scale"
    with safe_open(folder / "model.safetensors", framework="pt") as opened:  # torch reads bfloat16, too
        scale = math.exp(float(opened.get_tensor(name))) if name in opened.keys() else None  # noqa: SIM118
    return {
        "logit_scale": None if scale is None else round(scale, 4),
        "temperature": None if scale is None else round(1 / scale, 6),
    }
