"""The texts of few-shot questions about photos: the paper's prompt, solved examples, and the answer behind them."""

from __future__ import annotations

__all__ = ["NEXT_QUESTION", "answer_is_complete", "cut_answer", "question_prompt", "solved_prompt"]

NEXT_QUESTION = "Q:"


def question_prompt(question: str, image: str = "") -> str:
    """The paper's form of a question (section 4.2), the image in front of it.

    Example:
        >>> question_prompt("what is on the desk?", image="<image>")
        '<image>Q: what is on the desk? A:'
    """
    return f"{image}{NEXT_QUESTION} {' '.join(question.split())} A:"


def solved_prompt(question: str, answer: str, image: str = "") -> str:
    r"""A question with its answer, which ends with the line.

    Example:
        >>> solved_prompt("what is on the desk?", "a book")
        'Q: what is on the desk? A: a book\n'
    """
    return f"{question_prompt(question, image)} {' '.join(answer.split())}\n"


def cut_answer(text: str) -> str:
    r"""The answer in a continuation: what stands before the end of its first line, and before another question.

    Example:
        >>> cut_answer(" a red chair\nQ: what is on the desk?")
        'a red chair'
    """
    return text.strip().partition("\n")[0].partition(NEXT_QUESTION)[0].strip()


def answer_is_complete(text: str) -> bool:
    r"""Whether nothing that follows a continuation can change the answer in it.

    Example:
        >>> answer_is_complete(" a red"), answer_is_complete(" a red chair\n")
        (False, True)
    """
    return "\n" in text.lstrip() or NEXT_QUESTION in text
