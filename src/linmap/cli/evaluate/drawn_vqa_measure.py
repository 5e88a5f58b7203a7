"""From the options of `linmap evaluate vqa` to the report about a CLIPPO classifier over answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from linmap.cli.evaluate.drawn_vqa import (
    BEST,
    FREQUENT,
    FREQUENT_OF_TYPE,
    NO_SHOTS,
    answer_drawn,
    answers_in,
    classifier_folder,
    drawn_run,
    load_classifier,
)

if TYPE_CHECKING:
    from linmap.data.images import UnreadableImages
    from linmap.data.questions import VisualQuestion
    from linmap.evaluation.answerers import AnswererScores

__all__ = ["measure_drawn", "refuse_shots"]

OF_PROMPTS = ("shots", "dtype", "seed")


def refuse_shots(context: typer.Context) -> None:
    """Refuses the options that mean nothing to a classifier.

    Raises:
        BadParameter: One was given.
    """
    for name in OF_PROMPTS:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(
                f"--{name} belongs to language models; --clippo reads one picture and chooses an answer. Leave it out."
            )


def measure_drawn(
    context: typer.Context,
    name: str,
    asked: Sequence[VisualQuestion],
    pool: Sequence[VisualQuestion] | None,
    facts: dict[str, Any],
    unreadable: UnreadableImages,
    *,
    output: Path | None,
    limit: int | None,
    sets: int,
    controls: bool,
    batch_size: int,
    device: str,
) -> tuple[dict[str, Any], AnswererScores]:
    """Answers, scores, and what is told of both.

    Args:
        context: Of the command.
        name: Folder of the classifier, or its name on the Hub.
        asked: The questions.
        pool: Those it learned from, in which answers are counted; None where that is not said.
        facts: What the report says of data, split and support data.
        unreadable: Counts photos that cannot be read.
        output: Where answers are kept; None keeps them in memory.
        limit: Only the first photos.
        sets: Sets that photos are dealt out to in turn, for standard errors.
        controls: Whether there are any.
        batch_size: Questions at a time.
        device: As in `--device`.

    Returns:
        The report, and the scores it was made of.

    Raises:
        LinmapError: The model, a photo or the device is not to be had; the message says which.
    """
    from linmap.cli.evaluate.captioners import model_digest
    from linmap.cli.evaluate.drawn_vqa_report import entries_of
    from linmap.cli.study.options import command_line
    from linmap.evaluation.answerers import score_answerers
    from linmap.evaluation.closed_answers import AnswerSet, FrequentAnswers
    from linmap.evaluation.vqa import score_answers, vqa_metrics_for
    from linmap.evaluation.written_answers import WrittenAnswers

    folder = classifier_folder(name)
    answers = answers_in(folder)
    chosen_among = AnswerSet(answers) if controls else None  # two that are one are refused before the work
    run = drawn_run(asked, limit=limit, controls=controls, batch=batch_size)
    metrics = vqa_metrics_for([one.answers for one in run.questions])
    score_answers(["desk"], [["desk"] * 10], metrics)  # WordNet is fetched before the work, not after it
    shared = {one.photo for one in pool or ()} & set(run.photos)
    identity = {"model": model_digest(folder), "questions": facts.pop("digest"), "photos": len(run.photos)}
    written = WrittenAnswers(None if output is None else output / "answers.jsonl", identity)
    scored = answer_drawn(lambda: load_classifier(folder, device), run, written, unreadable)
    questions, references = [one.question for one in scored], [one.answers for one in scored]
    rows = {row: [written.answers[row, NO_SHOTS][one.key] for one in scored] for row in run.passes}
    if controls and pool:
        frequent = FrequentAnswers([one.question for one in pool], [one.answers for one in pool])
        rows[FREQUENT] = [frequent.overall] * len(scored)
        rows[FREQUENT_OF_TYPE] = [frequent.of_type(question) for question in questions]
    if chosen_among is not None:
        best = chosen_among.targets(references).argmax(axis=1)
        rows[BEST] = [answers[place] for place in best]
    dealt = {photo: number % sets for number, photo in enumerate(dict.fromkeys(one.photo for one in scored))}
    scores = score_answerers(rows, questions, references, metrics, [dealt[one.photo] for one in scored])
    report = {
        **entries_of(scores),
        "metrics": list(metrics),
        "control": "all" if controls else None,
        **facts,
        "questions": len(scored),
        "photos": len(dealt),
        "left_out": len(unreadable.errors),
        "learned_from": len(shared),
        "sets": len(set(dealt.values())),
        "answers": len(answers),
        "model": name,
        "command": command_line(context),
    }
    return report, scores
