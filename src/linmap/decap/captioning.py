"""Photos and videos in, captions out, each with the sentences of the memory that it was made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (its usual name)

from linmap.data.ahead import answers_in_order, fitting_in_memory, photo_pixels
from linmap.data.images import Photo
from linmap.data.video import sample_frames
from linmap.decap.strategies import SupportSentence, require_strategy, support_of
from linmap.errors import CaptioningError, LinmapError

if TYPE_CHECKING:
    from linmap.decap.modeling import DeCapModel
    from linmap.decap.processing import DeCapProcessor

__all__ = ["DecodedCaption", "Video", "caption_latents", "caption_photos", "caption_videos"]

Video: TypeAlias = str | Path | Sequence[Photo]
"""The file of a video, or its frames."""


@dataclass(frozen=True)
class DecodedCaption:
    """What became of one photo or video: a caption and what it was made of, or the error that says why there is none.

    Args:
        photo: The photo or video as it was given.
        caption: The caption; `None` where `error` is set.
        support: The captions of the memory behind it, the weightiest first, as many as were asked for.
        error: Why it could not be read; `None` where `caption` is set.
    """

    photo: Photo | Video
    caption: str | None = None
    support: tuple[SupportSentence, ...] = ()
    error: LinmapError | None = None


def caption_latents(
    model: DeCapModel,
    processor: DeCapProcessor,
    latents: Tensor,
    *,
    strategy: str | None = None,
    tau: float | None = None,
    num_support: int = 0,
    **generation: Any,
) -> list[tuple[str, tuple[SupportSentence, ...]]]:
    """Captions for latents of photos, each with its support.

    Args:
        model: With a memory, unless the strategy is `"visual"`.
        processor: The model's processor.
        latents: (photos, latent_dim) of photos.
        strategy: One of `linmap.decap.configuration.STRATEGIES`; None takes the model's.
        tau: Temperature of the projection; None takes the model's.
        num_support: Captions of the memory to return with each caption, at most.
        **generation: Passed to `model.generate`, such as `num_beams`.

    Returns:
        For each photo its caption and its support.

    Raises:
        ConfigurationError: The strategy needs a memory, and the model has none.
        CaptioningError: `generate` was told to write several captions of each photo.
        UnknownNameError: No such strategy.
    """
    strategy = strategy or model.config.strategy
    tau = model.config.tau if tau is None else tau
    memory = require_strategy(strategy, model.memory)
    with torch.inference_mode():
        latents = latents.to(model.projector.weight.device)
        if strategy == "retrieval" and memory is not None:
            captions = [memory.captions[row] for row in memory.nearest(latents).tolist()]
        else:
            captions = processor.caption(model.generate(latents, strategy=strategy, tau=tau, **generation))
        if len(captions) != len(latents):
            raise CaptioningError(
                f"{len(captions)} captions were written for {len(latents)} photos, and each has one here. Leave "
                "num_return_sequences out, or take all of them from model.generate."
            )
        if not num_support:
            return [(caption, ()) for caption in captions]
        support = support_of(latents, strategy, memory, tau, num_support)
    return [(caption, tuple(found)) for caption, found in zip(captions, support, strict=True)]


def caption_photos(
    model: DeCapModel,
    processor: DeCapProcessor,
    photos: Iterable[Photo],
    *,
    batch_size: int = 16,
    **how: Any,
) -> Iterator[DecodedCaption]:
    """Captions `photos`, one answer each, in input order; a photo that cannot be read costs only its own caption.

    Args:
        model: With its dual encoder and, unless the strategy is `"visual"`, a memory.
        processor: The model's processor.
        photos: Paths, encoded bytes, or pictures; read ahead of the model, two batches at most.
        batch_size: Photos captioned at a time, at least 1.
        **how: As `caption_latents` takes it: `strategy`, `tau`, `num_support`, and what `generate` takes.

    Yields:
        A `DecodedCaption` for every photo.

    Raises:
        CaptioningError: The batch size is below 1, the model has no dual encoder, or a batch does not fit in memory.
        ConfigurationError: As `caption_latents`.

    Example:
        >>> for answer in caption_photos(model, processor, ["dog.jpg"], num_support=3):  # doctest: +SKIP
        ...     print(answer.caption, [sentence.caption for sentence in answer.support])
    """
    return _captions(
        model,
        processor,
        photos,
        lambda photo: photo_pixels(photo, processor.image_processor),
        lambda pixels: model.encode_images(torch.stack(pixels)),
        batch_size,
        how,
    )


def caption_videos(
    model: DeCapModel,
    processor: DeCapProcessor,
    videos: Iterable[Video],
    *,
    num_frames: int = 8,
    batch_size: int = 4,
    **how: Any,
) -> Iterator[DecodedCaption]:
    """Captions `videos` by the mean latent of their frames (section 4.4); the rest as `caption_photos`.

    Args:
        model: As there.
        processor: As there.
        videos: Files, each sampled at `num_frames` moments, or lists of frames, of which as many are taken.
        num_frames: Frames of each video, at even distances.
        batch_size: Videos captioned at a time.
        **how: As there.

    Yields:
        A `DecodedCaption` for every video.

    Raises:
        CaptioningError: As there.
        MissingExtraError: For files: PyAV is not installed.
    """

    def frames_of(video: Video) -> Tensor:
        frames = sample_frames(video, num_frames)
        return torch.stack([photo_pixels(frame, processor.image_processor) for frame in frames])

    def latents_of(videos: list[Tensor]) -> Tensor:
        frames = model.encode_images(torch.cat(videos)).split([len(video) for video in videos])
        return torch.stack([F.normalize(latents.mean(0), dim=0) for latents in frames])

    return _captions(model, processor, videos, frames_of, latents_of, batch_size, how)


def _captions(
    model: DeCapModel,
    processor: DeCapProcessor,
    photos: Iterable[Any],
    prepare: Callable[[Any], Tensor],
    encode: Callable[[list[Tensor]], Tensor],
    batch_size: int,
    how: dict[str, Any],
) -> Iterator[DecodedCaption]:
    if model.dual_encoder is None:
        raise CaptioningError("This model holds no dual encoder: it takes latents, not photos. Load it with one.")
    require_strategy(how.get("strategy") or model.config.strategy, model.memory)

    def answer(pixels: list[Tensor]) -> list[tuple[str, tuple[SupportSentence, ...]]]:
        with fitting_in_memory(len(pixels), model.projector.weight.device):
            return caption_latents(model, processor, encode(pixels), **how)

    answers = answers_in_order(photos, prepare, answer, batch_size)

    def captions() -> Iterator[DecodedCaption]:
        for given in answers:
            caption, support = given.result or (None, ())
            yield DecodedCaption(given.asked, caption, support, given.error)

    return captions()
