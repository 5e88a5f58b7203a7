"""Millions of texts without millions of Python strings: UTF-8 in one tensor and where each ends in another."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from torch import Tensor

from linmap.errors import LinmapError

__all__ = ["StoredTexts", "Texts", "encoded", "joined"]


@dataclass(frozen=True, slots=True)
class StoredTexts:
    """The texts of one shard.

    Args:
        text: (bytes,) uint8: all of them in UTF-8, one behind the other.
        ends: (texts,) whole numbers: where each ends in `text`.
    """

    text: Tensor
    ends: Tensor

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, row: int) -> str:
        return self._bytes(row).decode()

    def between(self, first: int, last: int) -> StoredTexts:
        """Those of the rows from `first` to before `last`."""
        start = int(self.ends[first - 1]) if first else 0
        ends = self.ends[first:last]
        return StoredTexts(self.text[start : int(ends[-1])], ends - start)

    def chosen(self, rows: Sequence[int]) -> list[bytes]:
        """Those of some rows, in UTF-8."""
        return [self._bytes(row) for row in rows]

    def _bytes(self, row: int) -> bytes:
        start = int(self.ends[row - 1]) if row else 0
        return self.text[start : int(self.ends[row])].numpy().tobytes()


def encoded(texts: Iterable[str], what: str, error: type[LinmapError]) -> StoredTexts:
    """Texts as they are stored.

    Args:
        texts: In order.
        what: What errors call one of them, such as `"caption"`.
        error: What is raised.

    Example:
        >>> encoded(["a dog", "a žába"], "caption", LinmapError)[1]
        'a žába'

    Raises:
        LinmapError: `error`, where a text is none, or holds half of a surrogate pair, which UTF-8 cannot.
    """
    found: list[bytes] = []
    try:
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise error(
                    f"{what.capitalize()} {row} is {text!r}; every {what} is a text. Leave it out with all that "
                    "belongs to it."
                )
            found.append(text.encode())
    except UnicodeEncodeError as refused:
        raise error(
            f"The {what} {refused.object!r} holds half of a character (a lone surrogate); mend it or take it out."
        ) from refused
    return joined(found)


def joined(texts: Sequence[bytes]) -> StoredTexts:
    """Texts in UTF-8 as they are stored."""
    text = np.frombuffer(bytearray(b"".join(texts)), dtype=np.uint8)
    return StoredTexts(torch.from_numpy(text), torch.tensor([len(text) for text in texts]).long().cumsum(0))


class Texts(Sequence[str]):
    """The texts of several shards, each decoded when it is asked for."""

    def __init__(self, shards: Sequence[StoredTexts]) -> None:
        self._shards = shards
        self._ends = np.cumsum([len(shard) for shard in shards])

    def __len__(self) -> int:
        return int(self._ends[-1])

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        row = range(len(self))[operator.index(index)]
        shard = int(np.searchsorted(self._ends, row, side="right"))
        return self._shards[shard][row - (int(self._ends[shard - 1]) if shard else 0)]

    def __repr__(self) -> str:
        return f"<{len(self):,} texts, the first {self[0]!r}>"
