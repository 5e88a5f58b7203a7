"""Millions of captions without millions of Python strings: UTF-8 in one tensor and where each ends in another."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from torch import Tensor

from linmap.errors import SupportMemoryError

__all__ = ["Captions", "StoredCaptions", "encoded", "joined"]


@dataclass(frozen=True, slots=True)
class StoredCaptions:
    """The captions of one shard.

    Args:
        text: (bytes,) uint8: all of them in UTF-8, one behind the other.
        ends: (captions,) whole numbers: where each ends in `text`.
    """

    text: Tensor
    ends: Tensor

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, row: int) -> str:
        return self._bytes(row).decode()

    def between(self, first: int, last: int) -> StoredCaptions:
        """Those of the rows from `first` to before `last`."""
        start = int(self.ends[first - 1]) if first else 0
        ends = self.ends[first:last]
        return StoredCaptions(self.text[start : int(ends[-1])], ends - start)

    def chosen(self, rows: Sequence[int]) -> list[bytes]:
        """Those of some rows, in UTF-8."""
        return [self._bytes(row) for row in rows]

    def _bytes(self, row: int) -> bytes:
        start = int(self.ends[row - 1]) if row else 0
        return self.text[start : int(self.ends[row])].numpy().tobytes()


def encoded(captions: Iterable[str]) -> StoredCaptions:
    """Captions as they are stored.

    Example:
        >>> encoded(["a dog", "a žába"])[1]
        'a žába'

    Raises:
        SupportMemoryError: A caption is no text, or holds half of a surrogate pair, which UTF-8 cannot.
    """
    texts: list[bytes] = []
    try:
        for row, caption in enumerate(captions):
            if not isinstance(caption, str):
                raise SupportMemoryError(
                    f"Caption {row} is {caption!r}; every caption is a text. Leave it and its latent out."
                )
            texts.append(caption.encode())
    except UnicodeEncodeError as error:
        raise SupportMemoryError(
            f"The caption {error.object!r} holds half of a character (a lone surrogate); mend it or take it out."
        ) from error
    return joined(texts)


def joined(texts: Sequence[bytes]) -> StoredCaptions:
    """Captions in UTF-8 as they are stored."""
    text = np.frombuffer(bytearray(b"".join(texts)), dtype=np.uint8)
    return StoredCaptions(torch.from_numpy(text), torch.tensor([len(text) for text in texts]).long().cumsum(0))


class Captions(Sequence[str]):
    """The captions of a memory, each decoded when it is asked for."""

    def __init__(self, shards: Sequence[StoredCaptions]) -> None:
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
        return f"<{len(self):,} captions, the first {self[0]!r}>"
