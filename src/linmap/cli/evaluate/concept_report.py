"""What `linmap evaluate concepts` tells, as JSON and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from linmap.cli.evaluate.caption_run import Pass
    from linmap.evaluation import ScoredConcepts

__all__ = ["PLOT", "markdown", "notes", "report_of", "where"]

PLOT = "concepts.png"
"""Name of the plot beside the results."""


def report_of(found: Mapping[str, ScoredConcepts], passes: Sequence[Pass]) -> dict[str, Any]:
    """The scores of every captioner, in percent to two places."""

    def rounded(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: rounded(one) for key, one in value.items()}
        if isinstance(value, (list, tuple)):
            return [rounded(one) for one in value]
        return round(value, 2) if isinstance(value, float) else value

    shown = {one.model.name: one for one in passes}
    return {
        "rows": [
            {
                "name": name,
                "model": shown[name].model.shown,
                "decoding": shown[name].decoding,
                "scores": rounded(asdict(scored.scores)),
                "blind": rounded(asdict(scored.blind)),
                "counts": {"wrong": scored.wrong, "in_table": scored.in_table, "times_said": scored.times_said},
                "per_class": rounded([asdict(one) for one in scored.classes]),
                "said": rounded([asdict(one) for one in scored.attributes]),
            }
            for name, scored in found.items()
        ]
    }


def where(report: Mapping[str, Any]) -> str:
    """On which photos."""
    return (
        f"{report['n']} photos of {report['classes']} classes in {report['labels'] or report['images']}; all in percent"
    )


def notes(report: Mapping[str, Any]) -> list[str]:
    """What the columns rest on."""
    lines = []
    for row in report["rows"]:
        counts = row["counts"]
        said = f"; properties of {counts['in_table']}, {counts['times_said']} said" if report["attributes"] else ""
        lines.append(f"{row['name']}: {row['model']}; {counts['wrong']} captions name a wrong animal{said}")
    lines.append("blind: every caption held against every other photo; Wu-Palmer x 100, nearest animal named")
    if report["attributes"] is None:
        lines.append("looks: not measured; --attributes DIR names a table of them")
    if report["left_out"]:
        lines.append(f"left out: {report['left_out']} photos that cannot be read")
    return lines


def markdown(report: Mapping[str, Any], found: Mapping[str, ScoredConcepts]) -> str:
    """The table as a page, with the plot beside it."""
    from linmap.evaluation import concept_columns

    rows = {}
    for name, scored in found.items():
        rows[name], rows[f"{name}, blind"] = concept_columns(scored.scores), concept_columns(scored.blind)
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    lines = [f"| captioner | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    for name, row in rows.items():
        cells = [f"{row[column]:.1f}" if column in row else "" for column in columns]
        lines.append(f"| {' | '.join([name, *cells])} |")
    below = "\n".join(f"- {line}" for line in notes(report))
    table = "\n".join(lines)
    command = f"```bash\n{report['command']}\n```"
    return f"# What captions say of animals\n\n{where(report)}.\n\n{table}\n\n{below}\n\n![]({PLOT})\n\n{command}\n"
