"""The answers of a run: every photo encoded once, and asked about behind every number of examples, seeing and blind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from linmap.errors import UnreadableImageError

if TYPE_CHECKING:
    from torch import Tensor

    from linmap.cli.models import Captioner
    from linmap.data.images import Photo, UnreadableImages
    from linmap.data.questions import VisualQuestion
    from linmap.data.support_sets import SupportSet
    from linmap.evaluation.written_answers import WrittenAnswers

__all__ = ["BLIND", "SEEING", "Run", "answer_all"]

SEEING, BLIND = "model", "blind"
PHOTOS_AT_ONCE = 32
"""Photos whose features are held, and whose answers are written, at a time."""


@dataclass(frozen=True)
class Run:
    """What is asked, and how.

    Args:
        supports: Sets of solved examples with the questions behind them.
        shots: Numbers of examples.
        rows: Of `SEEING` and `BLIND`.
        batch_size: Questions answered at a time.
    """

    supports: Sequence[SupportSet]
    shots: Sequence[int]
    rows: Sequence[str]
    batch_size: int

    @property
    def passes(self) -> list[tuple[str, int]]:
        """Row and number of shots of everything that is measured."""
        return [(row, shots) for shots in self.shots for row in self.rows]


def answer_all(load: Callable[[], Captioner], run: Run, written: WrittenAnswers, unreadable: UnreadableImages) -> None:
    """Answers what is not yet answered.

    Args:
        load: Gives the model; called where an answer is missing.
        run: What is asked.
        written: The answers that there are already, and where the others go.
        unreadable: Counts the photos that cannot be read.

    Raises:
        UnreadableImageError: The photo of an example cannot be read, or one more than `unreadable` allows.
        TooManyUnreadableImagesError: Likewise.
        LinmapError: The model cannot answer as asked.
    """
    from linmap.cli.progress import ProgressBar

    for photo, reason in written.unreadable.items():
        unreadable.leave_out(UnreadableImageError(photo, reason))
    total = sum(len(support.questions) for support in run.supports) * len(run.passes)
    done = sum(len(written.answers.get(one, ())) for one in run.passes)
    captioner: Captioner | None = None
    with ProgressBar("Answering", total - done) as bar:
        for support in run.supports:
            answerers: _Answerers | None = None
            for questions in _by_photos(support.questions):
                asked = [one for one in questions if str(one.image) not in written.unreadable]
                missing = [one for one in run.passes if not written.has(*one, [question.key for question in asked])]
                if not missing:
                    continue
                captioner = captioner or load()
                answerers = answerers or _Answerers(captioner, support)
                features = _features(captioner, asked, written, unreadable)
                asked = [one for one in asked if one.photo in features]
                rows = {photo: row for row, photo in enumerate(features)}
                seen = (_stacked(list(features.values())), [rows[one.photo] for one in asked])
                for row, shots in missing:
                    answers = {}
                    for place, answer in answerers.of(row, shots).answer(
                        [one.question for one in asked],
                        *(seen if row == SEEING else (None, None)),
                        batch_size=run.batch_size,
                    ):
                        answers[asked[place].key] = answer
                        bar.advance()
                    written.add(row, shots, {one.key: answers[one.key] for one in asked})


class _Answerers:
    """Those of one set of examples, each made when it is first needed; they go with the set."""

    def __init__(self, captioner: Captioner, support: SupportSet) -> None:
        self._captioner, self._support = captioner, support
        self._made: dict[tuple[str, int], Any] = {}
        self._seen: list[Tensor] | None = None

    def of(self, row: str, shots: int) -> Any:
        """The answerer of a row behind the first `shots` examples."""
        from linmap.prefix.few_shot import FewShotAnswerer, SolvedExample

        if (row, shots) not in self._made:
            examples = self._support.examples[:shots]
            seen: Sequence[Tensor | None] = [None] * shots
            if row == SEEING and shots:
                seen = self._features_of_examples()
            solved = [SolvedExample(one.question, one.shown, see) for one, see in zip(examples, seen, strict=False)]
            self._made[row, shots] = FewShotAnswerer(*self._captioner, solved, sighted=row == SEEING)
        return self._made[row, shots]

    def _features_of_examples(self) -> list[Tensor]:
        if self._seen is None:
            found = dict(_encoded(self._captioner, {one.photo: one.image for one in self._support.examples}))
            self._seen = []
            for one in self._support.examples:
                result = found[one.photo]
                if isinstance(result, Exception):
                    raise result
                self._seen.append(result)
        return self._seen


def _by_photos(questions: Sequence[VisualQuestion]) -> Iterator[list[VisualQuestion]]:
    """The questions about so many photos at a time."""
    photos = list(dict.fromkeys(one.photo for one in questions))
    for start in range(0, len(photos), PHOTOS_AT_ONCE):
        these = set(photos[start : start + PHOTOS_AT_ONCE])
        yield [one for one in questions if one.photo in these]


def _features(
    captioner: Captioner, questions: Sequence[VisualQuestion], written: WrittenAnswers, unreadable: UnreadableImages
) -> dict[str, Tensor]:
    """Of every photo that can be read; the others are left out, and written down as such."""
    found = {}
    for photo, result in _encoded(captioner, {one.photo: one.image for one in questions}):
        if isinstance(result, UnreadableImageError):
            unreadable.leave_out(result)
            written.leave_out(result.image, result.reason)
        else:
            found[photo] = result
    return found


def _encoded(captioner: Captioner, photos: dict[str, Photo]) -> Iterator[tuple[str, Any]]:
    """Every photo through the encoder once: its features (cells, feature_dim), or why it cannot be read."""
    import torch

    from linmap.data.ahead import answers_in_order, fitting_in_memory, photo_pixels

    model, processor = captioner

    def encode(pixels: list[Tensor]) -> Tensor:
        with torch.inference_mode(), fitting_in_memory(len(pixels), model.device):
            return model.encode_images(torch.stack(pixels).to(model.device))

    answers = answers_in_order(
        photos.values(), lambda photo: photo_pixels(photo, processor.image_processor), encode, PHOTOS_AT_ONCE
    )
    for name, answer in zip(photos, answers, strict=True):
        yield name, answer.error or answer.result


def _stacked(features: list[Tensor]) -> Tensor:
    import torch

    return torch.stack(features) if features else torch.empty(0)
