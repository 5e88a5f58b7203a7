"""Scores as tables in which each control stands in the row of the score it belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["ScoreTable", "score_tables"]

_HOW = ("dataset", "split", "domain", "photos", "texts", "tokenizer", "decoding")  # measured alike, if these agree
_ITSELF = "this model"


@dataclass(frozen=True)
class ScoreTable:
    """One Markdown table: `header` and `rows` have as many cells each."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def score_tables(scores: Sequence[Mapping[str, Any]]) -> list[ScoreTable]:
    """At most one table: a row a metric and way of measuring, a column for the model and one for each control.

    Raises:
        KeyError: A score without `metric` or `value`.
    """
    if not scores:
        return []
    how = [key for key in _HOW if any(score.get(key) is not None for score in scores)]
    controls = list(dict.fromkeys(_control(score) for score in scores))
    columns = [_ITSELF, *(control for control in controls if control != _ITSELF)]
    cells: dict[tuple[str, ...], dict[str, str]] = {}
    for score in scores:
        row = (str(score["metric"]), *("" if score.get(key) is None else str(score[key]) for key in how))
        cells.setdefault(row, {})[_control(score)] = _number(score["value"])
    rows = tuple((*row, *(values.get(column, "not measured") for column in columns)) for row, values in cells.items())
    return [ScoreTable(("metric", *how, *columns), rows)]


def _control(score: Mapping[str, Any]) -> str:
    control = score.get("control")
    if control in (None, "none"):
        return _ITSELF
    return "chance" if control == "chance" else f"{str(control).replace('-', ' ')} control"


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.1f}"
