"""Running text, document by document: text files whose paragraphs are documents, tables with one in each row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

from linmap.data.captions import load_split
from linmap.data.left_out import LeftOut
from linmap.data.sentence_columns import only_text_column
from linmap.data.stored_texts import Texts, joined
from linmap.data.text_files import is_file, is_folder
from linmap.errors import CaptionDataError, MissingExtraError, UnknownNameError, first_line

__all__ = ["read_documents"]

TABLES = {
    ".csv": ("csv", {}),
    ".tsv": ("csv", {"sep": "\t"}),
    ".parquet": ("parquet", {}),
    ".jsonl": ("json", {}),
    ".ndjson": ("json", {}),
    ".jsonl.gz": ("json", {}),
    ".json.gz": ("json", {}),
}


def read_documents(
    source: str | Path, left_out: LeftOut, *, split: str | None = None, column: str | None = None
) -> Sequence[str]:
    """The documents of a source, each read when it is asked for.

    Args:
        source: `FILE.csv`, `.tsv`, `.parquet`, `.jsonl` or `.json.gz` (an object a line, as C4 comes), a folder that
            `save_to_disk` wrote, or the name of a dataset on the Hub: a document in each row, mapped from disk by
            `datasets`. Any other file: text in UTF-8, held in memory, whose paragraphs (empty lines between) are
            documents.
        left_out: Counts what is no UTF-8, and where it stood.
        split: Of a dataset.
        column: The one that holds the text; None takes the only one that does.

    Raises:
        CaptionDataError: There is no such source, it is not of its format, or there is no document.
        MissingExtraError: `datasets` is not installed.
        UnknownNameError: No such split or column.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "tales.txt"
        >>> _ = file.write_text("A dog ran.\\nIt barked.\\n\\nA cat slept.\\n", encoding="utf-8")
        >>> list(read_documents(file, LeftOut()))
        ['A dog ran.\\nIt barked.', 'A cat slept.']
    """
    path = Path(source)
    suffix = next((end for end in TABLES if path.name.lower().endswith(end)), None)
    if is_file(path) and suffix is None:
        if split is not None:
            raise CaptionDataError(f"{path} is one text without splits, and {split!r} is asked for; leave it out.")
        documents: Sequence[str] = Texts([joined(list(_paragraphs(path, left_out)))])
    else:
        documents = _Rows(_table(path, suffix) if is_file(path) else _dataset(str(source), split), column, str(source))
    if not documents:
        raise CaptionDataError(f"{source} holds no document; give text in UTF-8, paragraphs with empty lines between.")
    return documents


def _paragraphs(path: Path, left_out: LeftOut) -> Iterator[bytes]:
    """Runs of lines that are not empty, in UTF-8; a line that is none is left out of its paragraph."""
    kept: list[bytes] = []
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                line = (raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw).strip()
                try:
                    line.decode()
                except UnicodeDecodeError:
                    left_out.add("undecodable", f"{path}:{number}")
                    continue
                if line:
                    kept.append(line)
                elif kept:
                    yield b"\n".join(kept)
                    kept = []
    except OSError as refused:
        raise CaptionDataError(f"{path} cannot be read ({refused.strerror}); check its permissions.") from refused
    if kept:
        yield b"\n".join(kept)


class _Rows(Sequence[str]):
    """One column of a table on disk; what stands for no text is an empty document."""

    def __init__(self, table: Any, column: str | None, name: str) -> None:
        self._table = table
        self._name = name
        names = list(table.column_names)
        if column is None and len(table):
            column = only_text_column(table[0], f"{name}: row 1")
        if column is not None and column not in names:
            raise UnknownNameError(f"column of {name}", column, names)
        self._column = column

    def __len__(self) -> int:
        return len(self._table)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        row = range(len(self))[index]
        text = self._table[row][self._column]
        if text is not None and not isinstance(text, str):
            raise CaptionDataError(
                f"{self._name}: row {row + 1} holds {text!r} in {self._column!r}, which is no text; name another "
                "column."
            )
        return text or ""


def _table(path: Path, suffix: str | None) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("datasets", extra="data") from error
    if path.stat().st_size == 0:
        raise CaptionDataError(f"{path} is empty; fetch it again, or leave it out.")
    builder, settings = TABLES[str(suffix)]
    try:
        return datasets.load_dataset(builder, data_files=str(path), split="train", **settings)
    except (datasets.exceptions.DatasetsError, OSError, RuntimeError, ValueError) as error:
        raise CaptionDataError(
            f"Cannot read {str(path)!r}: {first_line(error).rstrip('.')}. Give text in UTF-8, or a table with a "
            "document in each row."
        ) from error


def _dataset(name: str, split: str | None) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("datasets", extra="data") from error
    path = Path(name)
    if (path.suffix or name.count("/") > 1 or path.anchor) and not is_folder(path):
        raise CaptionDataError(
            f"There is no file or folder {name!r}. Name a text file, a table with a document in each row, a folder "
            "that save_to_disk wrote, or a dataset on the Hub."
        )
    loaded = load_split(name, split)
    if isinstance(loaded, datasets.DatasetDict):
        raise CaptionDataError(f"{name} has splits, and none is named; name one of {', '.join(loaded)}.")
    return loaded
