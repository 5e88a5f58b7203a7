"""Photos with captions in several languages, from one file: lines of JSON, or Crossmodal-3600 (arXiv 2205.12522)."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from linmap.data.captions import Captioned, checked_captions, without_missing
from linmap.data.images import UnreadableImages
from linmap.data.text_files import place_of, read_text
from linmap.errors import CaptionDataError, UnknownNameError

__all__ = ["SUFFIXES", "read_language_captions"]

logger = logging.getLogger(__name__)

SUFFIXES = (".jsonl", ".ndjson")
"""What a file of captions in several languages is called."""

SHAPES = (
    'a line of {"image": "a.jpg", "captions": {"th": ["..."], "en": ["..."]}}, with or without a "split", or one of '
    'Crossmodal-3600, {"image/key": "...", "th": {"caption": ["..."]}}'
)


class _Record(NamedTuple):
    name: str
    captions: dict[str, Any]
    split: str | None


def read_language_captions(
    path: str | Path,
    images: str | Path,
    split: str | None = None,
    *,
    unreadable: UnreadableImages | None = None,
) -> dict[str, list[Captioned]]:
    """Reads captions in several languages about the photos in the folder `images`.

    Args:
        path: One photo a line: `{"image": "a.jpg", "captions": {"th": ["...", ...], "en": [...]}, "split": "test"}`
            (`"file"` for `"image"` is taken, too; split may be left out), or a line of Crossmodal-3600's
            `captions.jsonl`, whose photos are called as their keys, with `.jpg`.
        images: Folder the file names are relative to.
        split: Only photos of this split; `None` takes all.
        unreadable: Counts the photos that are missing, which are then left out up to its limit. By default one missing
            photo is an error.

    Returns:
        By language, in the order in which the file first names them, the photos that have captions in it. Lines about
        the same photo are joined and counted in a warning.

    Raises:
        UnreadableImageError: One photo is missing.
        TooManyUnreadableImagesError: Several are, named and counted.
        CaptionDataError: A line is of another form, a caption is empty or no text, or there is none at all.
        UnknownNameError: No such split.

    Example:
        >>> captioned = read_language_captions("captions.jsonl", "photos")  # doctest: +SKIP
        >>> list(captioned)  # doctest: +SKIP
        ['th', 'en']
    """
    path, images = Path(path), Path(images)
    records = list(_records(path))
    if split is not None:
        known = {record.split for record in records if record.split is not None}
        if not known:
            raise CaptionDataError(f"{path} names no splits, so there is no {split!r} in it; leave the split out.")
        if split not in known:
            raise UnknownNameError("split", split, known)
        records = [record for record in records if record.split == split]
    found: dict[str, dict[str, Captioned]] = {}
    seen: set[str] = set()
    several: set[str] = set()
    for record in records:
        place = place_of(images / record.name)
        several |= {place} & seen
        seen.add(place)
        for language, captions in record.captions.items():
            if captions == []:  # a photo may have none in a language
                continue
            texts = checked_captions(captions, f"{record.name} ({language})", {})
            photos = found.setdefault(language, {})
            before = photos[place].captions if place in photos else ()
            photos[place] = Captioned(images / record.name, (*before, *texts), record.split)
    if not found:
        raise CaptionDataError(f"{path} holds no captions; expected {SHAPES}.")
    if several:
        logger.warning("%d photos stand in several lines of %s; the captions of each were joined.", len(several), path)
    every = {place: photo for photos in found.values() for place, photo in photos.items()}
    present = without_missing(
        list(every.values()), images, unreadable if unreadable is not None else UnreadableImages()
    )
    there = {place_of(Path(str(photo.image))) for photo in present}
    kept = {
        language: [photo for place, photo in photos.items() if place in there] for language, photos in found.items()
    }
    return {language: photos for language, photos in kept.items() if photos}


def _records(path: Path) -> Iterator[_Record]:
    text = read_text(path, "captions file", CaptionDataError)
    for number, line in enumerate(text.split("\n"), start=1):  # splitlines would cut at U+2028, which captions may hold
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except (RecursionError, ValueError) as error:
            said = "its brackets are nested too deeply" if isinstance(error, RecursionError) else error
            raise CaptionDataError(f"{path}, line {number} is not JSON ({said}); expected {SHAPES}.") from error
        yield _record(content, f"{path}, line {number}")


def _record(content: Any, where: str) -> _Record:
    keys = content.keys() if isinstance(content, dict) else ()
    if "image/key" in keys:
        name = content["image/key"]
        if isinstance(name, str) and name.strip():
            languages = {key: value for key, value in content.items() if isinstance(value, dict) and "caption" in value}
            return _Record(f"{name}.jpg", {language: value["caption"] for language, value in languages.items()}, None)
    for key in ("image", "file"):
        if key in keys and isinstance(content[key], str) and content[key].strip():
            return _Record(content[key], _by_language(content.get("captions"), where), _split(content, where))
    found = f"the keys {', '.join(content) or '(none)'}" if isinstance(content, dict) else type(content).__name__
    raise CaptionDataError(f"{where} has {found}; expected {SHAPES}.")


def _by_language(captions: Any, where: str) -> dict[str, Any]:
    if not isinstance(captions, dict) or not all(isinstance(texts, list) for texts in captions.values()):
        raise CaptionDataError(f'{where}: "captions" are not lists of texts by language; expected {SHAPES}.')
    if "" in captions:
        raise CaptionDataError(f"{where}: a language has no name; give each its own.")
    return captions


def _split(content: dict[str, Any], where: str) -> str | None:
    split = content.get("split")
    if split is not None and not isinstance(split, str):
        raise CaptionDataError(f'{where}: "split" is {split!r}; expected one word, such as "test".')
    return split
