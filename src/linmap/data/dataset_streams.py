"""Captioned photos of a `datasets` dataset row by row, none of it held: to train on what is not to be kept whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from linmap.data.captions import SAVED_TO_DISK, checked_captions, photo_of_cell
from linmap.data.images import UnreadableImages
from linmap.errors import (
    CaptionDataError,
    LinmapError,
    MissingExtraError,
    UnknownNameError,
    UnreadableImageError,
    first_line,
)

__all__ = ["stream_dataset"]


def stream_dataset(
    name: str,
    split: str | None = None,
    image_column: str = "image",
    caption_column: str = "caption",
    *,
    lowercase: bool = False,
    strip_final_period: bool = False,
    unreadable: UnreadableImages | None = None,
) -> Iterator[dict[str, Any]]:
    """`{"image", "caption", "key"}` of every caption of a dataset, in its order, as the rows arrive.

    Nothing is stored and no photo is decoded. To train on a dataset more than once, write it into shards:
    `write_caption_shards(stream_dataset("name", "train"), "shards")`.

    Args:
        name: Of a dataset on the Hub, or a folder that `load_dataset` reads or `save_to_disk` wrote.
        split: One of its splits; None where there is but one.
        image_column: An `Image` feature, bytes or paths.
        caption_column: A string, or a list of strings.
        lowercase: Captions in lower case.
        strip_final_period: Captions without the period at their end.
        unreadable: Counts and names the rows without a photo or a caption, up to its limit. By default the first one is
            an error.

    Raises:
        MissingExtraError: `datasets` is not installed.
        CaptionDataError: There is no such dataset, it cannot be reached or read, or a split has to be named.
        UnknownNameError: No such split or column.
        UnreadableImageError: What `unreadable` does not allow.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("datasets", extra="data") from error
    from huggingface_hub.errors import HTTPError

    unreadable = unreadable if unreadable is not None else UnreadableImages()
    options = {"lowercase": lowercase, "strip_final_period": strip_final_period}
    try:
        dataset = _opened(name, split)
        if isinstance((dataset.features or {}).get(image_column), datasets.Image):
            dataset = dataset.cast_column(image_column, datasets.Image(decode=False))
        for number, row in enumerate(dataset):
            place = f"row {number} of {name}"
            for column in (image_column, caption_column):
                if column not in row:
                    raise UnknownNameError("column", column, list(row))
            captions = row[caption_column]
            try:
                checked = checked_captions([captions] if isinstance(captions, str) else captions, place, options)
                photo = photo_of_cell(row[image_column], place, image_column)
            except CaptionDataError as error:
                unreadable.leave_out(UnreadableImageError(place, str(error).rstrip(".")))
                continue
            for caption in checked:
                yield {"image": photo, "caption": caption, "key": str(number)}
    except LinmapError:
        raise
    except (datasets.exceptions.DatasetsError, HTTPError, OSError, RuntimeError, ValueError) as error:
        raise CaptionDataError(
            f"Cannot read the dataset {name!r}: {first_line(error).rstrip('.')}. Give a folder that save_to_disk wrote "
            "or that load_dataset reads, or the name of a dataset on the Hugging Face Hub that can be reached."
        ) from error


def _opened(name: str, split: str | None) -> Any:
    """The rows of one split, streamed."""
    import datasets

    if any((Path(name) / file).is_file() for file in SAVED_TO_DISK):
        loaded = datasets.load_from_disk(name)  # mapped, not read
        found = dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {str(loaded.split or ""): loaded}
    else:
        found = dict(datasets.load_dataset(name, streaming=True))
    if split is None and len(found) == 1:
        return next(iter(found.values()))
    if split is None:
        raise CaptionDataError(f"The dataset {name} has several splits; name one of them: {', '.join(found)}.")
    if split not in found:
        raise UnknownNameError("split", split, [part for part in found if part] or ["(none)"])
    return found[split]
