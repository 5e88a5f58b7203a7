"""Questions about photos as training examples of a classifier over answers: photos held out, batches collated."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from linmap.data.images import UnreadableImages
from linmap.data.questions import VisualQuestion
from linmap.errors import QuestionDataError

if TYPE_CHECKING:
    from transformers import ProcessorMixin

__all__ = ["QuestionCollator", "hold_out_photos"]


def hold_out_photos(
    questions: Sequence[VisualQuestion], share: float, seed: int = 0
) -> tuple[list[VisualQuestion], list[VisualQuestion]]:
    """Splits questions by photo: no question of one part is about a photo of the other.

    Args:
        questions: About at least two photos.
        share: Of the photos that are held out, in (0, 1); at least one photo, and not all.
        seed: Of the draw, which depends on nothing else but the photos' order.

    Returns:
        The questions to learn from, and those held out, each in their order.

    Raises:
        QuestionDataError: The share is none, or there is one photo alone.

    Example:
        >>> about = lambda photo: VisualQuestion(photo, f"{photo}.jpg", photo, "what is it?", ("a dog",), "a dog")
        >>> learned, held_out = hold_out_photos([about("a"), about("b"), about("a"), about("c")], 0.3)
        >>> len(learned) + len(held_out), {one.photo for one in learned} & {one.photo for one in held_out}
        (4, set())
    """
    photos = list(dict.fromkeys(question.photo for question in questions))
    if not 0 < share < 1 or len(photos) < 2:
        raise QuestionDataError(
            f"A share of {share} of {len(photos)} photos cannot be held out; give a share between 0 and 1, and "
            "questions about two photos or more."
        )
    count = min(max(1, round(share * len(photos))), len(photos) - 1)
    held = set(random.Random(seed).sample(photos, count))
    learned = [question for question in questions if question.photo not in held]
    return learned, [question for question in questions if question.photo in held]


class QuestionCollator:
    """Makes a batch of `{"image", "question", "answers"}` examples, for a classifier over answers.

    A `Trainer` needs `TrainingArguments(remove_unused_columns=False)`.

    Args:
        processor: Draws questions above photos: `processor(images=..., questions=...)`.
        targets: What each answer of the set is worth for each question: `AnswerSet.targets`.
        soft: Whether labels are these worths (VQAv2, where ten people answered), or the number of the right answer
            (DAQUAR, where one did).
        unreadable: Counts photos that cannot be read; their examples are left out of the batch up to its limit. By
            default the first one is an error.
    """

    def __init__(
        self,
        processor: ProcessorMixin,
        targets: Callable[[Sequence[Sequence[str]]], np.ndarray],
        *,
        soft: bool = False,
        unreadable: UnreadableImages | None = None,
    ) -> None:
        self.processor = cast("Any", processor)
        self.targets = targets
        self.soft = soft
        self.unreadable = unreadable if unreadable is not None else UnreadableImages()

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """The batch of `examples`.

        Args:
            examples: Each with `"image"` (what `open_photo` opens; None for no photo, the blind control), `"question"`,
                and `"answers"`, a list of texts.

        Returns:
            `pixel_values` (questions, 3, image_size, image_size) float32, and `labels`: (questions,) int64, or where
            they are soft (questions, answers) float32.

        Raises:
            QuestionDataError: An example lacks one of these, no photo of the batch can be read, or, unless labels are
                soft, a question's answer is not in the set.
            UnreadableImageError: Names the photo.
        """
        for number, example in enumerate(examples):
            if missing := [key for key in ("image", "question", "answers") if key not in example]:
                raise QuestionDataError(
                    f"Example {number} of the batch has no {missing[0]!r}; found {', '.join(example) or 'nothing'}. If "
                    "it was in the dataset, set remove_unused_columns=False in TrainingArguments."
                )
        read = [(example, example["image"] and self.unreadable.open(example["image"])) for example in examples]
        kept = [(example, picture) for example, picture in read if picture is not None or example["image"] is None]
        if not kept:
            raise QuestionDataError(f"None of the {len(examples)} photos of a batch can be read.")
        inputs = self.processor(
            images=[picture for _, picture in kept],
            questions=[example["question"] for example, _ in kept],
            return_tensors="pt",
        )
        labels = self._labels([example for example, _ in kept])
        return {"pixel_values": inputs["pixel_values"], "labels": torch.from_numpy(labels)}

    def _labels(self, examples: Sequence[Mapping[str, Any]]) -> np.ndarray:
        worth = self.targets([example["answers"] for example in examples])
        if self.soft:
            return worth
        for example, best in zip(examples, worth.max(axis=1), strict=True):
            if best == 0:
                raise QuestionDataError(
                    f"The answer {example['answers'][0]!r} to {example['question']!r} is not in the set of answers; "
                    "leave the question out of training, or enlarge the set."
                )
        return worth.argmax(axis=1)
