"""WUPS: accuracy of answers that forgives near words (Malinowski and Fritz, arXiv 1410.0210, section 4)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from linmap.errors import EvaluationError
from linmap.evaluation.vqa_accuracy import require_answers, right_answers
from linmap.evaluation.wordnet import synsets, wu_palmer

__all__ = ["WupsScore", "wups"]

BELOW = 0.1  # what a likeness below the threshold is multiplied with


@dataclass(frozen=True, slots=True)
class WupsScore:
    """A WUPS score.

    Args:
        value: Mean over the questions, 0 to 100.
        per_question: The same for each question, in order.
        threshold: Of the likeness, 0 to 1; part of the score's name, as in "WUPS 0.9".
        unknown: The things in the answers that WordNet does not know, sorted; they score only where they are the right
            word itself.
    """

    value: float
    per_question: tuple[float, ...]
    threshold: float
    unknown: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.value:.2f}"


def wups(answers: Sequence[str], references: Sequence[str | Sequence[str]], threshold: float = 0.9) -> WupsScore:
    """Scores answers by how near their words are to the right ones in WordNet.

    An answer is a set of things, apart by commas. Of an answer A and a right one T, with wup(a, t) 1 where they are the
    same word and else the likeness `wordnet.wu_palmer`, times 0.1 where that is below the threshold:
    min(product over A of the most over T, product over T of the most over A). Before, things are brought into lower
    case without articles in front and signs behind, which changes nothing in DAQUAR's own answers.

    Args:
        answers: One answer a question; an empty one scores 0.
        references: For each question its right answer, or several, of which the nearest counts (the minimum consensus
            of Malinowski et al., arXiv 1505.01121).
        threshold: 0.9 and 0.0 are what papers report; 0 to 1.

    Raises:
        EvaluationError: As `exact_match`, or no such threshold.
        WeightsUnavailableError: WordNet is not in the cache and the package index cannot be reached.

    Example:
        >>> wups(["couch", "a cat"], ["sofa", "dog"]).per_question[0]
        100.0
        >>> [round(wups(["a cat"], ["dog"], threshold).value, 2) for threshold in (0.9, 0.0)]
        [8.57, 85.71]
    """
    require_answers(answers, references)
    if not 0 <= threshold <= 1:
        raise EvaluationError(f"The threshold of WUPS is a likeness, 0 to 1; found {threshold}.")
    ours = [_things(answer) for answer in answers]
    per_question = tuple(
        100 * max(_score(things, _things(text), threshold) for text in right_answers(reference))
        for things, reference in zip(ours, references, strict=True)
    )
    unknown = sorted({thing for things in ours for thing in things if _names_a_sense(thing) or not synsets(thing)})
    return WupsScore(sum(per_question) / len(per_question), per_question, float(threshold), tuple(unknown))


def _things(answer: str) -> list[str]:
    things = [" ".join(part.lower().replace("_", " ").split()).strip(" .!?;:\"'") for part in answer.split(",")]
    return [thing for thing in (re.sub(r"^(a|an|the) ", "", thing) for thing in things) if thing]


def _score(ours: Sequence[str], theirs: Sequence[str], threshold: float) -> float:
    if not ours or not theirs:
        return 0.0
    covered = math.prod(max(_near(one, other, threshold) for other in theirs) for one in ours)
    found = math.prod(max(_near(other, one, threshold) for one in ours) for other in theirs)
    return min(covered, found)


def _near(one: str, other: str, threshold: float) -> float:
    if one == other:
        return 1.0
    likeness = 0.0 if _names_a_sense(one) or _names_a_sense(other) else wu_palmer(one, other)
    return likeness if likeness >= threshold else BELOW * likeness


def _names_a_sense(thing: str) -> bool:
    """Whether `wordnet` would take the thing for the name of a sense, which no answer means."""
    return ".n." in thing
