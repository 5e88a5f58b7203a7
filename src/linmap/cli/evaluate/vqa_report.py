"""What `linmap evaluate vqa` tells: scores by number of shots, the blind control below, as JSON, tables and a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linmap.cli.evaluate.vqa_run import BLIND, Run

if TYPE_CHECKING:
    from linmap.evaluation.vqa import AnswersScore
    from linmap.evaluation.written_answers import WrittenAnswers

__all__ = ["Scores", "console_lines", "markdown", "notes", "plot", "report_of", "scores_of"]

Scores = dict[str, dict[str, dict[int, "AnswersScore"]]]
"""For each metric the rows, for each row its scores by number of shots."""


def scores_of(run: Run, written: WrittenAnswers, metrics: Sequence[str]) -> tuple[Scores, int, int]:
    """The scores, and how many questions about how many photos were scored."""
    from linmap.evaluation.vqa import score_answers

    kept = written.answers[run.passes[0]]
    asked = [(number, one) for number, support in enumerate(run.supports) for one in support.questions]
    asked = [(number, one) for number, one in asked if one.key in kept]
    references = [one.answers for _, one in asked]
    found: Scores = {metric: {row: {} for row in run.rows} for metric in metrics}
    for row, shots in run.passes:
        answers = [written.answers[row, shots][one.key] for _, one in asked]
        for metric, score in score_answers(answers, references, metrics, [number for number, _ in asked]).items():
            found[metric][row][shots] = score
    return found, len(asked), len({one.photo for _, one in asked})


def report_of(scores: Scores) -> list[dict[str, Any]]:
    """The scores ready for JSON: one entry a row and number of shots."""
    entries: dict[tuple[str, int], dict[str, Any]] = {}
    for metric, rows in scores.items():
        for row, by_shots in rows.items():
            for shots, score in by_shots.items():
                entry = entries.setdefault((row, shots), {"row": row, "shots": shots, "scores": {}})
                entry["scores"][metric] = {
                    "value": round(score.value, 2),
                    "standard_error": None if score.error is None else round(score.error, 2),
                    "by_support": [round(value, 2) for value in score.by_support],
                }
    return list(entries.values())


def notes(report: Mapping[str, Any]) -> list[str]:
    """What the numbers are."""
    lines = []
    if report["control"] == BLIND:
        lines.append(
            "blind: the language model alone with the same texts, solved examples among them, and no image tokens: "
            "what questions and examples give away without any photo"
        )
    shots, sets = max(report["shots"]), report["supports"]
    if shots:
        drawn = f"from {report['support_data']}, about photos that no question is asked about"
        lines.append(
            f"examples: {sets} sets of {shots}, of which n shots take the first n, drawn with seed {report['seed']} "
            f"{drawn}; every photo is asked about behind one set"
        )
    if sets > 1:
        lines.append(f"±: standard error over the {sets} sets, each with photos of its own")
    how = ", ".join(f"{name} {value}" for name, value in report["decoding"].items())
    lines.append(f"prompt: {report['prompt']}; {how}; cut at the end of the line and before the next Q:")
    if report["left_out"]:
        lines.append(f"left out: {report['left_out']} photos that cannot be read, with their questions")
    return lines


def console_lines(report: Mapping[str, Any], scores: Scores) -> list[Any]:
    """Texts and tables of rich, for people."""
    from linmap.evaluation.vqa import vqa_table

    tables = [vqa_table(metric, rows) for metric, rows in scores.items()]
    return [_where(report), *tables, *notes(report)]


def markdown(report: Mapping[str, Any], scores: Scores) -> str:
    """The same as a page of Markdown."""
    from linmap.evaluation.vqa import shown

    parts = [f"# Answers to {report['questions']:,} questions", f"{_where(report)}."]
    for metric, rows in scores.items():
        lines = [f"| {metric} | {' | '.join(f'{shots} shots' for shots in report['shots'])} |"]
        lines.append(f"|---|{'---:|' * len(report['shots'])}")
        lines += [f"| {row} | {' | '.join(map(shown, by_shots.values()))} |" for row, by_shots in rows.items()]
        parts.append("\n".join(lines))
    parts.append("\n".join(f"- {line}" for line in notes(report)))
    parts.append(f"```bash\n{report['command']}\n```")
    return "\n\n".join(parts) + "\n"


def plot(scores: Scores, path: Path) -> None:
    """The same as a picture; see `plot_vqa`."""
    from linmap.evaluation.vqa import plot_vqa

    plot_vqa(scores, path)


def _where(report: Mapping[str, Any]) -> str:
    split = f"split {report['split']}" if report["split"] else "all splits"
    counted = f"{report['questions']:,} questions about {report['photos']:,} photos"
    return f"{report['model']}: {counted} of {report['data']}, {split}"
