"""Pairs of texts that mean about the same, for contrastive learning beside photos: two captions of one photo."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from linmap.data.captions import Captioned
from linmap.errors import CaptionDataError

__all__ = ["CaptionPairs", "TextPair", "TextPairs"]


class TextPair(NamedTuple):
    """Two texts that belong together.

    Args:
        first: Stands where a photo would.
        second: The text that belongs to it.
        group: Pairs of the same group are never each other's negatives.
    """

    first: str
    second: str
    group: int


class TextPairs(ABC):
    """Rows that a pair of texts can be drawn from, again and again."""

    @abstractmethod
    def __len__(self) -> int:
        """Rows."""

    @abstractmethod
    def pair(self, row: int, draw: int) -> TextPair:
        """One pair of a row.

        Args:
            row: In `range(len(self))`.
            draw: Decides what is random about it; the same number gives the same pair.
        """


class CaptionPairs(TextPairs):
    """Two captions of one photo, another two each time; a row is a photo.

    Args:
        photos: Those of one caption are passed over.
        groups: Of each photo the number that its pairs have as their group, such as its `image_id`.

    Raises:
        CaptionDataError: No photo has two captions.

    Example:
        >>> from pathlib import Path
        >>> pairs = CaptionPairs([Captioned(Path("a.jpg"), ("a dog", "a brown dog"))], [7])
        >>> sorted(pairs.pair(0, draw=1)[:2]), pairs.pair(0, draw=1).group
        (['a brown dog', 'a dog'], 7)
    """

    def __init__(self, photos: Sequence[Captioned], groups: Sequence[int]) -> None:
        self._rows = [
            (photo.captions, group) for photo, group in zip(photos, groups, strict=True) if len(set(photo.captions)) > 1
        ]
        if not self._rows:
            raise CaptionDataError(
                f"None of the {len(photos)} photos has two captions that differ, so there is no pair of captions; take "
                "another kind of text pairs."
            )

    def __len__(self) -> int:
        return len(self._rows)

    def pair(self, row: int, draw: int) -> TextPair:
        """Two captions of the photo, drawn at random."""
        captions, group = self._rows[row]
        first, second = random.Random(draw).sample(sorted(set(captions)), 2)
        return TextPair(first, second, group)
