"""The text pairs a recipe names."""

from __future__ import annotations

from collections.abc import Sequence

from linmap.data.captions import Captioned
from linmap.data.text_pairs import CaptionPairs, TextPairs
from linmap.recipes.clippo.schema import TextPairsRecipe

__all__ = ["text_pairs"]


def text_pairs(said: Sequence[TextPairsRecipe], photos: Sequence[Captioned], ids: Sequence[int]) -> list[TextPairs]:
    """What each section of `data.text_pairs` names.

    Args:
        said: The sections.
        photos: Those that are learned from.
        ids: Number of each photo; equal photos have the same.
    """
    return [CaptionPairs(photos, ids) for _ in said]
