"""The accuracy of visual question answering: answers in one form, and the rule over ten people's answers.

Antol et al., "VQA: Visual Question Answering" (arXiv 1505.00468), section 5 and the evaluation code that came with it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from linmap.errors import EvaluationError

__all__ = ["ExactMatchScore", "VqaScore", "exact_match", "normalise_answer", "require_answers", "vqa_accuracy"]

# The tables of the evaluation code. A contraction is also known where one of its apostrophes is missing.
NUMBERS = {"none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5"}
NUMBERS |= {"six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10"}
ARTICLES = frozenset({"a", "an", "the"})
SIGNS = ';/[]"{}()=+\\_-><@`,?!'
CONTRACTIONS = """
'ow's'at 'twas ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't
he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't mightn't've must've mustn't
needn't not've o'clock oughtn't shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's
someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've there're
there's they'd they'd've they'll they're they've wasn't we'd've we've weren't what'll what're what's what've when's
where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't wouldn't've
y'all y'all'd've y'all'll you'd you'd've you'll you're you've
"""
APOSTROPHES = {
    word[:at] + word[at + 1 :]: word for word in CONTRACTIONS.split() for at, sign in enumerate(word) if sign == "'"
}
APOSTROPHES["somebody'd"] = "somebodyd"  # sic, in the evaluation code


@dataclass(frozen=True, slots=True)
class VqaScore:
    """VQA accuracy.

    Args:
        value: Mean over the questions, 0 to 100.
        per_question: The same for each question, in order.
    """

    value: float
    per_question: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.value:.2f}"


@dataclass(frozen=True, slots=True)
class ExactMatchScore:
    """Answers that are a right one.

    Args:
        value: Share of the questions, 0 to 100.
        per_question: 0 or 100 for each question, in order.
    """

    value: float
    per_question: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.value:.2f}"


def normalise_answer(text: str) -> str:
    """An answer in the form in which the VQA evaluation compares answers.

    Lower case; no full stops but in decimals; no articles; numbers up to ten as digits ("none" too, as 0); contractions
    with their apostrophes; punctuation, other than apostrophes and colons, taken out where a space is beside that sign
    somewhere in the answer or where digits are grouped by commas, else replaced by a space.

    Args:
        text: An answer.

    Returns:
        The same, words apart by one space; may be empty.

    Example:
        >>> normalise_answer("The two dogs, dont run!"), normalise_answer("T-shirt"), normalise_answer("1,000")
        ("2 dogs don't run", 't shirt', '1000')
    """
    text = " ".join(text.split())
    grouped = re.search(r"\d,\d", text) is not None
    found = text
    for sign in SIGNS:
        goes = grouped or f"{sign} " in text or f" {sign}" in text
        found = found.replace(sign, "" if goes else " ")
    found = re.sub(r"\.(?!\d)", "", found)
    words = [NUMBERS.get(word, word) for word in found.lower().split()]
    return " ".join(APOSTROPHES.get(word, word) for word in words if word not in ARTICLES)


def vqa_accuracy(answers: Sequence[str], references: Sequence[Sequence[str]]) -> VqaScore:
    """Scores answers against what ten people answered: min(matches / 3, 1), averaged over all subsets of nine people.

    With ten people, an answer that 0, 1, 2, 3, 4 or more of them gave scores 0, 30, 60, 90, 100. Both the answers and
    the people's are brought into the form of `normalise_answer`. The evaluation code does less to people's answers
    (punctuation only, and that only where they differ), so that nobody can match a person's "none" or "on the table";
    where people's answers are in that form already, as nearly all of VQAv2 are, the two agree.

    Args:
        answers: One answer a question.
        references: For each question the people's answers, at least four, in VQAv2 ten.

    Raises:
        EvaluationError: The numbers differ, there is no question, or one has fewer than four answers (no answer could
            reach 100; `exact_match` is for these).

    Example:
        >>> score = vqa_accuracy(["Yes.", "two"], [["yes"] * 10, ["2"] * 2 + ["3"] * 8])
        >>> score.value, tuple(round(value, 6) for value in score.per_question)
        (80.0, (100.0, 60.0))
    """
    require_answers(answers, references)
    for number, texts in enumerate(references):
        if isinstance(texts, str) or len(texts) < 4:
            raise EvaluationError(
                f"VQA accuracy needs the answers of at least four people to a question (VQAv2 has ten); question "
                f"{number} has {texts!r:.80}. With fewer, take `exact_match`."
            )
    rows = zip(answers, references, strict=True)
    per_question = tuple(_accuracy(answer, [normalise_answer(text) for text in texts]) for answer, texts in rows)
    return VqaScore(sum(per_question) / len(per_question), per_question)


def _accuracy(answer: str, people: Sequence[str]) -> float:
    given = people.count(normalise_answer(answer))
    without_match, with_match = min(given / 3, 1), min((given - 1) / 3, 1)  # a subset lacks one who did not, who did
    return 100 * ((len(people) - given) * without_match + given * with_match) / len(people)


def exact_match(answers: Sequence[str], references: Sequence[str | Sequence[str]]) -> ExactMatchScore:
    """The share of answers that are a right one, in the form of `normalise_answer`.

    An answer of several things, apart by commas, is a set: "chair, table" is "table,chair" (Malinowski and Fritz,
    arXiv 1410.0210, as in `wups`).

    Args:
        answers: One answer a question; an empty one matches nothing.
        references: For each question its right answer, or several, of which one is enough.

    Raises:
        EvaluationError: The numbers differ, there is no question, or one has no right answer.

    Example:
        >>> exact_match(["The table, a chair.", "red"], ["chair, table", ["blue", "green"]]).value
        50.0
    """
    require_answers(answers, references)
    rows = zip(answers, references, strict=True)
    per_question = tuple(
        100.0 * any(_things(answer) == _things(text) for text in right_answers(one)) for answer, one in rows
    )
    return ExactMatchScore(sum(per_question) / len(per_question), per_question)


def _things(answer: str) -> frozenset[str]:
    return frozenset(filter(None, map(normalise_answer, answer.split(","))))


def right_answers(reference: str | Sequence[str]) -> Sequence[str]:
    """A question's right answers, where one alone may stand for a list."""
    return [reference] if isinstance(reference, str) else reference


def require_answers(answers: Sequence[str], references: Sequence[str | Sequence[str]]) -> None:
    """Refuses what cannot be scored.

    Raises:
        EvaluationError: The numbers differ, there is no question, an answer is no text, or a question has no right
            answer.
    """
    if len(answers) != len(references):
        raise EvaluationError(f"{len(answers)} answers to {len(references)} questions; give one answer a question.")
    if not answers:
        raise EvaluationError("There is no question, so there is nothing to score; give at least one.")
    for number, (answer, reference) in enumerate(zip(answers, references, strict=True)):
        texts = right_answers(reference)
        if not isinstance(answer, str):
            raise EvaluationError(f"The answer to question {number} must be a text; found {answer!r:.80}.")
        listed = isinstance(texts, Sequence) and len(texts) > 0
        if not listed or not all(isinstance(text, str) and text.strip() for text in texts):
            raise EvaluationError(
                f"Question {number} needs at least one right answer, in words; found {reference!r:.80}."
            )
