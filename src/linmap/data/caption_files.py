"""The formats of captions files: Flickr8k's, COCO's, NoCaps', Karpathy's; each to records of photos."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from linmap.data.text_files import read_json
from linmap.errors import CaptionDataError, UnknownNameError

__all__ = ["DOMAINS", "FORMATS", "CaptionRecord", "Format", "caption_records"]

FORMATS = ("coco", "flickr8k", "karpathy", "nocaps")

Format: TypeAlias = Literal["coco", "flickr8k", "karpathy", "nocaps"]

DOMAINS = ("in-domain", "near-domain", "out-domain")
"""What NoCaps calls its photos (arXiv 1812.08658, section 3.3): of COCO's classes alone, of both kinds, of new ones."""


class CaptionRecord(NamedTuple):
    """What a captions file says of one photo.

    Args:
        name: File name.
        captions: As they stand in the file.
        split: Where the file names one.
        domain: One of `DOMAINS`, in NoCaps.
    """

    name: str
    captions: list[Any]
    split: str | None = None
    domain: str | None = None


def caption_records(path: Path, format: Format | None) -> list[CaptionRecord]:  # noqa: A002 - as read_captions has it
    """The records of the captions file `path`, in its order; see `read_captions`."""
    content = read_json(path, "captions file", CaptionDataError, f"give a captions file in JSON, {_shapes()}")
    format = format or _format_of(content, path)  # noqa: A001
    if format not in FORMATS:
        raise UnknownNameError("captions format", format, FORMATS)
    readers = {"coco": _coco, "flickr8k": _flickr8k, "karpathy": _karpathy, "nocaps": _nocaps}
    return list(readers[format](content, path))


def _shapes() -> str:
    return (
        'either a list of {"file", "captions", "split"} (flickr8k) or {"images": [...], "annotations": [...]} (coco; '
        'with a "domain" in each image nocaps) or {"images": [{"filename", "split", "sentences"}]} (karpathy)'
    )


def _format_of(content: Any, path: Path) -> Format:
    if isinstance(content, dict) and {"images", "annotations"} <= content.keys():
        images = content["images"]
        first = images[0] if isinstance(images, list) and images else None
        return "nocaps" if isinstance(first, dict) and "domain" in first else "coco"
    if isinstance(content, dict) and "images" in content:
        return "karpathy"
    if isinstance(content, list):
        return "flickr8k"
    found = f"an object with the keys {', '.join(content) or '(none)'}" if isinstance(content, dict) else "a bare value"
    raise CaptionDataError(f"{path} holds {found}; expected {_shapes()}.")


def _flickr8k(content: Any, path: Path) -> Iterator[CaptionRecord]:
    if not isinstance(content, list) or not content:
        raise CaptionDataError(
            f'{path} holds no list of {{"file", "captions", "split"}}, as the format flickr8k has it.'
        )
    for number, record in enumerate(content, start=1):
        if not isinstance(record, dict) or not {"file", "captions"} <= record.keys():
            found = f"the keys {', '.join(record) or '(none)'}" if isinstance(record, dict) else type(record).__name__
            raise CaptionDataError(f'{path}: record {number} has {found}; expected "file" and "captions".')
        name = _text(record["file"], f'"file" of record {number}', path)
        if not isinstance(record["captions"], list):
            raise CaptionDataError(f'{path}: "captions" of {name} is no list of strings.')
        yield CaptionRecord(name, record["captions"], _split(record.get("split"), name, path))


def _text(value: Any, what: str, path: Path) -> str:
    if not isinstance(value, str) or not value.strip():
        raise CaptionDataError(f"{path}: {what} is {value!r}; expected the name of a file.")
    return value


def _split(value: Any, name: str, path: Path) -> str | None:
    if value is not None and not isinstance(value, str):
        raise CaptionDataError(f'{path}: "split" of {name} is {value!r}; expected one word, such as "train".')
    return value


def _coco(content: Any, path: Path) -> Iterator[CaptionRecord]:
    names: dict[Any, str] = {}
    captions: dict[Any, list[Any]] = defaultdict(list)
    try:
        for image in content["images"]:
            name = _text(image["file_name"], '"file_name" of an image', path)
            if image["id"] in names:
                raise CaptionDataError(f"{path}: two images have the id {image['id']!r}; give each its own.")
            names[image["id"]] = name
        for note in content["annotations"]:
            captions[note["image_id"]].append(note["caption"])
    except (KeyError, TypeError) as error:
        raise CaptionDataError(
            f'{path} is no COCO captions file: {error!r} while reading "images" (id, file_name) and "annotations" '
            "(image_id, caption)."
        ) from error
    if strays := captions.keys() - names.keys():
        some = ", ".join(map(str, sorted(strays, key=str)[:5]))
        raise CaptionDataError(f'{path}: {len(strays)} image ids of "annotations" are not in "images": {some}.')
    for image_id, name in names.items():
        yield CaptionRecord(name, captions[image_id])


def _nocaps(content: Any, path: Path) -> Iterator[CaptionRecord]:
    """NoCaps: COCO's form, each image with its `domain`. Its test set holds no captions: nocaps.org scores those."""
    if isinstance(content, dict) and "images" in content and "annotations" not in content:
        raise CaptionDataError(
            f'{path} holds images without "annotations", as the image info and the test set of NoCaps do; give '
            "nocaps_val_4500_captions.json, which holds captions."
        )
    records = list(_coco(content, path))  # in the order of "images", which are then known to be as they must be
    for record, image in zip(records, content["images"], strict=True):
        domain = image.get("domain")
        if domain not in DOMAINS:
            raise CaptionDataError(
                f'{path}: "domain" of {record.name} is {domain!r}; expected one of {", ".join(DOMAINS)}.'
            )
        yield record._replace(domain=domain)


def _karpathy(content: Any, path: Path) -> Iterator[CaptionRecord]:
    """The splits of Karpathy and Fei-Fei (arXiv 1412.2306): `dataset_coco.json` and its like."""
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list) or not images:
        raise CaptionDataError(
            f'{path} holds no {{"images": [{{"filename", "split", "sentences"}}]}}, as the format karpathy has it.'
        )
    for number, image in enumerate(images, start=1):
        if not isinstance(image, dict) or not {"filename", "sentences"} <= image.keys():
            found = f"the keys {', '.join(image) or '(none)'}" if isinstance(image, dict) else type(image).__name__
            raise CaptionDataError(f'{path}: image {number} has {found}; expected "filename" and "sentences".')
        name = _text(image["filename"], f'"filename" of image {number}', path)
        sentences = image["sentences"]
        if not isinstance(sentences, list) or not all(isinstance(one, dict) and "raw" in one for one in sentences):
            raise CaptionDataError(f'{path}: "sentences" of {name} is no list of {{"raw": "..."}}.')
        if folder := image.get("filepath"):
            name = str(Path(_text(folder, f'"filepath" of {name}', path)) / name)
        yield CaptionRecord(name, [one["raw"] for one in sentences], _split(image.get("split"), name, path))
