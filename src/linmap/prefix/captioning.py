"""Photos in, captions out: photos are read ahead of the model, captioned batch by batch, answered in input order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from linmap.data.ahead import PhotoCaption, answers_in_order, fitting_in_memory, photo_pixels
from linmap.data.images import Photo
from linmap.errors import CaptioningError

if TYPE_CHECKING:
    from linmap.prefix.modeling import LinearVisionPrefixModel
    from linmap.prefix.processing import LinearVisionPrefixProcessor

__all__ = ["PhotoCaption", "caption_features", "caption_photos"]

MAX_NEW_TOKENS = 30
"""Caption length for a model whose generation config names none; its own default is 20 tokens with the prompt."""


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


def caption_features(
    model: LinearVisionPrefixModel,
    processor: LinearVisionPrefixProcessor,
    features: Sequence[torch.Tensor],
    *,
    batch_size: int = 16,
    **generation: Any,
) -> Iterator[str]:
    """Captions photos that were encoded before, in their order; the model may be without its encoder.

    Args:
        model: On the device and in the dtype it is to run in.
        processor: The model's processor.
        features: One a photo, (cells, feature_dim), such as `FeatureStore.features` gives; read a batch at a time.
        batch_size: Photos captioned at a time, at least 1.
        generation: As `caption_photos` takes it.

    Yields:
        A caption for every photo.

    Raises:
        CaptioningError: The batch size is below 1, or a batch does not fit in memory.

    Example:
        >>> store = FeatureStore("features/flickr8k")  # doctest: +SKIP
        >>> next(caption_features(model, processor, store.features("val")))  # doctest: +SKIP
        'a dog runs on grass'
    """
    if batch_size < 1:
        raise CaptioningError(f"The batch size is {batch_size}; it must be at least 1.")
    if model.generation_config.max_new_tokens is None:
        generation.setdefault("max_new_tokens", MAX_NEW_TOKENS)
    return _captions_of_features(model, processor, features, batch_size, generation)


def _captions_of_features(
    model: LinearVisionPrefixModel,
    processor: LinearVisionPrefixProcessor,
    features: Sequence[torch.Tensor],
    batch_size: int,
    generation: dict[str, Any],
) -> Iterator[str]:
    for start in range(0, len(features), batch_size):
        batch = torch.stack([features[row] for row in range(start, min(start + batch_size, len(features)))])
        inputs = processor(image_features=batch.float(), return_tensors="pt").to(model.device)
        with torch.inference_mode(), fitting_in_memory(len(batch), model.device):
            generated = model.generate(**inputs, **generation)
        yield from processor.caption(generated[:, inputs["input_ids"].shape[1] :], prompt="")


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
        return photo_pixels(photo, self.processor.image_processor)

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
    def answer(pixels: list[torch.Tensor]) -> list[str]:
        with torch.inference_mode(), fitting_in_memory(len(pixels), model.device):
            generated = model.generate(**batching.inputs(pixels, model.device), **generation)
        return batching.captions(generated)

    with closing(answers_in_order(photos, batching.read, answer, batch_size)) as answers:
        for one in answers:
            yield PhotoCaption(one.asked, one.result, one.error)
