"""What `linmap evaluate vqa --clippo` tells: a row a control, what the model has above each, types of questions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linmap.cli.evaluate.drawn_vqa import BEST, BLIND, FREQUENT, FREQUENT_OF_TYPE, OTHER

if TYPE_CHECKING:
    from linmap.evaluation.answerers import AnswererScores
    from linmap.evaluation.vqa import AnswersScore

__all__ = ["console_lines", "entries_of", "markdown", "plot"]

MEANING = {
    BLIND: "the same model, the question drawn on the background, and no photo below it",
    OTHER: "the same model, the question drawn above another photo",
    FREQUENT: "whatever is asked, the answer that was right most often in {support_data}",
    FREQUENT_OF_TYPE: "the same for each type of questions, by their first two words",
    BEST: "the best of the {answers} answers that the model chooses among: no more can be reached",
}


def entries_of(scores: AnswererScores) -> dict[str, Any]:
    """The scores ready for JSON."""
    return {
        "rows": [{"row": row, "scores": _entry(by_metric)} for row, by_metric in scores.rows.items()],
        "above": [{"row": row, "scores": _entry(by_metric)} for row, by_metric in scores.above.items()],
        "by_type": [
            {
                "type": one.name,
                "questions": one.questions,
                "scores": {row: round(value, 2) for row, value in one.scores.items()},
            }
            for one in scores.by_type
        ],
    }


def _entry(by_metric: Mapping[str, AnswersScore]) -> dict[str, Any]:
    return {
        metric: {
            "value": round(score.value, 2),
            "standard_error": None if score.error is None else round(score.error, 2),
            "by_set": [round(value, 2) for value in score.by_support],
        }
        for metric, score in by_metric.items()
    }


def notes(report: Mapping[str, Any]) -> list[str]:
    """What the rows are."""
    lines = [
        f"{entry['row']}: {MEANING[entry['row']].format(**report)}"
        for entry in report["rows"]
        if entry["row"] in MEANING
    ]
    if report["support_data"] is None and report["control"] is not None:
        lines.append(
            "most frequent answers are not measured: say which questions the model learned from, --support-split or "
            "--support-data"
        )
    if report["sets"] > 1:
        lines.append(f"±: standard error over {report['sets']} sets of photos; of a difference, taken in each set")
    if report["learned_from"]:
        lines.append(
            f"{report['learned_from']} of the photos are among those it learned from: hold photos out for scores that "
            "say something"
        )
    if report["left_out"]:
        lines.append(f"left out: {report['left_out']} photos that cannot be read, with their questions")
    return lines


def console_lines(report: Mapping[str, Any], scores: AnswererScores) -> list[Any]:
    """Texts and tables of rich, for people."""
    from rich import box
    from rich.table import Table

    lines: list[Any] = [_where(report)]
    for heading, columns, rows in _tables(report, scores):
        table = Table(heading, box=box.SIMPLE_HEAD)
        for column in columns:
            table.add_column(column, justify="right")
        for name, cells in rows.items():
            table.add_row(name, *cells)
        lines.append(table)
    return [*lines, *notes(report)]


def markdown(report: Mapping[str, Any], scores: AnswererScores) -> str:
    """The same as a page of Markdown."""
    parts = [f"# Answers to {report['questions']:,} questions", f"{_where(report)}."]
    for heading, columns, rows in _tables(report, scores):
        lines = [f"| {heading} | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
        lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()]
        parts.append("\n".join(lines))
    parts.append("\n".join(f"- {line}" for line in notes(report)))
    parts.append(f"```bash\n{report['command']}\n```")
    return "\n\n".join(parts) + "\n"


def plot(scores: AnswererScores, path: Path) -> None:
    """The same as a picture; see `plot_answerers`."""
    from linmap.evaluation.answerers import plot_answerers

    plot_answerers(scores.rows, path)


def _tables(report: Mapping[str, Any], scores: AnswererScores) -> list[tuple[str, list[str], dict[str, list[str]]]]:
    """Heading, columns, and the cells of every row."""
    from linmap.evaluation.vqa import shown

    metrics = report["metrics"]
    tables = [("answers", metrics, {row: [shown(one) for one in cells.values()] for row, cells in scores.rows.items()})]
    if scores.above:
        above = {row: [_signed(one) for one in cells.values()] for row, cells in scores.above.items()}
        tables.append(("the model has above", metrics, above))
    types = {
        f"{one.name} … ({one.questions:,})": [f"{value:.1f}" for value in one.scores.values()] for one in scores.by_type
    }
    tables.append((f"{metrics[0]} by type", list(scores.rows), types))
    return tables


def _signed(score: AnswersScore) -> str:
    error = "" if score.error is None else f" ± {score.error:.1f}"
    return f"{score.value:+.1f}{error}"


def _where(report: Mapping[str, Any]) -> str:
    split = f"split {report['split']}" if report["split"] else "all splits"
    counted = f"{report['questions']:,} questions about {report['photos']:,} photos"
    return f"{report['model']}: {counted} of {report['data']}, {split}; {report['answers']:,} answers to choose among"
