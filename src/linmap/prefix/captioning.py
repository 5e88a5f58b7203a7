"""Photos in, captions out: photos are read ahead of the model, captioned batch by batch, answered in input order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from linmap.data.images import Photo, open_photo
from linmap.errors import CaptioningError, LinmapError, UnreadableImageError

if TYPE_CHECKING:
    from linmap.prefix.modeling import LinearVisionPrefixModel
    from linmap.prefix.processing import LinearVisionPrefixProcessor

__all__ = ["PhotoCaption", "caption_photos"]

MAX_NEW_TOKENS = 30
"""Caption length for a model whose generation config names none; its own default is 20 tokens with the prompt."""

READING_THREADS = min(4, os.cpu_count() or 1)
"""Decoding and resizing release the interpreter lock; more threads than this only take cores from the model."""


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


def caption_photos(
    model: LinearVisionPrefixModel,
    processor: LinearVisionPrefixProcessor,
    photos: Iterable[Photo],
    *,
    prompt: str | None = None,
    batch_size: int = 16,
    **generation: Any,
) -> Iterator[PhotoCaption]:
    """Captions `photos`, one answer each, in input order; a photo that cannot be read costs only its own caption.

    Photos are decoded and resized by threads while the model works on the batch before, at most two batches ahead, so
    any number of photos takes bounded memory.

    Args:
        model: On the device and in the dtype it is to run in.
        processor: The model's processor.
        photos: Paths, encoded bytes, or pictures.
        prompt: Text the caption continues; `None` takes the processor's.
        batch_size: Photos captioned at a time, at least 1.
        generation: Passed to `model.generate`, such as `num_beams`; what is not said is the model's generation config.

    Yields:
        A `PhotoCaption` for every photo.

    Raises:
        CaptioningError: The batch size is below 1, the model has no encoder, or a batch does not fit in memory.

    Example:
        >>> for answer in caption_photos(model, processor, ["dog.jpg"]):  # doctest: +SKIP
        ...     print(answer.photo, answer.caption or answer.error)
    """
    if batch_size < 1:
        raise CaptioningError(f"The batch size is {batch_size}; it must be at least 1.")
    if model.encoder is None:
        raise CaptioningError("This model holds no image encoder: it reads features, not photos. Load it with one.")
    if model.generation_config.max_new_tokens is None:
        generation.setdefault("max_new_tokens", MAX_NEW_TOKENS)
    return _captions(model, _Batching(processor, prompt), photos, batch_size, generation)


class _Batching:
    """The model's inputs for photos that all come with the same text: the text half is made once."""

    def __init__(self, processor: LinearVisionPrefixProcessor, prompt: str | None) -> None:
        self.processor = processor
        text = None if prompt is None else [prompt]
        # The tokenizer is used here alone: it must not be called from several threads.
        row = processor(images=[Image.new("RGB", (32, 32))], text=text, return_tensors="pt")
        self.input_ids, self.attention_mask = row["input_ids"], row["attention_mask"]

    def read(self, photo: Photo) -> torch.Tensor:
        """Pixel values (channels, height, width) of `photo`; called from the reading threads."""
        picture = open_photo(photo)
        try:
            return self.processor.image_processor(images=[picture], return_tensors="pt")["pixel_values"][0]
        except (ValueError, OSError, MemoryError) as error:
            reason = f"it cannot be prepared for the encoder ({picture.width} x {picture.height}: {error})"
            raise UnreadableImageError(str(photo), reason) from error

    def inputs(self, pixels: list[torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
        return {
            "input_ids": self.input_ids.expand(len(pixels), -1).to(device),
            "attention_mask": self.attention_mask.expand(len(pixels), -1).to(device),
            "pixel_values": torch.stack(pixels).to(device),
        }

    def captions(self, generated: torch.Tensor) -> list[str]:
        return self.processor.caption(generated[:, self.input_ids.shape[1] :], prompt="")


def _captions(
    model: LinearVisionPrefixModel,
    batching: _Batching,
    photos: Iterable[Photo],
    batch_size: int,
    generation: dict[str, Any],
) -> Iterator[PhotoCaption]:
    page: list[PhotoCaption] = []  # answers not yet given; those of photos still to be captioned hold neither text
    pixels: list[torch.Tensor] = []  # of the photos still to be captioned, in their order

    def answered() -> Iterator[PhotoCaption]:
        captions = iter(_generate(model, batching, pixels, generation) if pixels else [])
        for answer in page:
            yield answer if answer.error else PhotoCaption(answer.photo, caption=next(captions))

    with closing(_read_ahead(batching, photos, depth=2 * batch_size)) as reading:
        for photo, future in reading:
            try:
                pixels.append(future.result())
            except LinmapError as error:
                page.append(PhotoCaption(photo, error=error))
            else:
                page.append(PhotoCaption(photo))
            if len(pixels) == batch_size or not pixels:
                yield from answered()
                page, pixels = [], []
        yield from answered()


def _read_ahead(
    batching: _Batching, photos: Iterable[Photo], depth: int
) -> Generator[tuple[Photo, Future[torch.Tensor]], None, None]:
    pool = ThreadPoolExecutor(READING_THREADS, thread_name_prefix="linmap-photos")
    waiting: deque[tuple[Photo, Future[torch.Tensor]]] = deque()
    try:
        for photo in photos:
            waiting.append((photo, pool.submit(batching.read, photo)))
            if len(waiting) > depth:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _generate(
    model: LinearVisionPrefixModel, batching: _Batching, pixels: list[torch.Tensor], generation: dict[str, Any]
) -> list[str]:
    try:
        with torch.inference_mode():
            generated = model.generate(**batching.inputs(pixels, model.device), **generation)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise CaptioningError(
            f"{len(pixels)} photos at a time do not fit in the memory of {model.device}; "
            "take a smaller batch size or fewer beams."
        ) from error
    return batching.captions(generated)
