"""Sentences of tables that `datasets` reads: CSV and Parquet files, saved folders, datasets on the Hub; streamed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from linmap.data.captions import SAVED_TO_DISK
from linmap.data.sentence_columns import only_text_column, texts_of
from linmap.data.text_files import is_folder
from linmap.errors import CaptionDataError, LinmapError, MissingExtraError, UnknownNameError, first_line

__all__ = ["DATA_FILES", "dataset_rows"]

DATA_FILES = {
    ".csv": ("csv", {"encoding_errors": "replace"}),
    ".tsv": ("csv", {"encoding_errors": "replace", "sep": "\t"}),
    ".parquet": ("parquet", {}),
}
"""How `load_dataset` takes a file; bytes that are no UTF-8 become U+FFFD, which is no sentence and is counted."""


def dataset_rows(name: str, split: str | None, column: str | None) -> Iterator[tuple[str | None, str]]:
    """The texts of one column, with their places, row by row; the table is never held whole.

    Args:
        name: File, saved folder, folder that `load_dataset` reads, or name on the Hub.
        split: One of its splits; None takes all that there are, in their order.
        column: None takes the only one that holds text.

    Raises:
        MissingExtraError: `datasets` is not installed.
        CaptionDataError: It cannot be read.
        UnknownNameError: No such split or column.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("datasets", extra="data") from error
    from huggingface_hub.errors import HTTPError

    try:
        for part, rows in _splits(name, split).items():
            for number, row in enumerate(rows, start=1):
                place = f"{name}: row {number}" + (f" of {part}" if part else "")
                column = column or only_text_column(row, place)
                if column not in row:
                    raise UnknownNameError("column", column, list(row))
                yield from texts_of(row[column], place)
    except LinmapError:
        raise
    except (datasets.exceptions.DatasetsError, HTTPError, OSError, RuntimeError, ValueError) as error:
        raise CaptionDataError(
            f"Cannot read {name!r}: {first_line(error).rstrip('.')}. Give a CSV or Parquet file, a folder that "
            "save_to_disk wrote, or the name of a dataset on the Hugging Face Hub that can be reached from here."
        ) from error


def _splits(name: str, split: str | None) -> dict[str, Any]:
    """The rows of each split that is asked for; under `""` those of a table without splits."""
    import datasets

    path = Path(name)
    if path.suffix.lower() in DATA_FILES and path.is_file():
        builder, settings = DATA_FILES[path.suffix.lower()]
        return {"": datasets.load_dataset(builder, data_files=name, split="train", streaming=True, **settings)}
    if is_folder(path) and any((path / file).is_file() for file in SAVED_TO_DISK):
        loaded = datasets.load_from_disk(name)  # mapped, not read
        found = dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {str(loaded.split or ""): loaded}
    else:
        found = dict(datasets.load_dataset(name, streaming=True))
    if split is None:
        return found
    if split not in found:
        raise UnknownNameError("split", split, [part for part in found if part] or ["(none)"])
    return {split: found[split]}
