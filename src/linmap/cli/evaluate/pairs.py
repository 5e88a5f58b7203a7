"""Captioned photos in the space of a model, language by language, and which photo belongs to which caption."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from linmap.errors import CaptionDataError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from linmap.cli.dual_encoders import Comparing
    from linmap.clippo.embedding import LostText
    from linmap.data.captions import Captioned
    from linmap.data.images import Photo, UnreadableImages
    from linmap.encoders import ImageEncoder

__all__ = ["ByLanguage", "EmbeddedPairs", "embed_behind_random_encoder", "embed_pairs", "read_pairs", "readable"]

logger = logging.getLogger(__name__)

ByLanguage: TypeAlias = "dict[str | None, list[Captioned]]"
"""Captioned photos by the language of the captions; None where the file tells none."""


@dataclass(frozen=True, slots=True)
class EmbeddedPairs:
    """Photos that could be read, and their captions in one language.

    Args:
        photos: The photos, in order.
        images: (photos, channels) float32 on the CPU, L2-normalised.
        captions: All captions, photo by photo.
        texts: (captions, channels) likewise.
        image_of_text: For every caption the row of its photo.
        lost: What of the captions the model does not read; None where that is not counted.
    """

    photos: list[Photo]
    images: Tensor
    captions: list[str]
    texts: Tensor
    image_of_text: list[int]
    lost: LostText | None = None


def read_pairs(
    data: Path, images: Path, split: str | None, limit: int | None, unreadable: UnreadableImages
) -> ByLanguage:
    """The captioned photos of a file, at least two a language; of lines of JSON each has its languages.

    Raises:
        CaptionDataError: There are fewer; and see `read_captions` and `read_language_captions`.
    """
    from linmap.data.captions import read_captions
    from linmap.data.language_captions import SUFFIXES, read_language_captions

    if data.suffix.lower() in SUFFIXES:
        spoken = read_language_captions(data, images, split, unreadable=unreadable)
        return _with_enough({language: captioned[:limit] for language, captioned in spoken.items()})
    return _with_enough({None: read_captions(data, images, split, unreadable=unreadable)[:limit]})


def embed_pairs(
    comparing: Comparing,
    captioned: ByLanguage,
    unreadable: UnreadableImages,
    *,
    batch_size: int,
    captions_each: int | None = None,
) -> dict[str | None, EmbeddedPairs]:
    """Photos and captions through their towers and heads; a photo that has captions in several languages once.

    Args:
        comparing: The model.
        captioned: At least two photos a language.
        unreadable: Counts the photos that cannot be read; their captions are left out with them.
        batch_size: Photos at a time.
        captions_each: Of each photo only the first so many captions; None takes all.
    """
    from linmap.cli.dual_encoders import embed_texts
    from linmap.contrastive.embedding import embed_photos

    every = list(dict.fromkeys(record.image for records in captioned.values() for record in records))
    found = embed_photos(comparing.model, comparing.processor, every, unreadable=unreadable, batch_size=batch_size)
    rows = {every[row]: place for place, row in enumerate(found.rows)}
    there = _with_enough(
        {language: [one for one in records if one.image in rows] for language, records in captioned.items()}
    )
    pairs = {
        language: [(row, caption) for row, record in enumerate(kept) for caption in record.captions[:captions_each]]
        for language, kept in there.items()
    }
    every_text = [caption for of in pairs.values() for _, caption in of]
    texts = embed_texts(comparing, every_text).split([len(of) for of in pairs.values()])  # at once: one warning for all
    embedded = {}
    for (language, kept), embeddings in zip(there.items(), texts, strict=True):
        captions = [caption for _, caption in pairs[language]]
        embedded[language] = EmbeddedPairs(
            photos=[record.image for record in kept],
            images=found.features[[rows[record.image] for record in kept]],
            captions=captions,
            texts=embeddings,
            image_of_text=[row for row, _ in pairs[language]],
            lost=_lost(comparing, captions),
        )
    return embedded


def readable(captioned: ByLanguage, embedded: Mapping[str | None, EmbeddedPairs]) -> ByLanguage:
    """`captioned` without the photos that could not be read, for the next model."""
    kept = {language: {*pairs.photos} for language, pairs in embedded.items()}
    return {
        language: [record for record in captioned[language] if record.image in photos]
        for language, photos in kept.items()
    }


def embed_behind_random_encoder(comparing: Comparing, photos: list[Photo], *, seed: int, batch_size: int) -> Tensor:
    """The same photos through an untrained image tower of the same architecture, and the trained head.

    Returns:
        (photos, channels) float32 on the CPU, L2-normalised.
    """
    from linmap.cli.dual_encoders import Clippo
    from linmap.contrastive.embedding import embed_photos

    model: Any = comparing.model
    part = "tower" if isinstance(comparing, Clippo) else "image_encoder"
    trained = getattr(model, part)
    setattr(model, part, _untrained_tower(model, seed) if part == "tower" else _untrained(trained, seed))
    try:
        return embed_photos(comparing.model, comparing.processor, photos, batch_size=batch_size).features
    finally:
        setattr(model, part, trained)


def _lost(comparing: Comparing, captions: list[str]) -> LostText | None:
    from linmap.cli.dual_encoders import Clippo

    if not isinstance(comparing, Clippo):
        return None
    from linmap.clippo.embedding import lost_text

    return lost_text(comparing.processor, captions)


def _untrained(trained: ImageEncoder, seed: int) -> ImageEncoder:
    import torch

    from linmap.encoders import ImageEncoder

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = ImageEncoder(copy.deepcopy(trained.config))
    return encoder.to(device=trained.device, dtype=trained.dtype)  # type: ignore[call-arg]


def _untrained_tower(model: Any, seed: int) -> Any:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tower = type(model)(copy.deepcopy(model.config)).tower
    return tower.to(device=model.device, dtype=model.dtype).eval()


def _with_enough(captioned: ByLanguage) -> ByLanguage:
    """Those languages in which there is something to tell apart; the others are named in a warning."""
    few = {language: len(records) for language, records in captioned.items() if len(records) < 2}
    if len(few) == len(captioned):
        photos = max(few.values(), default=0)
        raise CaptionDataError(
            f"With {photos} captioned photos {'' if None in few else 'a language '}there is nothing to tell apart; "
            "give at least two."
        )
    if few:
        logger.warning(
            "%d of %d languages have fewer than two captioned photos and are left out: %s.",
            len(few),
            len(captioned),
            ", ".join(map(str, few)),
        )
    return {language: records for language, records in captioned.items() if language not in few}
