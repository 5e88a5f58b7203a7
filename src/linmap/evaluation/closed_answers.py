"""Answering by choosing: the answers there are to choose among, what each would score, and the most frequent one.

A classifier over a closed set of answers cannot give any other; what the best answer of the set would score is the
most that it can reach.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Self

import numpy as np

from linmap.errors import EvaluationError
from linmap.evaluation.vqa_accuracy import exact_match, normalise_answer, require_answers, vqa_accuracy

__all__ = ["AnswerSet", "FrequentAnswers", "question_type"]

MANY = 4
"""Answers from which on `vqa_accuracy` is defined; with fewer a right answer is one of them."""
WORDS = 2
"""Words at the start of a question that make its type: "how many", "what color"."""


class AnswerSet:
    """The answers that a classifier chooses among.

    Answers that are one in the form of `normalise_answer` are one answer.

    Args:
        answers: In words, at least one.

    Raises:
        EvaluationError: There is none, or two are one.

    Example:
        >>> answers = AnswerSet.given([["desk"], ["a lamp"], ["lamp"]])
        >>> answers.answers, answers.targets([["Lamp"], ["cat"]]).tolist()
        (['a lamp', 'desk'], [[1.0, 0.0], [0.0, 0.0]])
    """

    def __init__(self, answers: Sequence[str]) -> None:
        self.answers = list(answers)
        if not self.answers:
            raise EvaluationError("There is no answer to choose among; give at least one.")
        self._places: dict[str, int] = {}
        for place, answer in enumerate(self.answers):
            first = self._places.setdefault(_form(answer), place)
            if first != place:
                raise EvaluationError(
                    f"The answers {self.answers[first]!r} and {answer!r} are one answer; take one of them out."
                )

    @classmethod
    def given(cls, references: Sequence[Sequence[str]], at_least: int = 1, at_most: int | None = None) -> Self:
        """The answers that people gave, the one that would score most over all questions first.

        Args:
            references: For each question what people answered. An answer keeps the words in which it comes first.
            at_least: Questions to which an answer must have been given by somebody.
            at_most: How many are kept; None keeps all. With VQAv2's train and validation questions 3,129 are usual.

        Raises:
            EvaluationError: No answer is left, or a question has none.
        """
        words: dict[str, str] = {}
        worth: dict[str, float] = defaultdict(float)
        given: dict[str, int] = defaultdict(int)
        for texts in references:
            for form, (text, score) in _scored(texts).items():
                words.setdefault(form, text)
                worth[form] += score
                given[form] += 1
        kept = [form for form in sorted(words, key=lambda form: -worth[form]) if given[form] >= at_least][:at_most]
        if not kept:
            raise EvaluationError(
                f"None of the {len(words)} answers was given to {at_least} questions or more; ask for fewer (at_least)."
            )
        return cls([words[form] for form in kept])

    def targets(self, references: Sequence[Sequence[str]]) -> np.ndarray:
        """What each answer would score on each question: the soft targets of a classifier.

        Args:
            references: For each question what people answered. Of four people or more (VQAv2: ten), an answer is worth
                its `vqa_accuracy`; of fewer, 1 where it is one of them (`exact_match`).

        Returns:
            (questions, answers) float32 in [0, 1]; a question with no answer in the set has a row of zeros.

        Raises:
            EvaluationError: A question has no answer.
        """
        targets = np.zeros((len(references), len(self.answers)), dtype=np.float32)
        for row, texts in enumerate(references):
            for form, (_, score) in _scored(texts).items():
                if form in self._places:
                    targets[row, self._places[form]] = score
        return targets


def question_type(question: str) -> str:
    """The first two words of a question, in lower case.

    Example:
        >>> question_type("What colour is the sofa?")
        'what colour'
    """
    return " ".join(question.lower().split()[:WORDS])


class FrequentAnswers:
    """The answer that would have scored most on the questions it is made of: over all, and of each type.

    Two answerers that look at no photo: a classifier worth having is above both.

    Args:
        questions: At least one.
        references: For each what people answered.

    Raises:
        EvaluationError: The numbers differ, or there is no question.

    Example:
        >>> frequent = FrequentAnswers(["how many dogs?", "how many?", "what is it?"], [["2"], ["2"], ["a dog"]])
        >>> frequent.overall, frequent.of_type("What is this?"), frequent.of_type("who is this?")
        ('2', 'a dog', '2')
    """

    def __init__(self, questions: Sequence[str], references: Sequence[Sequence[str]]) -> None:
        require_answers(questions, references)
        self.overall = AnswerSet.given(references).answers[0]
        by_type: dict[str, list[Sequence[str]]] = defaultdict(list)
        for question, texts in zip(questions, references, strict=True):
            by_type[question_type(question)].append(texts)
        self._of_type = {kind: AnswerSet.given(texts).answers[0] for kind, texts in by_type.items()}

    def of_type(self, question: str) -> str:
        """The most frequent answer to questions of its type, over all where none was met."""
        return self._of_type.get(question_type(question), self.overall)


def _form(answer: str) -> str:
    """What tells answers apart: of several things, apart by commas, the set."""
    return ", ".join(sorted(filter(None, map(normalise_answer, answer.split(","))))) or answer.strip().lower()


def _scored(texts: Sequence[str]) -> dict[str, tuple[str, float]]:
    """Each answer of a question: its words, and what it would score, 0 to 1."""
    require_answers([""], [texts])
    forms: dict[str, str] = {}
    for text in texts:
        forms.setdefault(_form(text), text.strip())
    metric = vqa_accuracy if len(texts) >= MANY else exact_match
    scores = metric(list(forms.values()), [texts] * len(forms)).per_question
    return {form: (text, score / 100) for (form, text), score in zip(forms.items(), scores, strict=True)}
