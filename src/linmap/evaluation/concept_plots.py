"""Scores of what captions say of animals, as a table and as a picture (PNG), the blind control beside each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rich.table import Table

from linmap.evaluation.concepts import ConceptScores, ScoredConcepts
from linmap.evaluation.drawing import new_figure, save_figure
from linmap.evaluation.tables import caption_table

__all__ = ["LEXICAL", "PERCEPTUAL", "concept_columns", "concept_table", "plot_concepts"]

LEXICAL = {"names_animal": "any animal", "right_class": "right class", "mean_per_class": "mean of classes"}
PERCEPTUAL = {
    "wu_palmer": "Wu-Palmer",
    "wu_palmer_wrong": "Wu-Palmer, wrong",
    "properties": "properties",
    "properties_wrong": "properties, wrong",
    "said": "said of it",
}


def concept_columns(scores: ConceptScores) -> dict[str, float]:
    """The scores by the names of their columns, in percent; what was not to be counted is missing."""
    columns = {**LEXICAL, **PERCEPTUAL}
    found = {column: getattr(scores, name) for name, column in columns.items()}
    return {column: value for column, value in found.items() if value is not None}


def concept_table(rows: Mapping[str, ScoredConcepts], heading: str = "captioner") -> Table:
    """Two rows a captioner, its scores and under them the control, for `rich.print`.

    Args:
        rows: Of `concept_scores`, by the name of the captioner.
        heading: What the rows are.
    """
    shown: dict[str, dict[str, float]] = {}
    for name, found in rows.items():
        shown[name] = concept_columns(found.scores)
        shown[f"  {name}, blind"] = concept_columns(found.blind)
    return caption_table(shown, heading)


def plot_concepts(rows: Mapping[str, ScoredConcepts], path: str | Path) -> None:
    """Bars of every score, one a captioner, with its blind control as a line on each; names left, looks right.

    Args:
        rows: Of `concept_scores`, by the name of the captioner.
        path: Where the PNG goes; replaced in one move.

    Raises:
        EvaluationError: The file cannot be written.
    """
    figure = new_figure(max(9.0, 0.9 * (len(LEXICAL) + len(PERCEPTUAL)) * max(1.0, 0.3 * len(rows))), 4.2)
    parts = figure.subplots(1, 2, sharey=True, width_ratios=(len(LEXICAL), len(PERCEPTUAL)))
    titles = ("Lexical: is the animal named?", "Perceptual: how near is what is named or said?")
    for axes, columns, title in zip(parts, (LEXICAL, PERCEPTUAL), titles, strict=True):
        names = list(columns)
        width = 0.8 / len(rows)
        for number, (name, found) in enumerate(rows.items()):
            places = np.arange(len(names)) + (number - (len(rows) - 1) / 2) * width
            heights = np.array([_height(found.scores, one) for one in names])
            bars = axes.bar(places, heights, width=0.92 * width, label=name.replace("$", r"\$"))
            axes.bar_label(bars, ["" if np.isnan(height) else f"{height:.0f}" for height in heights], fontsize=7)
            blind = [_height(found.blind, one) for one in names]
            label = "blind: held against other photos" if number == len(rows) - 1 else "_"  # one entry of the legend
            axes.hlines(blind, places - width / 2, places + width / 2, colors="black", linewidth=1.4, label=label)
        axes.set_xticks(range(len(names)), [columns[one] for one in names], fontsize=8, rotation=15)
        axes.set_title(title, fontsize=9)
    photos = max(found.photos for found in rows.values())
    parts[0].set(ylabel=f"% ({photos:,} photos)", ylim=(0, 105))
    handles, labels = parts[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, loc="outside lower center", ncols=min(4, len(labels)))
    save_figure(figure, path)


def _height(scores: ConceptScores, name: str) -> float:
    value = getattr(scores, name)
    return float("nan") if value is None else float(value)
