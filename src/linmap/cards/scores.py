"""Scores as tables in which each control stands in the row of the score it belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["ScoreTable", "commands_of", "control_shown", "dataset_name", "score_tables"]

_HOW = (
    "dataset",
    "split",
    "domain",
    "photos",
    "texts",
    "questions",
    "tokenizer",
    "decoding",
)
"""What agrees of scores that were measured alike."""

_ITSELF = "this model"
BASELINES = ("chance", "majority", "most frequent answer", "most frequent of its type", "best of its answers")


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


def commands_of(scores: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each command once, in the order of the scores."""
    return list(dict.fromkeys(str(score["command"]) for score in scores if score.get("command")))


def dataset_name(source: str | Path) -> str:
    """What a card calls a file or folder of data: its name, and that of the folder it lies in.

    Example:
        >>> dataset_name("/data/flickr8k/captions.json")
        'flickr8k/captions.json'
    """
    path = Path(source)
    return "/".join((path.resolve() if path.exists() else path).parts[-2:])


def control_shown(control: str) -> str:
    """What a card calls a control: what no model answers, such as chance, goes by its own name."""
    return control if control in BASELINES else f"{control} control"


def _control(score: Mapping[str, Any]) -> str:
    control = score.get("control")
    return _ITSELF if control in (None, "none") else control_shown(str(control)).replace("-", " ")


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.1f}"
