"""Photos read ahead of the model by threads, answered batch by batch in input order; a bad one costs its own answer."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from transformers import BaseImageProcessor

from linmap.data.images import Photo, open_photo
from linmap.errors import CaptioningError, LinmapError, UnreadableImageError

__all__ = ["Answer", "PhotoCaption", "answers_in_order", "fitting_in_memory", "photo_pixels"]

READING_THREADS = min(4, os.cpu_count() or 1)
"""Decoding and resizing release the interpreter lock; more threads than this only take cores from the model."""

Asked = TypeVar("Asked")
Prepared = TypeVar("Prepared")
Result = TypeVar("Result")


@dataclass(frozen=True)
class PhotoCaption:
    """What became of one photo: a caption, or the error that says why there is none.

    Args:
        photo: The photo as it was given.
        caption: The caption; `None` where `error` is set.
        error: Why the photo could not be read; `None` where `caption` is set.
    """

    photo: Photo
    caption: str | None = None
    error: LinmapError | None = None


@dataclass(frozen=True)
class Answer(Generic[Asked, Result]):
    """What became of one thing that was asked: a result, or the error that says why there is none.

    Args:
        asked: What was asked, as it was given.
        result: What the model made of it; `None` where `error` is set.
        error: Why it could not be read; `None` where there is a result.
    """

    asked: Asked
    result: Result | None = None
    error: LinmapError | None = None


def answers_in_order(
    asked: Iterable[Asked],
    prepare: Callable[[Asked], Prepared],
    answer: Callable[[list[Prepared]], Iterable[Result]],
    batch_size: int,
) -> Generator[Answer[Asked, Result], None, None]:
    """Answers everything in `asked`, one answer each, in input order; what cannot be read costs only its own answer.

    `prepare` is called by threads while the caller's thread is in `answer` with the batch before, at most two batches
    ahead, so any number of photos takes bounded memory. Closing the generator ends the threads.

    Args:
        asked: Photos, videos, or whatever `prepare` takes; read one by one, as they are needed.
        prepare: Reads one of them, in a thread of its own. A `LinmapError` it raises becomes that one's answer; any
            other error ends the whole.
        answer: From up to `batch_size` prepared ones to as many results, in their order; called in the caller's thread.
        batch_size: How many are answered at a time, at least 1. A batch is full whatever lay between that was bad.

    Yields:
        An `Answer` for each of `asked`.

    Raises:
        CaptioningError: The batch size is below 1.

    Example:
        >>> [answer.result for answer in answers_in_order(["1", "22", "333"], len, list, batch_size=2)]
        [1, 2, 3]
    """
    if batch_size < 1:
        raise CaptioningError(f"The batch size is {batch_size}; it must be at least 1.")
    return _answers(asked, prepare, answer, batch_size)


def photo_pixels(photo: Photo, image_processor: BaseImageProcessor) -> torch.Tensor:
    """Pixel values (channels, height, width) of one photo; may be called from several threads.

    Raises:
        UnreadableImageError: The photo cannot be opened (see `open_photo`) or not be prepared for the encoder.
    """
    picture = open_photo(photo)
    try:
        return image_processor(images=[picture], return_tensors="pt")["pixel_values"][0]
    except (ValueError, OSError, MemoryError) as error:
        reason = f"it cannot be prepared for the encoder ({picture.width} x {picture.height}: {error})"
        raise UnreadableImageError(str(photo), reason) from error


@contextmanager
def fitting_in_memory(count: int, device: torch.device) -> Iterator[None]:
    """Says which batch of `count` photos was too large for `device` where one is.

    Raises:
        CaptioningError: In place of torch's or Python's word for too little memory.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise CaptioningError(
            f"{count} photos at a time do not fit in the memory of {device}; take a smaller batch size or fewer beams."
        ) from error


def _answers(
    asked: Iterable[Asked],
    prepare: Callable[[Asked], Prepared],
    answer: Callable[[list[Prepared]], Iterable[Result]],
    batch_size: int,
) -> Generator[Answer[Asked, Result], None, None]:
    page: list[Answer[Asked, Result]] = []  # not yet given; those still to be answered hold neither result nor error
    batch: list[Prepared] = []  # of those still to be answered, in their order

    def answered() -> Iterator[Answer[Asked, Result]]:
        results = iter(answer(batch) if batch else [])
        for entry in page:
            yield entry if entry.error else Answer(entry.asked, result=next(results))

    with closing(_read_ahead(asked, prepare, depth=2 * batch_size)) as reading:
        for one, future in reading:
            try:
                batch.append(future.result())
            except LinmapError as error:
                page.append(Answer(one, error=error))
            else:
                page.append(Answer(one))
            if len(batch) == batch_size or not batch:
                yield from answered()
                page, batch = [], []
        yield from answered()


def _read_ahead(
    asked: Iterable[Asked], prepare: Callable[[Asked], Prepared], depth: int
) -> Generator[tuple[Asked, Future[Prepared]], None, None]:
    pool = ThreadPoolExecutor(READING_THREADS, thread_name_prefix="linmap-photos")
    waiting: deque[tuple[Asked, Future[Prepared]]] = deque()
    try:
        for one in asked:
            waiting.append((one, pool.submit(prepare, one)))
            if len(waiting) > depth:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
