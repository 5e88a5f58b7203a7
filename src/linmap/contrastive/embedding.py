"""Photos and texts in bulk: through a tower once, batch by batch with a progress bar, and into the shared space."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import torch
from huggingface_hub.utils import tqdm
from torch import Tensor

from linmap.data.encoding import EncodedPhotos, encode_photos
from linmap.data.images import Photo, UnreadableImages

if TYPE_CHECKING:
    from transformers import BaseImageProcessor

__all__ = ["Comparing", "embed_features", "embed_photos", "encode_each_once", "photo_features"]

FEATURES_AT_ONCE = 4096
"""A head takes many more at a time than a tower."""

Prepared = TypeVar("Prepared", bound=Sized)


class Comparing(Protocol):
    """A model that compares photos with texts, as far as bulk embedding asks it."""

    config: Any

    def eval(self) -> Any:
        """Into eval mode."""

    def encode_images(self, pixel_values: Tensor) -> Tensor:
        """The features in front of the head."""

    def get_image_features(self, pixel_values: Tensor | None = None, image_features: Tensor | None = None) -> Tensor:
        """The embeddings."""


class Preparing(Protocol):
    """The processor of such a model."""

    image_processor: BaseImageProcessor


def photo_features(
    model: Comparing,
    processor: Preparing,
    photos: Sequence[Photo],
    *,
    unreadable: UnreadableImages | None = None,
    batch_size: int = 32,
) -> EncodedPhotos:
    """The image tower's features, in front of the head: what is worth caching, and what a linear probe takes.

    Args:
        model: On any device; put into eval mode first.
        processor: The model's processor.
        photos: Paths, encoded bytes, or pictures.
        unreadable: Counts the photos that cannot be read; left out: the first one stops.
        batch_size: Photos encoded at a time.

    Returns:
        `features` (readable photos, channels) float32 on the CPU, and for each row the index of its photo.

    Raises:
        UnreadableImageError: For the first photo that cannot be read, or the first beyond the limit of `unreadable`.
    """
    model.eval()
    return encode_photos(
        model.encode_images, processor.image_processor, photos, unreadable=unreadable, batch_size=batch_size
    )


def embed_photos(
    model: Comparing,
    processor: Preparing,
    photos: Sequence[Photo],
    *,
    unreadable: UnreadableImages | None = None,
    batch_size: int = 32,
) -> EncodedPhotos:
    """Photos in the shared space; arguments and errors as `photo_features`.

    Returns:
        `features` (readable photos, projection_dim) float32 on the CPU, L2-normalised, and `rows`.

    Example:
        >>> embed_photos(model, processor, ["dog.jpg"]).features.shape  # doctest: +SKIP
        torch.Size([1, 512])
    """
    model.eval()
    return encode_photos(
        model.get_image_features, processor.image_processor, photos, unreadable=unreadable, batch_size=batch_size
    )


@torch.no_grad()
def encode_each_once(
    texts: Sequence[str],
    prepare: Callable[[list[str]], Sequence[Prepared]],
    encode: Callable[[list[Prepared]], Tensor],
    *,
    width: int,
    batch_size: int,
) -> Tensor:
    """Texts through a tower, texts that are equal once, those of about the same length together.

    Args:
        texts: Any number of texts.
        prepare: From the texts, each there once, to what the tower reads of each; its length says what it goes with.
        encode: From some of these to features (some, width), on any device.
        width: Channels of the features.
        batch_size: Texts encoded at a time.

    Returns:
        (texts, width) float32 on the CPU, in the order of the texts.
    """
    different = list(dict.fromkeys(texts))
    prepared = prepare(different) if different else []
    order = sorted(range(len(different)), key=lambda index: len(prepared[index]))
    features = torch.empty(len(different), width)
    at_once = len(different) <= batch_size  # no bar for one batch: a collator asks for many of them
    with tqdm(total=len(different), desc="Encoding texts", unit="text", disable=at_once) as bar:
        for start in range(0, len(different), batch_size):
            rows = order[start : start + batch_size]
            features[rows] = encode([prepared[row] for row in rows]).float().cpu()
            bar.update(len(rows))
    places = {text: place for place, text in enumerate(different)}
    return features[[places[text] for text in texts]]


@torch.no_grad()
def embed_features(project: Callable[[Tensor], Tensor], features: Tensor, *, width: int) -> Tensor:
    """Features through a head, some thousands at a time.

    Args:
        project: From features (some, channels) to embeddings (some, width), on any device.
        features: (rows, channels).
        width: Channels of the embeddings.

    Returns:
        (rows, width) on the CPU.
    """
    return torch.cat(
        [project(part).cpu() for part in features.split(FEATURES_AT_ONCE)] if len(features) else [torch.empty(0, width)]
    )
