"""Encoding photos once, shard by shard, so that an extraction that is cut off goes on and ends with the same bytes."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from huggingface_hub.utils import tqdm
from torch import Tensor
from transformers import BaseImageProcessor

from linmap.data.ahead import answers_in_order, photo_pixels
from linmap.data.feature_identity import FeatureIdentity
from linmap.data.feature_store_files import (
    DTYPES,
    begin_store,
    finished_shard,
    forget_parts,
    shard_file,
    write_shard,
)
from linmap.data.images import Photo, UnreadableImages
from linmap.errors import FeatureStoreError, UnknownNameError, UnreadableImageError

__all__ = ["BAR", "Extracted", "PhotoShard", "PlacedPhoto", "checked_dtype", "extract_features", "rows_of_a_shard"]

logger = logging.getLogger(__name__)

SHARD_ROWS = 1024
"""Photos in a shard, at most: an extraction that is cut off loses no more, and several processes have work each."""

SHARD_BYTES = 128 << 20
"""Features in a shard, at most, in bytes, where the store cuts the shards itself."""

BAR = "linmap.features"
"""Name of the progress bar, for those who turn others off."""


class PlacedPhoto(NamedTuple):
    """A photo on its way into a store.

    Args:
        key: What the source calls it.
        photo: What `open_photo` opens, or a function that gives that, called where photos are read.
        captions: At least one.
        split: Where the source names one.
    """

    key: str
    photo: Photo | Callable[[], Photo]
    captions: tuple[str, ...]
    split: str | None = None


@dataclass(frozen=True)
class PhotoShard:
    """The photos that become one shard of a store.

    Args:
        name: Of the shard, such as `"00001"`.
        facts: What the index says of it besides, ready for JSON; of another source they are others.
        photos: Gives the photos, in an order that is the same each time, and what the source itself has unreadable;
            called when it is the shard's turn.
    """

    name: str
    facts: Mapping[str, Any]
    photos: Callable[[], tuple[Sequence[PlacedPhoto], Sequence[UnreadableImageError]]]


@dataclass(frozen=True)
class Extracted:
    """What a process has done for a store.

    Args:
        shards: Of this process.
        found: Of these, how many were there already.
        rows: Photos in them.
        captions: Of these photos.
        unreadable: Photos that were left out, each with the reason.
    """

    shards: int
    found: int
    rows: int
    captions: int
    unreadable: tuple[tuple[str, str], ...]


def rows_of_a_shard(identity: FeatureIdentity, dtype: str) -> int:
    """How many photos a shard of such features holds."""
    bytes_each = identity.cells * identity.width * checked_dtype(dtype).itemsize
    return max(1, min(SHARD_ROWS, SHARD_BYTES // bytes_each))


def checked_dtype(name: str) -> torch.dtype:
    """The number type called so.

    Raises:
        UnknownNameError: Features cannot be kept in it.
    """
    if name not in DTYPES:
        raise UnknownNameError("dtype", name, DTYPES)
    return DTYPES[name]


def extract_features(
    shards: Sequence[PhotoShard],
    encode: Callable[[Tensor], Tensor],
    image_processor: BaseImageProcessor,
    directory: str | Path,
    identity: FeatureIdentity,
    *,
    source: Mapping[str, Any],
    dtype: str = "float16",
    batch_size: int = 32,
    job: tuple[int, int] = (0, 1),
    unreadable: UnreadableImages | None = None,
) -> Extracted:
    """Encodes the photos of every shard and writes the features, with a progress bar.

    An extraction that was cut off goes on when it is called again with the same arguments: shards that are finished
    are checked and not encoded again, and every file ends with the bytes it would have had. So it does whatever the
    number of processes: what is encoded together, and what is written together, does not depend on it.

    Args:
        shards: All shards of the store, in order.
        encode: From pixel values (batch, 3, height, width) on the CPU to features (batch, cells, width), on any device.
        image_processor: The preprocessing that belongs to the encoder.
        directory: Of the store; made if need be.
        identity: Whose features these are.
        source: What tells the source of the photos from another; ready for JSON, and kept in the index.
        dtype: `"float32"`, `"float16"` or `"bfloat16"`.
        batch_size: Photos encoded at once; a batch never reaches beyond its shard.
        job: (index, count): this process writes the shards index, index + count, and so on. All may run at once.
        unreadable: Counts the photos that cannot be read, those of finished shards among them; left out: the first one
            stops.

    Raises:
        UnreadableImageError: For the first photo that cannot be read, or the first beyond the limit of `unreadable`.
        FeatureStoreError: The folder holds another store; there is no photo; or features overflow the number type.
    """
    directory, unreadable = Path(directory), unreadable or UnreadableImages()
    index, count = job
    if not shards:
        raise FeatureStoreError("There is no photo to extract features of; check the source, the split and the limit.")
    if not 0 <= index < count:
        raise FeatureStoreError(f"There is no shard index {index} of {count}; indices go from 0 to {count - 1}.")
    plan = {
        "identity": identity.to_dict(),
        "dtype": dtype,
        "source": dict(source),
        "batch_size": batch_size,
        "shards": [{"name": shard.name, **shard.facts} for shard in shards],
    }
    checked_dtype(dtype)
    begin_store(directory, plan)
    own = shards[index::count]
    found, facts = 0, []
    with tqdm(total=None, desc=f"Extracting features, {len(own)} shards", unit="photo", name=BAR) as bar:
        for shard in own:
            there = finished_shard(directory, shard.name)
            if there is not None:
                found += 1
                unreadable.leave_out(*(UnreadableImageError(key, reason) for key, reason in there["unreadable"]))
                bar.update(there["rows"])
            else:
                forget_parts(directory, shard.name)
                there = _extract(
                    shard, encode, image_processor, directory, identity, dtype, batch_size, unreadable, bar
                )
            facts.append(there)
    return Extracted(
        shards=len(own),
        found=found,
        rows=sum(one["rows"] for one in facts),
        captions=sum(one["captions"] for one in facts),
        unreadable=tuple((key, reason) for one in facts for key, reason in one["unreadable"]),
    )


def _extract(
    shard: PhotoShard,
    encode: Callable[[Tensor], Tensor],
    image_processor: BaseImageProcessor,
    directory: Path,
    identity: FeatureIdentity,
    dtype: str,
    batch_size: int,
    unreadable: UnreadableImages,
    bar: tqdm,
) -> dict[str, Any]:
    photos, broken = shard.photos()
    unreadable.leave_out(*broken)
    kept: list[PlacedPhoto] = []
    errors = [(error.image, error.reason) for error in broken]

    def pixels(placed: PlacedPhoto) -> Tensor:
        return photo_pixels(placed.photo() if callable(placed.photo) else placed.photo, image_processor)

    def features(batch: list[Tensor]) -> Iterable[Tensor]:
        with torch.no_grad():
            return encode(torch.stack(batch)).to("cpu", DTYPES[dtype])

    shape = (len(photos), identity.cells, identity.width)
    with (
        _rows_on_disk(directory, shard.name, shape, DTYPES[dtype]) as rows,
        closing(answers_in_order(photos, pixels, features, batch_size)) as answers,
    ):
        for answer in answers:
            bar.update()
            if isinstance(answer.error, UnreadableImageError):
                unreadable.leave_out(answer.error)
                errors.append((answer.asked.key, answer.error.reason))
                continue
            if answer.error is not None:
                raise answer.error
            assert answer.result is not None  # there is no error
            if not torch.isfinite(answer.result).all():
                raise FeatureStoreError(
                    f"The features of {answer.asked.key} are not finite in {dtype}; keep them in float32 or bfloat16: "
                    "--dtype float32."
                )
            rows[len(kept)] = answer.result
            kept.append(answer.asked)
        return write_shard(
            directory,
            shard.name,
            rows[: len(kept)],
            [placed.key for placed in kept],
            [placed.captions for placed in kept],
            [placed.split for placed in kept],
            errors,
        )


@contextmanager
def _rows_on_disk(directory: Path, name: str, shape: tuple[int, int, int], dtype: torch.dtype) -> Iterator[Tensor]:
    """A tensor that lies in a file, so that a shard of any size takes no memory; the file is gone afterwards.

    Raises:
        FeatureStoreError: The disk has no room for the shard and the copy of it that is kept.
    """
    values = shape[0] * shape[1] * shape[2]
    if not values:
        yield torch.empty(shape, dtype=dtype)
        return
    needed, free = 2 * values * dtype.itemsize, shutil.disk_usage(directory).free
    if needed > free:
        raise FeatureStoreError(
            f"{shard_file(directory, name)} needs {needed:,} bytes while it is written, and {free:,} are free; make "
            "room, or choose another --output."
        )
    file = directory / f"features-{name}.rows.part"
    try:
        yield torch.from_file(str(file), shared=True, size=values, dtype=dtype).view(shape)
    finally:
        file.unlink(missing_ok=True)
