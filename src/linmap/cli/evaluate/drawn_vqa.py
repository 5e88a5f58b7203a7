"""`linmap evaluate vqa --clippo`: questions drawn above photos and answered by choosing, beside five controls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linmap.errors import EvaluationError, ModelNotFoundError, UnreadableImageError

if TYPE_CHECKING:
    from linmap.clippo.processing import ClippoProcessor
    from linmap.clippo.question_answering import ClippoForQuestionAnswering
    from linmap.data.images import Photo, UnreadableImages
    from linmap.data.questions import VisualQuestion
    from linmap.evaluation.written_answers import WrittenAnswers

__all__ = [
    "BEST",
    "BLIND",
    "FREQUENT",
    "FREQUENT_OF_TYPE",
    "NO_SHOTS",
    "OTHER",
    "DrawnRun",
    "answer_drawn",
    "answers_in",
    "classifier_folder",
    "drawn_run",
    "is_clippo",
    "load_classifier",
]

CLIPPO = "clippo"
CLASSIFIER = "ClippoForQuestionAnswering"
SEEING, BLIND, OTHER = "model", "blind", "other photo"
FREQUENT, FREQUENT_OF_TYPE, BEST = "most frequent answer", "most frequent of its type", "best of its answers"
NO_SHOTS = 0


@dataclass(frozen=True)
class DrawnRun:
    """What is asked, and how.

    Args:
        questions: All of them; those about one photo follow one another.
        photos: By the photo's name the one that the control shows in its place.
        controls: Whether there are any.
        batch_size: Questions answered at a time.
    """

    questions: Sequence[VisualQuestion]
    photos: dict[str, Photo]
    controls: bool
    batch_size: int

    @property
    def passes(self) -> list[str]:
        """Rows that the model answers."""
        return [SEEING, BLIND, OTHER] if self.controls else [SEEING]


def is_clippo(name: str | None) -> bool:
    """Whether `--model` names a folder with a CLIPPO model of any task."""
    from linmap.cli.models import config_in

    if name is None:
        return False
    folder = Path(name).expanduser()
    return folder.is_dir() and (folder / "config.json").is_file() and config_in(folder).get("model_type") == CLIPPO


def classifier_folder(name: str) -> Path:
    """The local folder of a classifier over answers.

    Raises:
        ModelNotFoundError: There is none, or it holds something else.
    """
    from linmap.cli.models import config_in, model_folder, require_processor

    folder = model_folder(name)
    config = config_in(folder)
    found = (config.get("architectures") or ["none"])[0]
    if config.get("model_type") != CLIPPO or found != CLASSIFIER:
        raise ModelNotFoundError(
            f"{folder} holds a {found} of the type {config.get('model_type')!r}; questions are answered by a "
            f"{CLASSIFIER}. Fine-tune one: python examples/answer_by_drawing.py --clippo {folder} …"
        )
    require_processor(folder)
    return folder


def answers_in(folder: Path) -> list[str]:
    """The answers that a classifier chooses among, in its order.

    Raises:
        ModelNotFoundError: The configuration does not say.
    """
    from linmap.cli.models import config_in

    named = config_in(folder).get("id2label")
    if not isinstance(named, dict) or not named or not all(key.isdecimal() for key in named):
        raise ModelNotFoundError(
            f"{folder}: config.json holds no id2label, numbers with their answers: it is not known what it answers."
        )
    return [str(named[key]) for key in sorted(named, key=int)]


def load_classifier(folder: Path, device: str) -> tuple[ClippoForQuestionAnswering, ClippoProcessor]:
    """The classifier on its device, and its processor.

    Raises:
        LinmapError: The model or the device is not to be had; the message says which.
    """
    from linmap.cli.devices import device_for
    from linmap.cli.models import one_line
    from linmap.clippo.processing import ClippoProcessor
    from linmap.clippo.question_answering import ClippoForQuestionAnswering

    place = device_for(device)
    with one_line(folder):
        model = ClippoForQuestionAnswering.from_pretrained(folder)
        processor = ClippoProcessor.from_pretrained(folder)
    return model.to(place), processor


def drawn_run(questions: Sequence[VisualQuestion], *, limit: int | None, controls: bool, batch: int) -> DrawnRun:
    """Orders questions by photo, and gives every photo another one.

    Raises:
        EvaluationError: There is one photo alone, so there is no other.
    """
    by_photo: dict[str, list[VisualQuestion]] = {}
    for question in questions:
        by_photo.setdefault(question.photo, []).append(question)
    names = list(by_photo)[:limit]
    if len(names) < 2 and controls:
        raise EvaluationError("There is one photo alone, and so no other to ask about; give more, or --control none.")
    images = [by_photo[name][0].image for name in names]
    half = len(names) // 2
    others = dict(zip(names, images[half:] + images[:half], strict=True))  # neighbours in a file may show one room
    return DrawnRun([one for name in names for one in by_photo[name]], others, controls, batch)


def answer_drawn(
    load: Callable[[], tuple[ClippoForQuestionAnswering, ClippoProcessor]],
    run: DrawnRun,
    written: WrittenAnswers,
    unreadable: UnreadableImages,
) -> list[VisualQuestion]:
    """Answers what is not yet answered.

    Args:
        load: Gives the model; called where an answer is missing.
        run: What is asked.
        written: The answers that there are already, and where the others go.
        unreadable: Counts the photos that cannot be read; their questions are asked in no row.

    Returns:
        The questions that have an answer in every row.

    Raises:
        UnreadableImageError: One photo more than `unreadable` allows.
        TooManyUnreadableImagesError: Likewise.
    """
    from linmap.cli.progress import ProgressBar
    from linmap.clippo.answering import answer_questions

    for photo, reason in written.unreadable.items():
        unreadable.leave_out(UnreadableImageError(photo, reason))
    missing = [
        row for row in run.passes if not written.has(row, NO_SHOTS, [one.key for one in _readable(run, written)])
    ]
    with ProgressBar("Answering", len(missing) * len(run.questions)) as bar:
        model = load() if missing else None
        for row in missing:
            asked = _readable(run, written)
            shown = [_shown(row, one, run, written) for one in asked]
            assert model is not None  # it was loaded, since something is missing
            known = len(unreadable.errors)
            found = answer_questions(
                *model, shown, [one.question for one in asked], run.batch_size, unreadable=unreadable
            )
            answers = {asked[place].key: answer for place, answer in _counted(found, bar)}
            for error in unreadable.errors[known:]:
                written.leave_out(error.image, error.reason)
            written.add(row, NO_SHOTS, answers)
    return [
        one for one in _readable(run, written) if all(one.key in written.answers[row, NO_SHOTS] for row in run.passes)
    ]


def _readable(run: DrawnRun, written: WrittenAnswers) -> list[VisualQuestion]:
    return [one for one in run.questions if str(one.image) not in written.unreadable]


def _shown(row: str, question: VisualQuestion, run: DrawnRun, written: WrittenAnswers) -> Photo | None:
    if row == SEEING:
        return question.image
    if row == BLIND:
        return None
    other = run.photos[question.photo]
    if str(other) not in written.unreadable:
        return other
    left = [image for image in run.photos.values() if str(image) not in written.unreadable and image != question.image]
    if not left:
        raise EvaluationError("One photo alone can be read, so there is no other to ask about; take --control none.")
    return left[0]


def _counted(answers: Iterator[tuple[int, str]], bar: Any) -> Iterator[tuple[int, str]]:
    for answer in answers:
        bar.advance()
        yield answer
