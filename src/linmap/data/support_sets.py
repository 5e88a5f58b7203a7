"""Solved examples for few-shot questions: drawn by a seed, about photos that no scored question is about."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from linmap.data.questions import VisualQuestion
from linmap.errors import QuestionDataError

__all__ = ["SupportSet", "draw_supports"]


@dataclass(frozen=True, slots=True)
class SupportSet:
    """Solved examples, and the questions that are asked behind them.

    Args:
        examples: As many as the most shots, each about a photo of its own; n shots take the first n.
        questions: All questions of some photos.
    """

    examples: tuple[VisualQuestion, ...]
    questions: tuple[VisualQuestion, ...]


def draw_supports(
    questions: Sequence[VisualQuestion],
    shots: int,
    supports: int = 1,
    seed: int = 0,
    *,
    pool: Sequence[VisualQuestion] | None = None,
    limit: int | None = None,
) -> list[SupportSet]:
    """Draws `supports` sets of solved examples, and deals the photos that are asked about out to them in turn.

    Photos are drawn evenly, and of each photo one of its questions, so that a photo with many questions is no likelier.
    No two examples are about one photo. No question is asked about the photo of an example of any set.

    Args:
        questions: What is asked.
        shots: Examples of a set; 0 draws none.
        supports: How many sets; the mean over several depends less on one draw.
        seed: Of the draw.
        pool: Where examples are drawn from, such as the train split; None draws from `questions` themselves.
        limit: Ask only about the first photos that are left.

    Raises:
        QuestionDataError: There are too few photos to draw from, or no question is left to ask.

    Example:
        >>> about = lambda photo: VisualQuestion(photo, f"{photo}.jpg", photo, "what is it?", ("a dog",), "a dog")
        >>> (support,) = draw_supports([about("a"), about("b"), about("c")], shots=2)
        >>> len(support.examples), len(support.questions)
        (2, 1)
    """
    if supports < 1 or shots < 0:
        raise QuestionDataError(f"{supports} sets of {shots} examples cannot be drawn; give at least 1 set of 0.")
    by_photo = _by_photo(questions if pool is None else pool)
    needed = supports * shots
    if needed > len(by_photo):
        raise QuestionDataError(
            f"{supports} sets of {shots} examples need {needed} photos, and there are {len(by_photo)} to draw from; "
            "take fewer sets or fewer shots."
        )
    draw = random.Random(seed)
    photos = draw.sample(list(by_photo), needed)
    drawn = [draw.choice(by_photo[photo]) for photo in photos]
    asked = {photo: about for photo, about in _by_photo(questions).items() if photo not in set(photos)}
    dealt = list(asked.values())[:limit]
    if not dealt:
        raise QuestionDataError(
            "Every photo that is asked about is one of a solved example, so no question is left to ask; give more "
            "photos, or take fewer sets or fewer shots."
        )
    return [
        SupportSet(
            tuple(drawn[number * shots : (number + 1) * shots]),
            tuple(question for about in dealt[number::supports] for question in about),
        )
        for number in range(supports)
    ]


def _by_photo(questions: Sequence[VisualQuestion]) -> dict[str, list[VisualQuestion]]:
    found: dict[str, list[VisualQuestion]] = {}
    for question in questions:
        found.setdefault(question.photo, []).append(question)
    return found
