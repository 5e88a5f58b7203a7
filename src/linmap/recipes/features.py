"""Encodes every photo once before training, and keeps the result on disk for the run that resumes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from linmap.data import encoding
from linmap.data.encoding import EncodedPhotos
from linmap.data.images import Photo, UnreadableImages
from linmap.recipes.feature_cache import kept_or_encoded, photo_fact

if TYPE_CHECKING:
    from linmap.prefix.modeling import LinearVisionPrefixModel
    from linmap.prefix.processing import LinearVisionPrefixProcessor

__all__ = ["cached_features", "encode_photos"]


def cached_features(
    model: LinearVisionPrefixModel,
    processor: LinearVisionPrefixProcessor,
    photos: Sequence[Photo],
    folder: Path,
    *,
    identity: dict[str, Any],
    dtype: torch.dtype,
    unreadable: UnreadableImages,
    batch_size: int = 32,
) -> tuple[Tensor, list[int]]:
    """`encode_photos`, read from `folder` when the same photos were encoded there by the same encoder.

    The folder then holds one safetensors file and one JSON file. What counts as the same: `identity` (the encoder, its
    preprocessing, the pooling), the number type, and the path, size and time of each photo, in order.

    Args:
        model: Model whose `encode_images` is used.
        processor: Its processor, for the preprocessing.
        photos: The photos, in order.
        folder: Where the two files lie.
        identity: JSON-able facts that say which encoder and preprocessing these are.
        dtype: Number type kept.
        unreadable: Counts the photos that cannot be read, and stops at too many.
        batch_size: Photos encoded at once.

    Returns:
        Features of shape (readable photos, cells, feature_dim) and, for each row, the index of its photo.
    """
    encoded = kept_or_encoded(
        folder,
        "features",
        {"identity": identity, "dtype": str(dtype), "photos": [photo_fact(photo) for photo in photos]},
        lambda: encode_photos(model, processor, photos, dtype=dtype, unreadable=unreadable, batch_size=batch_size),
        unreadable,
    )
    return encoded.features, encoded.rows


def encode_photos(
    model: LinearVisionPrefixModel,
    processor: LinearVisionPrefixProcessor,
    photos: Sequence[Photo],
    *,
    dtype: torch.dtype = torch.float32,
    mean: bool = False,
    unreadable: UnreadableImages | None = None,
    batch_size: int = 32,
) -> EncodedPhotos:
    """Frozen features of `photos` after the grid pooling, before the linear layer, on the CPU.

    Args:
        model: Model whose `encode_images` is used.
        processor: Its processor, for the preprocessing.
        photos: The photos, in order.
        dtype: Number type of the result.
        mean: Keep only the mean over a photo's cells.
        unreadable: Counts the photos that cannot be read; left out: the first one stops.
        batch_size: Photos encoded at once.

    Returns:
        Features of shape (readable photos, cells, feature_dim), one cell with `mean`; see `data.encoding.encode_photos`
        for the rest, and for what it raises.
    """

    def encode(pixel_values: Tensor) -> Tensor:
        features = model.encode_images(pixel_values)
        return features.float().mean(1, keepdim=True) if mean else features

    return encoding.encode_photos(
        encode, processor.image_processor, photos, dtype=dtype, unreadable=unreadable, batch_size=batch_size
    )
