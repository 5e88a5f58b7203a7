"""The text pairs a recipe names."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from linmap.data.captions import Captioned
from linmap.data.documents import read_documents
from linmap.data.left_out import LeftOut
from linmap.data.sentences import read_sentences, require_sources
from linmap.data.stored_texts import Texts, encoded
from linmap.data.text_pairs import CaptionPairs, SentencePairs, TextPairs, WordDropout, read_translations
from linmap.errors import RecipeError, TextPairError
from linmap.recipes.clippo.schema import TextPairsRecipe

__all__ = ["text_pairs"]

logger = logging.getLogger(__name__)


def text_pairs(said: Sequence[TextPairsRecipe], photos: Sequence[Captioned], ids: Sequence[int]) -> list[TextPairs]:
    """What each section of `data.text_pairs` names; what is damaged is left out, counted in a warning.

    Args:
        said: The sections.
        photos: Those that are learned from.
        ids: Number of each photo; equal photos have the same.

    Raises:
        LinmapError: A source is not there, or holds no pair.
    """
    return [_pairs(one, photos, ids) for one in said]


def _pairs(said: TextPairsRecipe, photos: Sequence[Captioned], ids: Sequence[int]) -> TextPairs:
    left_out = LeftOut()
    pairs: TextPairs
    if said.kind == "captions":
        pairs = CaptionPairs(photos, ids)
    elif said.source is None:
        captions = [(caption, number) for photo, number in zip(photos, ids, strict=True) for caption in photo.captions]
        pairs = WordDropout([caption for caption, _ in captions], [number for _, number in captions], drop=said.drop)
    elif said.kind == "translations":
        pairs = read_translations(said.source, left_out)
    elif said.kind == "sentences":
        documents = read_documents(said.source, left_out, split=said.split, column=said.column)
        pairs = SentencePairs(documents, said.language)
    else:
        require_sources([said.source])
        sentences = read_sentences([said.source], left_out, split=said.split, column=said.column)
        texts = encoded((sentence.text for sentence in sentences), "sentence", TextPairError)
        if not len(texts):
            raise RecipeError(f"data.text_pairs: {said.source} holds no sentence.")
        pairs = WordDropout(Texts([texts]), drop=said.drop)
    if left_out.counts:
        logger.warning("Left out of data.text_pairs (%s): %s", said.source, left_out)
    return pairs
