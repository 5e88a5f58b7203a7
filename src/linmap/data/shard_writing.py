"""Captioned photos written as tar files in img2dataset's layout: the same examples give the same bytes."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from linmap.data.images import PHOTO_SUFFIXES, EncodedPhoto, Photo
from linmap.data.text_files import is_unicode
from linmap.errors import CaptionDataError, OutputFolderError, UnreadableImageError

__all__ = ["write_caption_shards"]


def write_caption_shards(
    examples: Iterable[Mapping[str, Any]], folder: str | Path, per_shard: int = 10_000
) -> list[Path]:
    """Writes `00000.tar`, `00001.tar`, … into `folder`, each example as `KEY.jpg`, `KEY.txt` and `KEY.json`.

    Files of photos go in as they are, not decoded; a picture in memory goes in as PNG. Equal examples give equal bytes.
    Beside each shard `00000_stats.json` says how many there are, as img2dataset's does.

    Args:
        examples: `{"image": photo, "caption": text}`, as `caption_examples` gives them; read one by one.
        folder: Made if need be; must hold no tar file yet.
        per_shard: Examples in a shard. img2dataset's own number is 10,000; a training needs at least as many shards as
            it has processes times workers.

    Returns:
        The shards, in order.

    Raises:
        OutputFolderError: The folder holds shards.
        UnreadableImageError: A photo is not there or no image; none is decoded, so a damaged one is not noticed.
        CaptionDataError: An example has no caption, there is no example, or `per_shard` is below 1.

    Example:
        >>> import tempfile
        >>> examples = [{"image": Image.new("RGB", (8, 8)), "caption": "a black square"}] * 3
        >>> [shard.name for shard in write_caption_shards(examples, tempfile.mkdtemp(), per_shard=2)]
        ['00000.tar', '00001.tar']
    """
    if per_shard < 1:
        raise CaptionDataError(f"per_shard is {per_shard}; a shard must hold at least 1 example.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob("*.tar")):
        raise OutputFolderError(f"{folder} holds shards (*.tar) already; choose another folder.")
    waiting = iter(examples)
    shards: list[Path] = []
    while page := list(islice(waiting, per_shard)):
        shard = folder / f"{len(shards):05d}.tar"
        part = shard.with_suffix(".tar.part")
        with tarfile.open(part, "w", format=tarfile.GNU_FORMAT) as tar:
            for place, example in enumerate(page):
                for name, data in _members(example, _key(len(shards), place, per_shard)):
                    member = tarfile.TarInfo(name)  # of nobody, of 1970: nothing but the content counts
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
        part.replace(shard)
        said = {"count": len(page), "successes": len(page)}
        shard.with_name(f"{shard.stem}_stats.json").write_text(json.dumps(said), encoding="utf-8")
        shards.append(shard)
    if not shards:
        raise CaptionDataError(f"There is no example to write into {folder}.")
    return shards


def _key(shard: int, place: int, per_shard: int) -> str:
    """img2dataset's: five digits of the shard, then as many as its places need."""
    return f"{shard:05d}{place:0{max(len(str(per_shard - 1)), 1)}d}"


def _members(example: Mapping[str, Any], key: str) -> Iterator[tuple[str, bytes]]:
    caption = example.get("caption")
    if not isinstance(caption, str) or not caption.strip() or not is_unicode(caption):
        raise CaptionDataError(f"The example {example.get('image')} has the caption {caption!r}; expected a text.")
    if example.get("image") is None:
        raise CaptionDataError(f"The example with the caption {caption!r} has no image; take it out.")
    suffix, data = _encoded(example["image"])
    said = {"caption": caption, "key": key, "status": "success"}
    yield f"{key}{suffix}", data
    yield f"{key}.txt", caption.encode()
    yield f"{key}.json", json.dumps(said, ensure_ascii=False).encode()


def _encoded(photo: Photo) -> tuple[str, bytes]:
    """Suffix and bytes of a photo's file."""
    if isinstance(photo, Image.Image):
        file = io.BytesIO()
        try:
            photo.save(file, "PNG")
        except OSError as error:
            reason = f"it cannot be written as PNG ({error}); convert it to RGB"
            raise UnreadableImageError(f"a picture of {photo.width} x {photo.height} pixels", reason) from error
        return ".png", file.getvalue()
    try:
        data = photo.data if isinstance(photo, EncodedPhoto) else Path(photo).read_bytes()
    except OSError as error:
        raise UnreadableImageError(str(photo), f"it cannot be opened ({error.strerror}); check the path") from error
    suffix = Path(str(photo)).suffix.lower()
    return (suffix if suffix in PHOTO_SUFFIXES else _suffix_of(data, str(photo))), data


def _suffix_of(data: bytes, name: str) -> str:
    """What a file of no known suffix would be called, by its first bytes."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            known = (image.format or "").lower()
    except (UnidentifiedImageError, OSError) as error:
        raise UnreadableImageError(name, "its bytes are no image that Pillow knows; take it out") from error
    suffix = {"jpeg": ".jpg", "mpo": ".jpg"}.get(known, f".{known}")
    if suffix not in PHOTO_SUFFIXES:
        raise UnreadableImageError(name, f"it is {known.upper()}, which shards do not hold; save it as JPEG or PNG")
    return suffix
