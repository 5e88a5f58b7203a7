"""Encodes every photo once before training, and keeps the result on disk for the run that resumes."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from linmap.data import encoding
from linmap.data.encoding import EncodedPhotos
from linmap.data.images import EncodedPhoto, Photo, UnreadableImages
from linmap.errors import UnreadableImageError

if TYPE_CHECKING:
    from linmap.prefix.modeling import LinearVisionPrefixModel
    from linmap.prefix.processing import LinearVisionPrefixProcessor

__all__ = ["cached_features", "encode_photos"]

logger = logging.getLogger(__name__)

FEATURES_FILE = "features.safetensors"
FACTS_FILE = "features.json"


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
    key = _digest({"identity": identity, "dtype": str(dtype), "photos": [_fact(photo) for photo in photos]})
    kept = _read(folder, key)
    if kept is None:
        encoded = encode_photos(model, processor, photos, dtype=dtype, unreadable=unreadable, batch_size=batch_size)
        _write(folder, key, identity, encoded)
        return encoded.features, encoded.rows
    features, facts = kept
    unreadable.leave_out(*(UnreadableImageError(name, reason) for name, reason in facts["unreadable"]))
    logger.info("Features of %d photos read from %s", len(features), folder / FEATURES_FILE)
    return features, facts["rows"]


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


def _fact(photo: Photo) -> list[Any]:
    if isinstance(photo, EncodedPhoto):
        return [photo.name, hashlib.sha256(photo.data).hexdigest()]
    if isinstance(photo, Image.Image):
        return [photo.mode, list(photo.size), hashlib.sha256(photo.tobytes()).hexdigest()]
    path = Path(photo)
    if not path.exists():
        return [str(path)]
    stat = path.stat()
    return [str(path), stat.st_size, stat.st_mtime_ns]


def _digest(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _read(folder: Path, key: str) -> tuple[Tensor, dict[str, Any]] | None:
    """The kept features and their facts, or None when there are none or they are of something else."""
    facts_file, features_file = folder / FACTS_FILE, folder / FEATURES_FILE
    if not (facts_file.is_file() and features_file.is_file()):
        return None
    try:
        facts = json.loads(facts_file.read_text(encoding="utf-8"))
        if facts["key"] != key:
            logger.warning("%s holds the features of other photos or another encoder; encoding anew", folder)
            return None
        return load_file(features_file)["features"], facts
    except (ValueError, KeyError, SafetensorError) as error:
        logger.warning("%s cannot be read (%s); encoding anew", folder, error)
        return None


def _write(folder: Path, key: str, identity: dict[str, Any], encoded: EncodedPhotos) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    facts_file, features_file = folder / FACTS_FILE, folder / FEATURES_FILE
    facts_file.unlink(missing_ok=True)  # the facts come last: without them the features do not count
    part = features_file.with_suffix(".part")
    save_file({"features": encoded.features.contiguous()}, part)
    part.replace(features_file)
    facts = {
        "key": key,
        "identity": identity,
        "shape": list(encoded.features.shape),
        "rows": encoded.rows,
        "unreadable": [(error.image, error.reason) for error in encoded.errors],
    }
    part = facts_file.with_suffix(".part")
    part.write_text(json.dumps(facts), encoding="utf-8")
    part.replace(facts_file)
