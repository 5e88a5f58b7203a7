"""The formats of files of questions about photos: VQAv2's two files, and one list as DAQUAR's answers are kept here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linmap.data.text_files import read_json
from linmap.errors import QuestionDataError

__all__ = ["QuestionRecord", "answer_texts", "question_records"]


@dataclass(frozen=True, slots=True)
class QuestionRecord:
    """One question as it stands in a file.

    Args:
        key: Its name in errors and results.
        names: What the photo's file may be called, the likeliest first.
        question: The question.
        answers: The answers.
        shown: The answer that stands for all.
        split: Where the file names one.
    """

    key: str
    names: tuple[str, ...]
    question: Any
    answers: Sequence[Any]
    shown: Any = None
    split: Any = None


def question_records(path: Path, annotations: Path | None) -> list[QuestionRecord]:
    """The records of a questions file, in its order; see `read_questions`."""
    content = _json(path)
    if isinstance(content, dict) and isinstance(content.get("questions"), list):
        if annotations is None:
            raise QuestionDataError(
                f"{path} holds questions as VQAv2 has them, whose answers stand in a file of their own; name it: "
                "annotations=…, --annotations FILE."
            )
        return list(_vqa(content, path, annotations))
    if annotations is not None:
        raise QuestionDataError(
            f"{annotations} was given for the answers, and {path} is no questions file of VQAv2, "
            '{"questions": [{"question_id", "image_id", "question"}]}. Leave it out, or name that file.'
        )
    if isinstance(content, list) and content:
        return list(_listed(content, path))
    found = f"an object with the keys {', '.join(content) or '(none)'}" if isinstance(content, dict) else "no records"
    raise QuestionDataError(f"{path} holds {found}; expected {SHAPES}.")


SHAPES = (
    'either a list of {"file", "question", "answer", "split"} or VQAv2\'s {"questions": [{"question_id", "image_id", '
    '"question"}]} with its annotations'
)


def _json(path: Path) -> Any:
    return read_json(path, "questions file", QuestionDataError, f"give a file of questions in JSON, {SHAPES}")


def _listed(content: list[Any], path: Path) -> Iterator[QuestionRecord]:
    for number, record in enumerate(content, start=1):
        if not isinstance(record, dict) or not {"file", "question"} <= record.keys():
            found = f"the keys {', '.join(record) or '(none)'}" if isinstance(record, dict) else type(record).__name__
            raise QuestionDataError(f'{path}: record {number} has {found}; expected "file", "question" and "answer".')
        if "answer" not in record and "answers" not in record:
            raise QuestionDataError(f'{path}: record {number} has no "answer" (nor "answers"); add it.')
        name = record["file"]
        if not isinstance(name, str) or not name.strip():
            raise QuestionDataError(f'{path}: "file" of record {number} is {name!r}; expected the name of a file.')
        answers = answer_texts(record["answers"] if "answers" in record else record["answer"])
        shown = record.get("answer") if isinstance(record.get("answer"), str) else None
        yield QuestionRecord(str(number), (name,), record["question"], answers, shown, record.get("split"))


def _vqa(content: dict[str, Any], path: Path, annotations: Path) -> Iterator[QuestionRecord]:
    noted = _json(annotations)
    subset = content.get("data_subtype")
    answered: dict[Any, dict[str, Any]] = {}
    try:
        for note in noted["annotations"]:
            answered[note["question_id"]] = note
        if missing := [one["question_id"] for one in content["questions"] if one["question_id"] not in answered]:
            some = ", ".join(map(str, missing[:5]))
            raise QuestionDataError(
                f"{annotations} answers {len(missing)} questions of {path} not: {some}. Give the annotations that "
                "belong to it."
            )
        for one in content["questions"]:
            note = answered[one["question_id"]]
            names = _coco_names(one["image_id"], subset)
            answers = answer_texts(note["answers"])
            key, shown = str(one["question_id"]), note.get("multiple_choice_answer")
            yield QuestionRecord(key, names, one["question"], answers, shown)
    except (KeyError, TypeError, AttributeError) as error:
        raise QuestionDataError(
            f'{path} and {annotations} are not as VQAv2 has them: {error!r} while reading "questions" (question_id, '
            'image_id, question) and "annotations" (question_id, answers).'
        ) from error


def _coco_names(image_id: Any, subset: Any) -> tuple[str, ...]:
    """What COCO calls the photo: with the set in its name until 2015, without since."""
    if not isinstance(image_id, int):
        return (str(image_id),)
    number = f"{image_id:012d}.jpg"
    return (f"COCO_{subset}_{number}", number) if isinstance(subset, str) else (number,)


def answer_texts(value: Any) -> list[Any]:
    """A question's answers: one, a list of them, or VQAv2's list of `{"answer": ...}`."""
    values = value if isinstance(value, list) else [value]
    return [one.get("answer") if isinstance(one, dict) else one for one in values]
