"""Answering by choosing: the answers there are to choose among, what each would score, and the most frequent one.

A classifier over a closed set of answers cannot give any other; what the best answer of the set would score is the
most that it can reach.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from linmap.errors import EvaluationError
from linmap.evaluation.vqa_accuracy import exact_match, normalise_answer, require_answers, vqa_accuracy

__all__ = ["FrequentAnswers", "answer_set", "answer_targets", "question_type"]

MANY = 4
"""Answers from which on `vqa_accuracy` is defined; with fewer a right answer is one of them."""
WORDS = 2
"""Words at the start of a question that make its type: "how many", "what color"."""


def answer_set(references: Sequence[Sequence[str]], at_least: int = 1, at_most: int | None = None) -> list[str]:
    """The answers that people gave, the one that would score most over all questions first.

    Answers that are one in the form of `normalise_answer` are one answer, in the words in which it was met first.

    Args:
        references: For each question what people answered.
        at_least: Questions to which an answer must have been given by somebody.
        at_most: How many are kept; None keeps all. With VQAv2's train and validation questions 3,129 are usual.

    Raises:
        EvaluationError: No answer is left, or a question has none.

    Example:
        >>> answer_set([["desk"], ["a lamp"], ["lamp"]]), answer_set([["desk"], ["a lamp"], ["lamp"]], at_least=2)
        (['a lamp', 'desk'], ['a lamp'])
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
            f"None of the {len(words)} answers was given to {at_least} questions or more; take fewer (at_least)."
        )
    return [words[form] for form in kept]


def answer_targets(references: Sequence[Sequence[str]], answers: Sequence[str]) -> np.ndarray:
    """What each answer of a set would score on each question: the soft targets of a classifier.

    Args:
        references: For each question what people answered. Of four people or more (VQAv2: ten), an answer is worth
            its `vqa_accuracy`; of fewer, 1 where it is one of them (`exact_match`).
        answers: The set.

    Returns:
        (questions, answers) float32 in [0, 1]; a question whose answers are all outside the set has a row of zeros.

    Raises:
        EvaluationError: Two answers of the set are one in the form of `normalise_answer`, or a question has none.

    Example:
        >>> answer_targets([["red"], ["blue"] * 2 + ["red"] * 8, ["green"]], ["red", "blue"]).tolist()
        [[1.0, 0.0], [1.0, 0.6000000238418579], [0.0, 0.0]]
    """
    places = {_form(answer): place for place, answer in enumerate(answers)}
    if len(places) != len(answers):
        twice = next(answer for place, answer in enumerate(answers) if places[_form(answer)] != place)
        raise EvaluationError(
            f"The set holds the answer {twice!r} twice, in one form or another; take one of them out."
        )
    targets = np.zeros((len(references), len(answers)), dtype=np.float32)
    for row, texts in enumerate(references):
        for form, (_, score) in _scored(texts).items():
            if form in places:
                targets[row, places[form]] = score
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
        self.overall = answer_set(references)[0]
        by_type: dict[str, list[Sequence[str]]] = defaultdict(list)
        for question, texts in zip(questions, references, strict=True):
            by_type[question_type(question)].append(texts)
        self._of_type = {kind: answer_set(texts)[0] for kind, texts in by_type.items()}

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
