"""Scores of captions written into the model cards of the folders they are of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linmap.errors import ModelCardError

if TYPE_CHECKING:
    from linmap.cli.evaluate.captioners import NamedModel

__all__ = ["require_cards", "update_cards"]


def require_cards(models: Sequence[NamedModel]) -> None:
    """Refuses models whose card cannot be written: before the work.

    Raises:
        ModelCardError: One is no folder of the user's own.
    """
    for model in models:
        if model.word is None or not Path(model.word).expanduser().is_dir():
            raise ModelCardError(
                f"--update-card writes into the folder of a model, and {model.shown} is none. Copy it and name "
                "the folder, or leave --update-card out."
            )


def update_cards(models: Sequence[NamedModel], report: Mapping[str, Any], data: Path) -> list[Path]:
    """Writes the scores of every model, with its own controls, into its card; returns the cards.

    Args:
        models: The captioners.
        report: What was measured.
        data: The captions file or the features.

    Raises:
        ModelCardError: A card cannot be read or written.
    """
    from linmap.cards import update_model_card, write_model_card
    from linmap.cli.models import read_config

    cards = []
    for model in models:
        if not (model.folder / "README.md").exists():
            write_model_card(model.folder, backbones=read_config(model.folder).get("backbones") or {})
        rows = [row for row in report["rows"] if row["name"] == model.name]
        cards.append(update_model_card(model.folder, [score for row in rows for score in _scores(row, report, data)]))
    return cards


def _scores(row: Mapping[str, Any], report: Mapping[str, Any], data: Path) -> list[dict[str, Any]]:
    """One mapping a metric and domain, as cards take them."""
    from linmap.cards.scores import dataset_name

    how = {
        "dataset": dataset_name(data),
        "split": report["split"],
        "tokenizer": report["tokenizer"],
        "decoding": ", ".join(f"{name} {value}" for name, value in row["decoding"].items()),
        "control": row["control"],
        "command": report["command"],
    }
    parts = {None: {"photos": report["n"], "scores": row["scores"]}, **row.get("domains", {})}
    return [
        {**how, "domain": domain, "photos": part["photos"], "metric": metric, "value": value}
        for domain, part in parts.items()
        for metric, value in part["scores"].items()
    ]
