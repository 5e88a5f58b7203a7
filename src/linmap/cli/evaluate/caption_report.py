"""What `linmap evaluate caption` tells: the scores of every captioner and control, as JSON and as tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from linmap.cli.evaluate.caption_scoring import row_label
from linmap.errors import OutputFolderError

__all__ = ["console_lines", "markdown", "notes", "results_json", "write_file"]


def _tables(report: Mapping[str, Any]) -> list[tuple[str, list[str], dict[str, list[float | None]]]]:
    """Heading, columns, and the cells of every row: one table of all metrics, or with domains one table a metric."""
    from linmap.evaluation import ENTIRE

    rows, metrics, domains = report["rows"], report["metrics"], report["domains"]
    if not domains:
        return [
            (
                "captioner",
                metrics,
                {row_label(row["name"], row["control"]): [row["scores"][name] for name in metrics] for row in rows},
            )
        ]
    tables = []
    for metric in metrics:
        cells = {}
        for row in rows:
            parts = [row.get("domains", {}).get(domain) for domain in domains]
            in_domains = [None if part is None else part["scores"][metric] for part in parts]
            cells[row_label(row["name"], row["control"])] = [*in_domains, row["scores"][metric]]
        tables.append((metric, [*domains, ENTIRE], cells))
    return tables


def console_lines(report: Mapping[str, Any]) -> list[Any]:
    """Texts and tables of rich, for people."""
    from linmap.evaluation import caption_table

    tables = [
        caption_table(
            {
                name: {column: value for column, value in zip(columns, cells, strict=True) if value is not None}
                for name, cells in rows.items()
            },
            heading,
        )
        for heading, columns, rows in _tables(report)
    ]
    return [f"{_where(report)}", *tables, *notes(report)]


def markdown(report: Mapping[str, Any]) -> str:
    """The same as a page of Markdown."""
    parts = [f"# Captions of {report['n']} photos", f"{_where(report)}."]
    for heading, columns, rows in _tables(report):
        lines = [[heading, *columns]] + [
            [_cell(name), *("" if value is None else f"{value:.1f}" for value in cells)] for name, cells in rows.items()
        ]
        body = [f"| {' | '.join(line)} |" for line in lines]
        parts.append("\n".join([body[0], f"|---|{'---:|' * len(columns)}", *body[1:]]))
    parts.append("\n".join(f"- {line}" for line in notes(report)))
    parts.append(f"```bash\n{report['command']}\n```")
    return "\n\n".join(parts) + "\n"


def notes(report: Mapping[str, Any]) -> list[str]:
    """What the numbers are: the controls, the decoding, the tokenizer, what was left out."""
    from linmap.cli.evaluate.options import MEANING

    controls = dict.fromkeys(row["control"] for row in report["rows"] if row["control"] is not None)
    lines = [f"{control}: {MEANING[control]} (seed {report['control_seed']})" for control in controls]
    ways: dict[str, list[str]] = {}
    for row in report["rows"]:
        if row["control"] is None:
            said = ", ".join(f"{name} {value}" for name, value in row["decoding"].items())
            ways.setdefault(said, []).append(row["name"])
    lines += [f"decoding{'' if len(ways) == 1 else ' of ' + ', '.join(names)}: {said}" for said, names in ways.items()]
    plain = "" if report["comparable"] else ", not comparable with published scores"
    lines.append(f"tokenizer: {report['tokenizer']}{plain}")
    if report["domains"]:
        parts = next(row["domains"] for row in report["rows"])
        counted = ", ".join(f"{part['photos']} {domain}" for domain, part in parts.items())
        lines.append(f"domains: {counted}; each is scored as a set of its own")
    if report["left_out"]:
        lines.append(f"left out: {report['left_out']} photos that cannot be read")
    return lines


def write_file(path: Path, text: str) -> None:
    """Writes `text` in one move.

    Raises:
        OutputFolderError: It cannot be written there.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise OutputFolderError(
            f"{path} cannot be written ({error.strerror}); name another folder, or make room."
        ) from error


def results_json(report: Mapping[str, Any]) -> str:
    """The report as the file holds it."""
    return json.dumps(report, indent=1, ensure_ascii=False) + "\n"


def _where(report: Mapping[str, Any]) -> str:
    split = f"split {report['split']}" if report["split"] else "all splits"
    return f"{report['n']} photos of {report['data']}, {split}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
