"""Photos through a frozen encoder, each once: read ahead by threads, encoded in batches, unreadable ones counted."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch
from huggingface_hub.utils import tqdm
from PIL import Image
from torch import Tensor
from transformers import BaseImageProcessor

from linmap.data.images import Photo, UnreadableImages, open_photo
from linmap.errors import CaptionDataError, UnreadableImageError

__all__ = ["EncodedPhotos", "encode_photos", "readable_photos"]


class EncodedPhotos(NamedTuple):
    """What became of some photos.

    Args:
        features: (readable photos, …) on the CPU, in the order of the photos.
        rows: For each row of `features`, the index of its photo.
        errors: What could not be read, in order.
    """

    features: Tensor
    rows: list[int]
    errors: list[UnreadableImageError]


def encode_photos(
    encode: Callable[[Tensor], Tensor],
    image_processor: BaseImageProcessor,
    photos: Sequence[Photo],
    *,
    dtype: torch.dtype = torch.float32,
    unreadable: UnreadableImages | None = None,
    batch_size: int = 32,
) -> EncodedPhotos:
    """Runs `encode` over all photos, with a progress bar.

    Args:
        encode: From pixel values (batch, 3, height, width) on the CPU to features (batch, …), on any device.
        image_processor: The preprocessing that belongs to the encoder.
        photos: The photos, in order.
        dtype: Number type of the result.
        unreadable: Counts the photos that cannot be read; left out: the first one stops.
        batch_size: Photos encoded at once.

    Raises:
        UnreadableImageError: For the first photo that cannot be read, or the first beyond the limit of `unreadable`.
        CaptionDataError: Not one of the photos can be read, or there is none.
    """
    unreadable = unreadable or UnreadableImages()
    out: Tensor | None = None
    rows: list[int] = []
    errors: list[UnreadableImageError] = []
    with (
        _readers() as pool,
        tqdm(total=len(photos), desc="Encoding photos", unit="photo") as bar,
        torch.no_grad(),  # not inference_mode: what is encoded here may be trained on
    ):
        for start in range(0, len(photos), batch_size):
            pictures: list[Image.Image] = []
            for index, opened in enumerate(pool.map(_open, photos[start : start + batch_size]), start):
                if isinstance(opened, UnreadableImageError):
                    unreadable.leave_out(opened)
                    errors.append(opened)
                else:
                    pictures.append(opened)
                    rows.append(index)
            bar.update(min(batch_size, len(photos) - start))
            if not pictures:
                continue
            batch = encode(image_processor(images=pictures, return_tensors="pt")["pixel_values"]).to("cpu", dtype)
            if out is None:
                out = torch.empty((len(photos), *batch.shape[1:]), dtype=dtype)
            out[len(rows) - len(batch) : len(rows)] = batch
    if out is None:
        raise CaptionDataError(f"None of the {len(photos)} photos can be read; check the folder of the photos.")
    return EncodedPhotos(out[: len(rows)].clone() if len(rows) < len(out) else out, rows, errors)


def readable_photos(photos: Sequence[Photo], unreadable: UnreadableImages) -> list[int]:
    """Opens every photo once, so that none turns out unreadable in the middle of the training.

    Args:
        photos: The photos, in order.
        unreadable: Counts the photos that cannot be read, and stops at too many.

    Returns:
        The index of each photo that can be read.
    """
    rows: list[int] = []
    with _readers() as pool, tqdm(total=len(photos), desc="Opening photos", unit="photo") as bar:
        for index, reason in enumerate(pool.map(_why_unreadable, photos)):
            bar.update()
            if reason is None:
                rows.append(index)
            else:
                unreadable.leave_out(reason)
    return rows


def _readers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1), thread_name_prefix="linmap-photos")


def _why_unreadable(photo: Photo) -> UnreadableImageError | None:
    opened = _open(photo)
    return opened if isinstance(opened, UnreadableImageError) else None


def _open(photo: Photo) -> Image.Image | UnreadableImageError:
    try:
        return open_photo(photo)
    except UnreadableImageError as error:
        return error
