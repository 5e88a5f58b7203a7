"""Streams of sentences: text files, captions in JSON, and `datasets`; what is no sentence is counted and named."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from linmap.data.caption_files import caption_records
from linmap.data.left_out import LeftOut
from linmap.data.sentence_columns import only_text_column, texts_of
from linmap.data.sentence_datasets import DATA_FILES, dataset_rows
from linmap.data.text_files import is_file, is_folder, read_json
from linmap.errors import CaptionDataError, UnknownNameError

__all__ = ["LONGEST", "Sentence", "read_sentences", "require_sources"]

LONGEST = 8192
"""Bytes of the longest sentence: no text tower reads as many, and what is longer is a broken file, not a sentence."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
JSON_LINES = (".jsonl", ".ndjson")


class Sentence(NamedTuple):
    """A sentence and where it stands.

    Args:
        text: Not empty, without blanks around it.
        place: For people: `"captions.txt:17"`.
    """

    text: str
    place: str


def require_sources(sources: Sequence[str | Path]) -> None:
    """Checks that every source is there: said before the hours of work, not after them.

    Raises:
        CaptionDataError: There is no such file or folder, and the name cannot be one of a dataset on the Hub.
    """
    for source in sources:
        path = Path(source)
        if not is_file(path) and not is_folder(path) and (path.suffix or str(source).count("/") > 1 or path.anchor):
            raise CaptionDataError(
                f"There is no file or folder {str(source)!r}. Name text files (a sentence a line), captions in JSON, "
                "JSON Lines, CSV or Parquet files, a folder that save_to_disk wrote, or a dataset on the Hub."
            )


def read_sentences(
    sources: Sequence[str | Path],
    left_out: LeftOut,
    *,
    split: str | None = None,
    column: str | None = None,
) -> Iterator[Sentence]:
    """The sentences of all sources, one after another; no file of text is ever held whole.

    Args:
        sources: `FILE.json`: captions as `read_captions` takes them, or a plain list of strings. `FILE.jsonl`: one
            object or string a line. `FILE.csv`, `.tsv`, `.parquet`, a folder that `save_to_disk` wrote, or the name of
            a dataset on the Hub: read with `datasets`, streamed. Any other file: text in UTF-8, a sentence a line.
        left_out: Counts what is left out, and where it stood: empty sentences, those of more than `LONGEST` bytes,
            those that are no UTF-8, and empty files.
        split: Only this split of captions in JSON and of datasets; other files have none and are taken whole.
        column: Of JSON Lines and datasets: a string or a list of strings. None takes the only one that holds text.

    Raises:
        CaptionDataError: A source is not there or not of its format, or it has several columns of text and none is
            named, or captions in JSON name no splits and one is asked for.
        UnknownNameError: No such split or column.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "captions.txt"
        >>> _ = file.write_text("a dog runs\\n\\na cat\\n", encoding="utf-8")
        >>> left_out = LeftOut()
        >>> [sentence.text for sentence in read_sentences([file], left_out)]
        ['a dog runs', 'a cat']
        >>> left_out.counts
        {'empty': 1}
    """
    require_sources(sources)
    for source in sources:
        for raw, place in _raw_sentences(source, left_out, split, column):
            if (sentence := _checked(raw, place, left_out)) is not None:
                yield sentence


def _raw_sentences(
    source: str | Path, left_out: LeftOut, split: str | None, column: str | None
) -> Iterator[tuple[str | bytes | None, str]]:
    """Sentences as they stand in a source, and their places; None for what stands for no text."""
    path = Path(source)
    if not is_file(path):
        return dataset_rows(str(source), split, column)
    if path.stat().st_size == 0:
        left_out.add("empty file", str(path))
        return iter(())
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _json_sentences(path, split)
    if suffix in JSON_LINES:
        return _json_lines(path, column, left_out)
    if suffix in DATA_FILES:
        return dataset_rows(str(source), split, column)
    return _lines(path, left_out)


def _checked(raw: str | bytes | None, place: str, left_out: LeftOut) -> Sentence | None:
    try:
        text = ("" if raw is None else raw.decode() if isinstance(raw, bytes) else raw).strip()
        size = len(text.encode())
    except UnicodeError:
        left_out.add("undecodable", place)
        return None
    if not text:
        left_out.add("empty", place)
    elif size > LONGEST:
        left_out.add("too long", place)
    elif "\x00" in text or "\ufffd" in text:  # no text, or what an earlier decoding left of it
        left_out.add("undecodable", place)
    else:
        return Sentence(text, place)
    return None


def _lines(path: Path, left_out: LeftOut) -> Iterator[tuple[bytes, str]]:
    """The lines of a file in bytes; of one that is too long no more than `LONGEST` bytes are held."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST + 2):
            number += 1
            if number == 1:
                line = line.removeprefix(BYTE_ORDER_MARK)
            if len(line) >= LONGEST + 2 and not line.endswith(b"\n"):
                left_out.add("too long", f"{path}:{number}")
                while (rest := file.readline(1 << 16)) and not rest.endswith(b"\n"):
                    pass
                continue
            yield line, f"{path}:{number}"


def _json_lines(path: Path, column: str | None, left_out: LeftOut) -> Iterator[tuple[str | None, str]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            place = f"{path}:{number}"
            if not line.strip():
                left_out.add("empty", place)
                continue
            try:
                row = json.loads(line)
            except UnicodeDecodeError:
                left_out.add("undecodable", place)
                continue
            except (RecursionError, ValueError) as wrong:
                raise CaptionDataError(f"{place} is no JSON ({wrong}); give an object or a string a line.") from wrong
            if isinstance(row, dict):
                column = column or only_text_column(row, place)
                if column not in row:
                    raise UnknownNameError(f"column of {place}", column, list(row))
                row = row[column]
            yield from texts_of(row, place)


def _json_sentences(path: Path, split: str | None) -> Iterator[tuple[str | None, str]]:
    content = read_json(path, "captions file", CaptionDataError, "give captions in JSON, or sentences one a line")
    if isinstance(content, list) and not any(isinstance(one, dict) for one in content):
        if split is not None:
            raise CaptionDataError(f"{path} names no splits, so there is no {split!r} in it; leave the split out.")
        for number, text in enumerate(content, start=1):
            yield from texts_of(text, f"{path}: string {number}")
        return
    records = caption_records(path, None)
    known = {record.split for record in records if record.split is not None}
    if split is not None and not known:
        raise CaptionDataError(f"{path} names no splits, so there is no {split!r} in it; leave the split out.")
    if split is not None and split not in known:
        raise UnknownNameError("split", split, known)
    for record in records:
        if split is None or record.split == split:
            for number, caption in enumerate(record.captions, start=1):
                yield from texts_of(caption, f"{path}: caption {number} of {record.name}")
