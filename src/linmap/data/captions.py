"""Reading captioned photos: JSON as Flickr8k's, COCO's, NoCaps' or Karpathy's, and `datasets` datasets."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from linmap.data.caption_files import FORMATS, CaptionRecord, Format, caption_records
from linmap.data.images import EncodedPhoto, Photo, UnreadableImages
from linmap.data.text_files import is_folder, is_unicode, place_of
from linmap.errors import CaptionDataError, UnknownNameError, UnreadableImageError, first_line

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = [
    "FORMATS",
    "Captioned",
    "DatasetCaptions",
    "caption_examples",
    "checked_captions",
    "from_dataset",
    "load_split",
    "normalise_caption",
    "photo_of_cell",
    "read_captions",
    "without_missing",
]

logger = logging.getLogger(__name__)

SAVED_TO_DISK = ("dataset_dict.json", "state.json", "dataset_info.json")  # what `save_to_disk` of datasets writes


@dataclass(frozen=True, slots=True)
class Captioned:
    """One photo and what people wrote about it.

    Args:
        image: What `open_photo` opens: a path, or from a dataset the bytes of the file.
        captions: At least one, none empty.
        split: Such as `"train"`, where the source names one.
        domain: In NoCaps `"in-domain"`, `"near-domain"` or `"out-domain"`.
    """

    image: Photo
    captions: tuple[str, ...]
    split: str | None = None
    domain: str | None = None


def normalise_caption(caption: str, *, lowercase: bool = False, strip_final_period: bool = False) -> str:
    """`caption` in lower case and without the period (and blanks) at its end, as asked for.

    Example:
        >>> normalise_caption("A girl going into a wooden building .", lowercase=True, strip_final_period=True)
        'a girl going into a wooden building'
    """
    if lowercase:
        caption = caption.lower()
    if strip_final_period:
        caption = caption.rstrip(". \t\r\n")
    return caption


def read_captions(
    path: str | Path,
    images: str | Path,
    split: str | None = None,
    format: Format | None = None,  # noqa: A002 - the word that `datasets` and pandas use
    *,
    lowercase: bool = False,
    strip_final_period: bool = False,
    unreadable: UnreadableImages | None = None,
) -> list[Captioned]:
    """Reads the captions file `path` about the photos in the folder `images`.

    Args:
        path: `"flickr8k"`: a list of `{"file": "a.jpg", "captions": ["...", ...], "split": "train"}` (split may be left
            out); `"coco"`: `{"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}`;
            `"nocaps"`: the same with a `"domain"` in each image; `"karpathy"`:
            `{"images": [{"filename", "filepath", "split", "sentences": [{"raw"}]}]}` (filepath, a folder below
            `images`, may be left out).
        images: Folder the file names are relative to.
        split: Only photos of this split; `None` takes all.
        format: One of `FORMATS`; `None` looks at the file.
        lowercase: Captions in lower case.
        strip_final_period: Captions without the period at their end.
        unreadable: Counts the photos that are missing, which are then left out up to its limit. By default one missing
            photo is an error.

    Returns:
        One a photo, in the order of the file (COCO: of its `images`). Records that name the same file are joined, their
        captions in order, and counted in a warning: each caption as a photo of its own would make every other caption
        of that photo a wrong one. `split` is then the first one's.

    Raises:
        UnreadableImageError: One photo is missing.
        TooManyUnreadableImagesError: Several are, named and counted.
        CaptionDataError: The file is not of that format, or a photo has no caption, or an empty one.
        UnknownNameError: No such split, no such format.
    """
    records = caption_records(Path(path), format)
    if split is not None:
        records = _of_split(records, split, path)
    records = _joined(records, Path(images), path)
    options = {"lowercase": lowercase, "strip_final_period": strip_final_period}
    read = [
        Captioned(Path(images) / one.name, checked_captions(one.captions, one.name, options), one.split, one.domain)
        for one in records
    ]
    return without_missing(read, Path(images), unreadable if unreadable is not None else UnreadableImages())


def from_dataset(
    dataset: Dataset,
    image_column: str = "image",
    caption_column: str = "caption",
    *,
    lowercase: bool = False,
    strip_final_period: bool = False,
) -> DatasetCaptions:
    """Captioned photos from a `datasets` dataset, read when they are asked for.

    Args:
        dataset: With a length (not a streamed one).
        image_column: An `Image` feature, or paths.
        caption_column: A string, or a list of strings.
        lowercase: Captions in lower case.
        strip_final_period: Captions without the period at their end.

    Raises:
        UnknownNameError: No such column.
        CaptionDataError: The dataset is streamed.
    """
    return DatasetCaptions(
        dataset, image_column, caption_column, lowercase=lowercase, strip_final_period=strip_final_period
    )


def load_split(name: str, split: str | None = None) -> Dataset:
    """The dataset saved in the folder `name`, or the one that `datasets` finds under that name.

    Args:
        name: A folder that `save_to_disk` wrote, or what `datasets.load_dataset` takes: the name of a dataset, or a
            folder such as one of photos with a `metadata.jsonl` for each split.
        split: One of its splits; `None` takes a dataset without splits.

    Raises:
        CaptionDataError: There is no such dataset, it cannot be reached or read, or it is not of that split.
        UnknownNameError: A saved dictionary of splits has no such split.
    """
    import datasets
    from huggingface_hub.errors import HTTPError

    saved = any((Path(name) / file).is_file() for file in SAVED_TO_DISK)
    try:
        loaded = datasets.load_from_disk(name) if saved else datasets.load_dataset(name, split=split)
    except (datasets.exceptions.DatasetsError, HTTPError, OSError, RuntimeError, ValueError) as error:
        raise CaptionDataError(
            f"Cannot read the dataset {name!r}: {first_line(error).rstrip('.')}. Give a folder that save_to_disk wrote "
            "or that load_dataset reads (photos with a metadata.jsonl), or the name of a dataset on the Hugging Face "
            "Hub that can be reached from here."
        ) from error
    if not saved or split is None:
        return loaded
    if isinstance(loaded, datasets.DatasetDict):
        if split not in loaded:
            raise UnknownNameError("split", split, list(loaded))
        return loaded[split]
    if str(loaded.split) != split:
        found = "names no split" if loaded.split is None else f"is the split {str(loaded.split)!r}"
        raise CaptionDataError(
            f"The dataset saved in {name} {found}, and {split!r} is asked for. Leave the split out (null) to take all "
            "of it, or save a DatasetDict that holds both splits."
        )
    return loaded


class DatasetCaptions(Sequence[Captioned]):
    """The rows of a `datasets` dataset as `Captioned`; see `from_dataset`. Photos stay encoded."""

    def __init__(
        self,
        dataset: Dataset,
        image_column: str,
        caption_column: str,
        *,
        lowercase: bool = False,
        strip_final_period: bool = False,
    ) -> None:
        import datasets

        if isinstance(dataset, (datasets.DatasetDict, datasets.IterableDatasetDict)):
            raise CaptionDataError(
                f"This is a dictionary of splits; give one of them: {', '.join(map(repr, dataset))}."
            )
        if isinstance(dataset, datasets.IterableDataset):
            raise CaptionDataError("A streamed dataset has no length; load it without streaming=True.")
        for column in (image_column, caption_column):
            if column not in dataset.column_names:
                raise UnknownNameError("column", column, dataset.column_names)
        if isinstance(dataset.features[image_column], datasets.Image):
            dataset = dataset.cast_column(image_column, datasets.Image(decode=False))
        self.dataset = dataset.select_columns(list(dict.fromkeys([image_column, caption_column])))
        self.image_column = image_column
        self.caption_column = caption_column
        self._split = str(dataset.split) if dataset.split is not None else None
        self._options = {"lowercase": lowercase, "strip_final_period": strip_final_period}

    def __len__(self) -> int:
        return len(self.dataset)

    @overload
    def __getitem__(self, index: int) -> Captioned: ...

    @overload
    def __getitem__(self, index: slice) -> list[Captioned]: ...

    def __getitem__(self, index: int | slice) -> Captioned | list[Captioned]:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        name = f"row {range(len(self))[index]} of the dataset"
        row = self.dataset[index]
        captions = row[self.caption_column]
        captions = [captions] if isinstance(captions, str) else captions
        return Captioned(
            photo_of_cell(row[self.image_column], name, self.image_column),
            checked_captions(captions, name, self._options),
            self._split,
        )

    def __iter__(self) -> Iterator[Captioned]:
        return (self[row] for row in range(len(self)))


def caption_examples(captioned: Iterable[Captioned]) -> list[dict[str, Any]]:
    """One training example a caption, `{"image": ..., "caption": ...}`, as `CaptionCollator` takes them.

    Example:
        >>> caption_examples([Captioned(Path("a.jpg"), ("a dog", "a brown dog"))])[1]["caption"]
        'a brown dog'
    """
    return [{"image": record.image, "caption": caption} for record in captioned for caption in record.captions]


def _of_split(records: list[CaptionRecord], split: str, path: str | Path) -> list[CaptionRecord]:
    known = {record.split for record in records if record.split is not None}
    if not known:
        raise CaptionDataError(
            f"{path} names no splits, so there is no {split!r} in it; leave the split out (null in a recipe), or give "
            'each record a "split".'
        )
    if split not in known:
        raise UnknownNameError("split", split, known)
    return [record for record in records if record.split == split]


def _joined(records: list[CaptionRecord], images: Path, path: str | Path) -> list[CaptionRecord]:
    """One record a photo."""
    found: dict[str, CaptionRecord] = {}
    several = set()
    for record in records:
        place = place_of(images / record.name)
        if place in found:
            several.add(place)
            found[place] = found[place]._replace(captions=[*found[place].captions, *record.captions])
        else:
            found[place] = record
    if several:
        logger.warning(
            "%d photos stand in several records of %s; the captions of each were joined.", len(several), path
        )
    return list(found.values())


def checked_captions(captions: Sequence[Any] | None, name: str, options: dict[str, bool]) -> tuple[str, ...]:
    """The captions of the photo `name`, cleaned by `normalise_caption`; what is no text is named."""
    if not captions:
        raise CaptionDataError(f"{name} has no caption; caption it or take it out.")
    if isinstance(captions, str | Mapping) or not isinstance(captions, Iterable):
        raise CaptionDataError(f"{name} has the captions {captions!r}; expected a list of texts.")
    kept = []
    for number, caption in enumerate(captions, start=1):
        if not isinstance(caption, str):
            raise CaptionDataError(f"{name}: caption {number} is {caption!r}, not a text; mend it or take it out.")
        if not is_unicode(caption):
            raise CaptionDataError(
                f"{name}: caption {number} ({caption!r}) holds half of a character (a lone surrogate); mend it or take "
                "it out."
            )
        kept.append(normalise_caption(caption, **options))
        if not kept[-1].strip():
            raise CaptionDataError(f"{name}: caption {number} ({caption!r}) is empty; mend it or take it out.")
    return tuple(kept)


def without_missing(read: list[Captioned], images: Path, unreadable: UnreadableImages) -> list[Captioned]:
    """Those of `read` whose photo lies in the folder `images` or below; the others are counted and named."""
    if not is_folder(images):
        raise CaptionDataError(f"There is no folder of photos {images}; check the path.")
    listed: dict[Path, set[str]] = {}  # one listing a folder, instead of one look-up a photo

    def there(photo: Path) -> bool:
        if photo.parent not in listed:
            listed[photo.parent] = _listing(photo.parent)
        return photo.name in listed[photo.parent]

    present = [there(Path(str(record.image))) for record in read]
    missing = dict.fromkeys(str(record.image) for record, here in zip(read, present, strict=True) if not here)
    if missing:
        reason = "there is no such file; check the path"
        unreadable.leave_out(*(UnreadableImageError(photo, reason) for photo in missing))
    return [record for record, here in zip(read, present, strict=True) if here]


def _listing(folder: Path) -> set[str]:
    if not is_folder(folder):
        return set()
    try:
        return {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise CaptionDataError(
            f"The folder {folder} cannot be read ({error.strerror}); check its permissions."
        ) from error


def photo_of_cell(value: Any, name: str, column: str) -> Photo:
    """A cell of an image column: bytes with or without a path, a path, or a decoded picture."""
    if isinstance(value, dict) and value.get("bytes") is not None:
        return EncodedPhoto(f"{name} ({value['path']})" if value.get("path") else name, value["bytes"])
    if isinstance(value, dict) and value.get("path"):
        return Path(value["path"])
    if isinstance(value, str):
        return Path(value)
    if isinstance(value, bytes):
        return EncodedPhoto(name, value)
    raise CaptionDataError(f"{name}: column {column!r} holds {type(value).__name__}, no image, path or bytes.")
