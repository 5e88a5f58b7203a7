"""Scores of answers to questions about photos, by number of solved examples: tables as the paper's, and a plot."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from linmap.errors import EvaluationError, UnknownNameError
from linmap.evaluation.drawing import new_figure, save_figure
from linmap.evaluation.vqa_accuracy import exact_match, vqa_accuracy
from linmap.evaluation.wups import wups

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["VQA_METRICS", "AnswersScore", "plot_vqa", "score_answers", "vqa_metrics_for", "vqa_table"]

VQA_METRICS = ("VQA accuracy", "exact match", "WUPS 0.9", "WUPS 0.0")
PEOPLE = 10
"""Answers a question has in VQAv2, over which VQA accuracy is defined."""


@dataclass(frozen=True, slots=True)
class AnswersScore:
    """What one captioner scores with a number of solved examples.

    Args:
        value: Mean over all questions, 0 to 100.
        by_support: The same over the questions behind each set of examples, in their order.
    """

    value: float
    by_support: tuple[float, ...]

    @property
    def error(self) -> float | None:
        """Standard error of the mean over the sets, each with photos of its own; None of fewer than two."""
        if len(self.by_support) < 2:
            return None
        return statistics.stdev(self.by_support) / len(self.by_support) ** 0.5


def vqa_metrics_for(references: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """VQA accuracy where every question was answered by ten people, else exact match and WUPS at both thresholds.

    Example:
        >>> vqa_metrics_for([["yes"] * 10]), vqa_metrics_for([["desk"], ["2"]])
        (('VQA accuracy',), ('exact match', 'WUPS 0.9', 'WUPS 0.0'))
    """
    return VQA_METRICS[:1] if all(len(answers) >= PEOPLE for answers in references) else VQA_METRICS[1:]


def score_answers(
    answers: Sequence[str],
    references: Sequence[Sequence[str]],
    metrics: Sequence[str],
    supports: Sequence[int] | None = None,
) -> dict[str, AnswersScore]:
    """Scores one answer a question.

    Args:
        answers: May be empty texts, which are wrong.
        references: For each question what people answered.
        metrics: Some of `VQA_METRICS`.
        supports: For each question the number of its set of solved examples; None is one set.

    Raises:
        UnknownNameError: No such metric.
        EvaluationError: See `vqa_accuracy`, `exact_match` and `wups`.
        WeightsUnavailableError: WUPS needs WordNet, which is not to be had.

    Example:
        >>> scores = score_answers(["a desk", "3"], [["desk"], ["2"]], ["exact match"], supports=[0, 1])
        >>> scores["exact match"].value, scores["exact match"].by_support
        (50.0, (100.0, 0.0))
    """
    supports = [0] * len(answers) if supports is None else supports
    if len(supports) != len(answers):
        raise EvaluationError(f"{len(supports)} numbers of sets were given for {len(answers)} answers; give one each.")
    found = {}
    for metric in metrics:
        each = _per_question(answers, references, metric)
        parts: dict[int, list[float]] = {number: [] for number in sorted(set(supports))}
        for number, value in zip(supports, each, strict=True):
            parts[number].append(value)
        found[metric] = AnswersScore(statistics.fmean(each), tuple(map(statistics.fmean, parts.values())))
    return found


def _per_question(answers: Sequence[str], references: Sequence[Sequence[str]], metric: str) -> Sequence[float]:
    if metric == "VQA accuracy":
        return vqa_accuracy(answers, references).per_question
    if metric == "exact match":
        return exact_match(answers, references).per_question
    if metric in VQA_METRICS:
        return wups(answers, references, float(metric.removeprefix("WUPS "))).per_question
    raise UnknownNameError("metric of answers", metric, VQA_METRICS)


def vqa_table(metric: str, rows: Mapping[str, Mapping[int, AnswersScore]]) -> Table:
    """One row a model, one column a number of shots, as in the paper; for `rich.print`.

    Args:
        metric: Its heading.
        rows: For each row its scores by number of shots.
    """
    from rich import box
    from rich.table import Table

    table = Table(metric, box=box.SIMPLE_HEAD)
    for shots in next(iter(rows.values())):
        table.add_column(f"{shots} shots" if shots != 1 else "1 shot", justify="right")
    for name, scores in rows.items():
        table.add_row(name, *map(shown, scores.values()))
    return table


def shown(score: AnswersScore) -> str:
    """A score in a table, with its error where there is one.

    Example:
        >>> shown(AnswersScore(21.3, (20.0, 22.6)))
        '21.3 ± 1.3'
    """
    return f"{score.value:.1f}" if score.error is None else f"{score.value:.1f} ± {score.error:.1f}"


def plot_vqa(scores: Mapping[str, Mapping[str, Mapping[int, AnswersScore]]], path: str | Path) -> None:
    """A curve for each row over the number of shots, one picture a metric, side by side.

    Args:
        scores: For each metric the rows, for each row its scores by number of shots.
        path: Where the PNG goes; replaced in one move.

    Raises:
        EvaluationError: The file cannot be written.
    """
    figure = new_figure(max(4.5, 3.4 * len(scores)), 3.6)
    for axes, (metric, rows) in zip(figure.subplots(1, len(scores), squeeze=False)[0], scores.items(), strict=True):
        for name, row in rows.items():
            values, errors = [one.value for one in row.values()], [one.error or 0.0 for one in row.values()]
            style = {"color": "grey", "linestyle": ":"} if name == "blind" else {}
            places = range(len(row))
            axes.errorbar(places, values, errors, marker="o", capsize=3, markersize=3, label=name, **style)
        axes.set_xticks(range(len(row)), [str(shots) for shots in row])
        axes.set(xlabel="shots", ylabel=f"{metric} (%)")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    save_figure(figure, path)
