"""Answerers side by side: a model and its controls on the same questions, their differences, and types of questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from linmap.errors import EvaluationError
from linmap.evaluation.closed_answers import question_type
from linmap.evaluation.drawing import new_figure, save_figure
from linmap.evaluation.vqa import AnswersScore, score_answers

__all__ = ["AnswererScores", "TypeScores", "plot_answerers", "score_answerers"]


@dataclass(frozen=True, slots=True)
class TypeScores:
    """What answerers score on the questions of one type.

    Args:
        name: The first words of the questions.
        questions: How many there are.
        scores: By answerer, in the first metric, 0 to 100.
    """

    name: str
    questions: int
    scores: dict[str, float]


@dataclass(frozen=True, slots=True)
class AnswererScores:
    """What answerers score on the same questions.

    Args:
        rows: By answerer and metric.
        above: What the first answerer has above each other one, by answerer and metric, set by set.
        by_type: The most frequent types of questions.
    """

    rows: dict[str, dict[str, AnswersScore]]
    above: dict[str, dict[str, AnswersScore]]
    by_type: list[TypeScores]


def score_answerers(
    answers: Mapping[str, Sequence[str]],
    questions: Sequence[str],
    references: Sequence[Sequence[str]],
    metrics: Sequence[str],
    sets: Sequence[int],
    types: int = 5,
) -> AnswererScores:
    """Scores several answerers on the same questions.

    Args:
        answers: By the name of the answerer, the one that is measured first: an answer a question.
        questions: At least one.
        references: For each what people answered.
        metrics: Some of `VQA_METRICS`; the first one scores types.
        sets: For each question the number of its set: errors are those of the mean over sets, which should share no
            photo. A difference is taken in each set first, so that what makes a set hard for all does not count.
        types: How many types of questions, the most frequent ones.

    Raises:
        EvaluationError: The numbers differ, or there is nothing to score.
        UnknownNameError: No such metric.
        WeightsUnavailableError: WUPS needs WordNet, which is not to be had.

    Example:
        >>> answers = {"model": ["2", "desk"], "always 2": ["2", "2"]}
        >>> found = score_answerers(answers, ["how many?", "what is it?"], [["2"], ["desk"]], ["exact match"], [0, 1])
        >>> found.above["always 2"]["exact match"].value, found.by_type[0].scores
        (50.0, {'model': 100.0, 'always 2': 100.0})
    """
    if not answers or not metrics or len(questions) != len(references):
        raise EvaluationError(
            f"{len(answers)} answerers, {len(metrics)} metrics, {len(questions)} questions and {len(references)} lists "
            "of right answers: give one answerer and one metric or more, and as many lists as questions."
        )
    rows = {name: score_answers(given, references, metrics, sets) for name, given in answers.items()}
    first, *others = rows
    above = {
        name: {metric: _difference(rows[first][metric], rows[name][metric]) for metric in metrics} for name in others
    }
    kinds = [question_type(question) for question in questions]
    by_type = []
    for name, count in Counter(kinds).most_common(types):
        places = [place for place, kind in enumerate(kinds) if kind == name]
        right = [references[place] for place in places]
        scores = {
            row: score_answers([given[place] for place in places], right, metrics[:1])[metrics[0]].value
            for row, given in answers.items()
        }
        by_type.append(TypeScores(name, count, scores))
    return AnswererScores(rows, above, by_type)


def _difference(one: AnswersScore, other: AnswersScore) -> AnswersScore:
    pairs = zip(one.by_support, other.by_support, strict=True)
    return AnswersScore(one.value - other.value, tuple(a - b for a, b in pairs))


def plot_answerers(rows: Mapping[str, Mapping[str, AnswersScore]], path: str | Path) -> None:
    """A bar for each answerer with its error, one picture a metric, side by side.

    Args:
        rows: By answerer and metric, the one that is measured first.
        path: Where the PNG goes; replaced in one move.

    Raises:
        EvaluationError: The file cannot be written.
    """
    metrics = list(next(iter(rows.values())))
    figure = new_figure(max(6.0, 3.4 * len(metrics)), 1.2 + 0.4 * len(rows))
    for axes, metric in zip(figure.subplots(1, len(metrics), squeeze=False, sharey=True)[0], metrics, strict=True):
        scores = [row[metric] for row in rows.values()]
        colors = ["tab:blue", *["grey"] * (len(rows) - 1)]
        axes.barh(list(rows), [one.value for one in scores], xerr=[one.error or 0.0 for one in scores], color=colors)
        axes.set(xlabel=f"{metric} (%)")
        axes.set_xlim(left=0)
        axes.grid(alpha=0.3, axis="x")
    figure.axes[0].invert_yaxis()  # the model on top; the axes share it
    save_figure(figure, path)
