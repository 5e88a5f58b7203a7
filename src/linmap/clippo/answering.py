"""Questions about photos answered in bulk: a photo is opened once for all questions in a row about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from PIL import Image

from linmap.data.images import Photo, UnreadableImages
from linmap.errors import ConfigurationError

if TYPE_CHECKING:
    from linmap.clippo.processing import ClippoProcessor
    from linmap.clippo.question_answering import ClippoForQuestionAnswering

__all__ = ["answer_questions"]


def answer_questions(
    model: ClippoForQuestionAnswering,
    processor: ClippoProcessor,
    photos: Sequence[Photo | None],
    questions: Sequence[str],
    batch_size: int = 64,
    *,
    unreadable: UnreadableImages | None = None,
) -> Iterator[tuple[int, str]]:
    """Answers each question about its photo.

    Args:
        model: In eval mode.
        processor: Of the model.
        photos: What `open_photo` opens, or None for no photo: the question alone, drawn on the background.
        questions: One a photo.
        batch_size: Questions answered at a time.
        unreadable: Counts photos that cannot be read, whose questions then have no answer, up to its limit. By default
            the first one is an error.

    Yields:
        The place of a question, and its answer.

    Raises:
        ConfigurationError: The numbers differ, or the batch size is below 1.
        UnreadableImageError: Names the photo.
        TooManyUnreadableImagesError: More than `unreadable` allows.
    """
    if len(photos) != len(questions) or batch_size < 1:
        raise ConfigurationError(
            f"{len(questions)} questions about {len(photos)} photos, {batch_size} at a time: give a photo a question "
            "(None for none), and a batch size of at least 1."
        )
    batch: list[tuple[int, Image.Image | None]] = []
    for place, picture in _opened(photos, unreadable if unreadable is not None else UnreadableImages()):
        batch.append((place, picture))
        if len(batch) == batch_size:
            yield from _answered(model, processor, batch, questions)
            batch = []
    if batch:
        yield from _answered(model, processor, batch, questions)


def _opened(photos: Sequence[Photo | None], unreadable: UnreadableImages) -> Iterator[tuple[int, Image.Image | None]]:
    """Every place whose photo can be read, with the photo."""
    last: Photo | None = None
    picture: Image.Image | None = None
    for place, photo in enumerate(photos):
        if photo is None:
            yield place, None
            continue
        if photo is not last and photo != last:
            last, picture = photo, unreadable.open(photo)
        if picture is not None:
            yield place, picture


def _answered(
    model: ClippoForQuestionAnswering,
    processor: ClippoProcessor,
    batch: list[tuple[int, Image.Image | None]],
    questions: Sequence[str],
) -> Iterator[tuple[int, str]]:
    places, pictures = [place for place, _ in batch], [picture for _, picture in batch]
    inputs = processor(images=pictures, questions=[questions[place] for place in places], return_tensors="pt")
    with torch.inference_mode():
        logits = model(pixel_values=inputs["pixel_values"].to(model.device)).logits
    yield from zip(places, model.answers_of(logits), strict=True)
