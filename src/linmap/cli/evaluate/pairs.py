"""Captioned photos in the shared space of a dual encoder, and which photo belongs to which caption."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from linmap.errors import CaptionDataError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from linmap.data.captions import Captioned
    from linmap.data.images import Photo, UnreadableImages
    from linmap.dual.named import DualEncoder
    from linmap.encoders import ImageEncoder

__all__ = ["EmbeddedPairs", "embed_behind_random_encoder", "embed_pairs", "read_pairs"]


@dataclass(frozen=True, slots=True)
class EmbeddedPairs:
    """Photos that could be read, and their captions.

    Args:
        photos: The photos, in order.
        images: (photos, channels) float32 on the CPU, L2-normalised.
        captions: All captions, photo by photo.
        texts: (captions, channels) likewise.
        image_of_text: For every caption the row of its photo.
    """

    photos: list[Photo]
    images: Tensor
    captions: list[str]
    texts: Tensor
    image_of_text: list[int]


def read_pairs(
    data: Path, images: Path, split: str | None, limit: int | None, unreadable: UnreadableImages
) -> list[Captioned]:
    """The captioned photos of a file, at least two.

    Raises:
        CaptionDataError: There are fewer; and see `read_captions`.
    """
    from linmap.data.captions import read_captions

    return _enough(read_captions(data, images, split, unreadable=unreadable)[:limit])


def embed_pairs(
    dual: DualEncoder,
    captioned: list[Captioned],
    unreadable: UnreadableImages,
    *,
    batch_size: int,
    captions_each: int | None = None,
) -> EmbeddedPairs:
    """Photos and captions through their towers and heads.

    Args:
        dual: The model.
        captioned: At least two.
        unreadable: Counts the photos that cannot be read; their captions are left out with them.
        batch_size: Photos at a time.
        captions_each: Of each photo only the first so many captions; None takes all.
    """
    from linmap.dual.embedding import embed_photos, embed_texts

    found = embed_photos(*dual, [record.image for record in captioned], unreadable=unreadable, batch_size=batch_size)
    kept = _enough([captioned[row] for row in found.rows])
    pairs = [(row, caption) for row, record in enumerate(kept) for caption in record.captions[:captions_each]]
    captions = [caption for _, caption in pairs]
    return EmbeddedPairs(
        photos=[record.image for record in kept],
        images=found.features,
        captions=captions,
        texts=embed_texts(*dual, captions),
        image_of_text=[row for row, _ in pairs],
    )


def embed_behind_random_encoder(dual: DualEncoder, photos: list[Photo], *, seed: int, batch_size: int) -> Tensor:
    """The same photos through an untrained image tower of the same architecture, and the trained head.

    Returns:
        (photos, channels) float32 on the CPU, L2-normalised.
    """
    from linmap.dual.embedding import embed_photos

    trained = dual.model.image_encoder
    assert trained is not None  # checked when the model was loaded
    dual.model.image_encoder = _untrained(trained, seed)
    try:
        return embed_photos(*dual, photos, batch_size=batch_size).features
    finally:
        dual.model.image_encoder = trained


def _untrained(trained: ImageEncoder, seed: int) -> ImageEncoder:
    import torch

    from linmap.encoders import ImageEncoder

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = ImageEncoder(copy.deepcopy(trained.config))
    return encoder.to(device=trained.device, dtype=trained.dtype)  # type: ignore[call-arg]


def _enough(captioned: list[Captioned]) -> list[Captioned]:
    if len(captioned) < 2:
        raise CaptionDataError(
            f"With {len(captioned)} captioned photos there is nothing to tell apart; give at least two."
        )
    return captioned
