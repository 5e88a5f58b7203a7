"""Where the photos of a feature store come from: a captions file, cut into shards, or tar files, each a shard."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linmap.data.captions import Captioned, read_captions
from linmap.data.feature_store_building import PhotoShard, PlacedPhoto
from linmap.data.images import UnreadableImages
from linmap.data.shards import caption_shards, look_through
from linmap.data.stored_files import described
from linmap.data.text_files import is_file
from linmap.errors import CaptionDataError, UnreadableImageError

__all__ = ["Source", "photo_source"]


@dataclass(frozen=True)
class Source:
    """Captioned photos on their way into a store.

    Args:
        facts: What tells the source from another, ready for JSON.
        shards: The photos.
    """

    facts: dict[str, Any]
    shards: list[PhotoShard]


def photo_source(
    data: str | Path,
    images: str | Path | None,
    *,
    rows: int,
    split: str | None = None,
    limit: int | None = None,
    unreadable: UnreadableImages | None = None,
) -> Source:
    """Finds the photos and cuts them into shards; reads no photo.

    Args:
        data: A captions file (JSON as Flickr8k's, COCO's or Karpathy's), or tar files: a folder or a pattern as
            `caption_shards` takes it.
        images: Folder of the photos of a captions file.
        rows: Photos in a shard; a tar file is one shard whatever it holds.
        split: Of a captions file; None takes all.
        limit: Only the first photos.
        unreadable: Counts photos of a captions file that are missing, which are then left out up to its limit.

    Raises:
        CaptionDataError: The source cannot be read; or `images` or `split` does not go with it.
        UnreadableImageError: A photo is missing.
    """
    facts = {"split": split, "limit": limit}
    if Path(data).suffix.lower() == ".json" or (is_file(Path(data)) and Path(data).suffix.lower() != ".tar"):
        if images is None:
            raise CaptionDataError(f"{data} is a captions file: name the folder of its photos as --images.")
        captioned = read_captions(data, images, split, unreadable=unreadable)[:limit]
        known = described(Path(data))
        return Source({"name": known.pop("file"), **known, **facts}, _cut(captioned, Path(images), rows))
    for option, value in (("--images", images), ("--split", split)):
        if value is not None:
            raise CaptionDataError(
                f"{option} {value} was given with {data}, which is no captions file (*.json): tar files hold their "
                "photos and have no splits. Leave it out."
            )
    tars = caption_shards(data)
    return Source({"name": Path(data).name, **facts}, _of_tars(tars, limit))


def _cut(captioned: Sequence[Captioned], images: Path, rows: int) -> list[PhotoShard]:
    """What the index says of a shard: how many photos, and a digest of their keys, captions and splits."""

    def key(photo: Captioned) -> str:
        file = Path(str(photo.image))  # elsewhere where the captions file says a whole path
        return (file.relative_to(images) if file.is_relative_to(images) else file).as_posix()

    def placed(first: int) -> list[PlacedPhoto]:
        return [
            PlacedPhoto(key(photo), photo.image, photo.captions, photo.split)
            for photo in captioned[first : first + rows]
        ]

    def taken(first: int) -> Callable[[], tuple[list[PlacedPhoto], list[UnreadableImageError]]]:
        return lambda: (placed(first), [])

    shards = []
    for number, first in enumerate(range(0, len(captioned), rows), start=1):
        said = [[photo.key, photo.captions, photo.split] for photo in placed(first)]
        facts = {"photos": len(said), "sha256": hashlib.sha256(json.dumps(said).encode()).hexdigest()}
        shards.append(PhotoShard(f"{number:05d}", facts, taken(first)))
    return shards


def _of_tars(tars: Sequence[Path], limit: int | None) -> list[PhotoShard]:
    shards: list[PhotoShard] = []
    left = limit
    for number, tar in enumerate(tars, start=1):
        facts: dict[str, Any] = {"source": tar.name, "bytes": tar.stat().st_size}
        if left is not None:
            if left <= 0:
                break
            facts["photos"] = min(left, len(look_through(tar)[0]))
            left -= facts["photos"]
        shards.append(PhotoShard(f"{number:05d}", facts, _taken_from(tar, facts.get("photos"))))
    return shards


def _taken_from(tar: Path, count: int | None) -> Callable[[], tuple[list[PlacedPhoto], list[UnreadableImageError]]]:
    def photos() -> tuple[list[PlacedPhoto], list[UnreadableImageError]]:
        samples, errors = look_through(tar)
        placed = [PlacedPhoto(sample.key, sample.photo, (sample.caption,)) for sample in samples[:count]]
        return placed, [UnreadableImageError(_inside(tar, error.image), error.reason) for error in errors]

    return photos


def _inside(tar: Path, name: str) -> str:
    """The name of a photo without the folder its tar file happens to lie in."""
    return f"{tar.name}{name.removeprefix(str(tar))}"
