"""Reading questions about photos with people's answers: VQAv2's files, lists as DAQUAR's, and `datasets` datasets."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linmap.data.captions import photo_of_cell
from linmap.data.images import EncodedPhoto, Photo, UnreadableImages
from linmap.data.question_files import QuestionRecord, answer_texts, question_records
from linmap.data.text_files import is_folder, is_unicode, place_of
from linmap.errors import QuestionDataError, UnknownNameError, UnreadableImageError

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["VisualQuestion", "questions_from_dataset", "read_questions"]

ANSWER_COLUMNS = ("answers", "answer", "multiple_choice_answer")
"""Where a dataset of the Hub has the answers; the first that is there is taken."""


@dataclass(frozen=True, slots=True)
class VisualQuestion:
    """One question about a photo, with its answers.

    Args:
        key: Its name among all: VQAv2's question id, or its place in the file, from 1.
        image: What `open_photo` opens.
        photo: Names the photo: questions with the same name are about one photo.
        question: Not empty.
        answers: What people answered, at least one; ten in VQAv2.
        shown: The one of them that a solved example shows: VQAv2's `multiple_choice_answer`, else the most frequent
            one, with blanks for DAQUAR's underscores.
        split: Where the source names one.
    """

    key: str
    image: Photo
    photo: str
    question: str
    answers: tuple[str, ...]
    shown: str
    split: str | None = None


def read_questions(
    path: str | Path,
    images: str | Path,
    split: str | None = None,
    *,
    annotations: str | Path | None = None,
    unreadable: UnreadableImages | None = None,
) -> list[VisualQuestion]:
    """Reads the questions in `path` about the photos in the folder `images`.

    Args:
        path: A list of `{"file": "a.jpg", "question": "...", "answer": "...", "split": "train"}` (`"answers"` for a
            list of them; split may be left out), or the questions of VQAv2:
            `{"questions": [{"question_id", "image_id", "question"}], "data_subtype": "val2014"}`.
        images: Folder of the photos. VQAv2's are called `COCO_val2014_000000000042.jpg` or `000000000042.jpg`.
        split: Only questions of this split; None takes all.
        annotations: The answers of VQAv2:
            `{"annotations": [{"question_id", "answers": [{"answer"}], "multiple_choice_answer"}]}`.
        unreadable: Counts the photos that are missing, whose questions are then left out up to its limit. By default
            one missing photo is an error.

    Returns:
        In the order of the file.

    Raises:
        QuestionDataError: The files are not of that form; a question or an answer is empty or no text.
        UnknownNameError: No such split.
        UnreadableImageError: One photo is missing.
        TooManyUnreadableImagesError: Several are, named and counted.
    """
    path, folder = Path(path), Path(images)
    records = question_records(path, None if annotations is None else Path(annotations))
    if not is_folder(folder):
        raise QuestionDataError(f"There is no folder of photos {folder}; check the path.")
    records = _of_split(records, split, path)
    there = _Listing()
    questions: list[VisualQuestion] = []
    missing: dict[str, UnreadableImageError] = {}
    for record in records:
        found = [name for name in record.names if folder / name in there]
        if not found:
            reason = "there is no such file; check the path"
            missing.setdefault(record.names[0], UnreadableImageError(str(folder / record.names[0]), reason))
            continue
        photo = folder / found[0]
        questions.append(_checked(record, photo, place_of(photo), f"{path}: question {record.key}"))
    if missing:
        (unreadable if unreadable is not None else UnreadableImages()).leave_out(*missing.values())
    _require_one_id_each(questions, path)
    return questions


def questions_from_dataset(
    dataset: Dataset,
    image_column: str = "image",
    question_column: str = "question",
    answer_column: str | None = None,
) -> list[VisualQuestion]:
    """Questions from a `datasets` dataset, such as `load_split` finds.

    Args:
        dataset: With a length (not a streamed one).
        image_column: An `Image` feature, or paths.
        question_column: Texts.
        answer_column: A text, a list of texts, or of `{"answer": ...}`; None takes `answers`, `answer` or
            `multiple_choice_answer`, whichever is there first.

    Returns:
        One a row. Rows with the same `image_id` are about one photo, or where there is no such column those with the
        same path or bytes. Photos are read when they are opened.

    Raises:
        UnknownNameError: No such column.
        QuestionDataError: The dataset is streamed, or a question or an answer is empty or no text.
    """
    import datasets

    if not isinstance(dataset, datasets.Dataset):
        raise QuestionDataError(
            f"This is a {type(dataset).__name__}; give one split of a dataset, loaded without streaming."
        )
    known = dataset.column_names
    answer_column = answer_column or next((name for name in ANSWER_COLUMNS if name in known), "answers")
    for column in (image_column, question_column, answer_column):
        if column not in known:
            raise UnknownNameError("column", column, known)
    encoded = isinstance(dataset.features[image_column], datasets.Image)
    if encoded:
        dataset = dataset.cast_column(image_column, datasets.Image(decode=False))
    split = str(dataset.split) if dataset.split is not None else None
    rows = dataset.select_columns([name for name in known if name != image_column]) if encoded else dataset
    questions = []
    for number, row in enumerate(rows, start=1):
        name = f"row {number} of the dataset"
        image = (
            RowPhoto(name, dataset, number - 1, image_column)
            if encoded
            else photo_of_cell(row[image_column], name, image_column)
        )
        photo = str(row["image_id"]) if "image_id" in known else _identity(image)
        answers, shown = answer_texts(row[answer_column]), row.get("multiple_choice_answer")
        record = QuestionRecord(str(row.get("question_id", number)), (), row[question_column], answers, shown, split)
        questions.append(_checked(record, image, photo, name))
    _require_one_id_each(questions, "the dataset")
    return questions


class RowPhoto(EncodedPhoto):
    """A photo in a row of a dataset, read whenever it is opened: a dataset of many is larger than the memory.

    Args:
        name: What errors call it.
        dataset: The dataset, its images not decoded.
        row: From 0.
        column: Of the photos.
    """

    __slots__ = ("_cell",)
    _cell: tuple[Dataset, int, str]

    def __init__(self, name: str, dataset: Dataset, row: int, column: str) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "_cell", (dataset, row, column))

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        dataset, row, column = self._cell
        photo = photo_of_cell(dataset[row][column], self.name, column)
        return photo.data if isinstance(photo, EncodedPhoto) else Path(str(photo)).read_bytes()


class _Listing:
    """Whether a file is there, by one listing a folder instead of one look-up a photo."""

    def __init__(self) -> None:
        self._names: dict[Path, set[str]] = {}

    def __contains__(self, file: Path) -> bool:
        folder = file.parent
        if folder not in self._names:
            try:
                self._names[folder] = {entry.name for entry in folder.iterdir()} if is_folder(folder) else set()
            except OSError as error:
                raise QuestionDataError(
                    f"The folder {folder} cannot be read ({error.strerror}); check its permissions."
                ) from error
        return file.name in self._names[folder]


def _of_split(records: list[QuestionRecord], split: str | None, path: Path) -> list[QuestionRecord]:
    for record in records:
        if record.split is not None and not isinstance(record.split, str):
            raise QuestionDataError(
                f'{path}: "split" of question {record.key} is {record.split!r}; expected one word, such as "train".'
            )
    if split is None:
        return records
    known = {record.split for record in records if record.split is not None}
    if not known:
        raise QuestionDataError(f"{path} names no splits, so there is no {split!r} in it; leave the split out.")
    if split not in known:
        raise UnknownNameError("split", split, known)
    return [record for record in records if record.split == split]


def _identity(image: Photo) -> str:
    return hashlib.sha256(image.data).hexdigest() if isinstance(image, EncodedPhoto) else place_of(Path(str(image)))


def _require_one_id_each(questions: list[VisualQuestion], where: object) -> None:
    if repeated := [key for key, count in Counter(one.key for one in questions).items() if count > 1]:
        raise QuestionDataError(f"{where}: two questions have the id {repeated[0]}; give each its own.")


def _checked(record: QuestionRecord, image: Photo, photo: str, where: str) -> VisualQuestion:
    question = _text(record.question, "the question", where)
    if not record.answers:
        raise QuestionDataError(f"{where} has no answer; add one, or take it out.")
    answers = tuple(_text(answer, "an answer", where) for answer in record.answers)
    frequent = Counter(answers).most_common(1)[0][0]  # of several the first
    shown = frequent if record.shown is None else _text(record.shown, "the answer", where)
    return VisualQuestion(record.key, image, photo, question, answers, shown.replace("_", " "), record.split)


def _text(value: Any, what: str, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise QuestionDataError(f"{where}: {what} is {value!r}; expected a text. Mend it or take it out.")
    if not is_unicode(value):
        raise QuestionDataError(f"{where}: {what} ({value!r}) holds half of a character (a lone surrogate); mend it.")
    return value
