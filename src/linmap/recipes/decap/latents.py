"""Latents of a run: sentences and evaluation photos through the frozen dual encoder once, and the support memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (its usual name)

from linmap.data.captions import Captioned
from linmap.data.images import UnreadableImages
from linmap.errors import CaptionDataError, SupportMemoryError
from linmap.recipes.assembly import read_photos
from linmap.recipes.decap.assembly import DeCapParts
from linmap.recipes.decap.schema import DeCapRecipe, MemoryRecipe, PhotosRecipe
from linmap.recipes.decap.texts import TextSplit, drawn
from linmap.recipes.feature_cache import kept_or_encoded, kept_or_encoded_texts, photo_fact

if TYPE_CHECKING:
    from linmap.decap.memory import SupportMemory

__all__ = [
    "PhotoSplit",
    "encoded_photos",
    "encoded_texts",
    "evaluation_photos",
    "projected_among_others",
    "support_memory",
]


AMONG = 32_768
"""Sentences that are projected on one another: the work grows with the square."""
AT_ONCE = 1024


@dataclass(frozen=True)
class PhotoSplit:
    """The readable evaluation photos and their latents.

    Args:
        photos: With their captions, the references.
        latents: (photos, latent_dim) L2-normalised on the CPU.
    """

    photos: list[Captioned]
    latents: Tensor

    @property
    def references(self) -> list[list[str]]:
        """What people wrote about each photo."""
        return [list(photo.captions) for photo in self.photos]


def encoded_texts(recipe: DeCapRecipe, parts: DeCapParts, texts: list[str], cache: Path, name: str) -> TextSplit:
    """The sentences with their latents, if the recipe has them encoded beforehand; kept in `cache` as `name`."""
    if not recipe.data.precompute_latents:
        return TextSplit(texts)
    identity = {"text_tower": parts.dual.model.text_fingerprint().to_dict()}
    dtype = getattr(torch, recipe.data.latent_dtype)
    return TextSplit(texts, kept_or_encoded_texts(cache, name, identity, texts, dtype, parts.embed_texts))


def projected_among_others(split: TextSplit, share: float, tau: float, seed: int) -> TextSplit:
    """The sentences with some latents replaced by their projection on those of other sentences.

    A decoder meets the latent of a photo as a mean of those of sentences, and that of a training sentence as it is;
    this shows it such means in training. No sentence has a part in its own projection.

    Args:
        split: With latents.
        share: Of the sentences, drawn at random.
        tau: Temperature of the projection.
        seed: Of both draws.
    """
    if not share or split.latents is None:
        return split
    count = len(split.texts)
    chosen = torch.zeros(count, dtype=torch.bool)
    chosen[drawn(count, round(share * count), seed)] = True
    latents = split.latents.clone()
    for part in torch.randperm(count, generator=torch.Generator().manual_seed(seed + 1)).split(AMONG):
        others = F.normalize(split.latents[part].float(), dim=-1)
        if len(part) == 1:
            continue  # a sentence without others stays as it is
        for rows in chosen[part].nonzero().flatten().split(AT_ONCE):
            scores = others[rows] @ others.T / tau
            scores[torch.arange(len(rows)), rows] = float("-inf")
            latents[part[rows]] = F.normalize(scores.softmax(-1) @ others, dim=-1).to(latents.dtype)
    return TextSplit(split.texts, latents)


def support_memory(said: MemoryRecipe, parts: DeCapParts, split: TextSplit) -> SupportMemory:
    """The different sentences of `split`, or as many of them as are asked for, with their latents.

    Raises:
        SupportMemoryError: There are not so many.
    """
    from linmap.decap.memory import SupportMemory

    first_rows = sorted({text: row for row, text in reversed(list(enumerate(split.texts)))}.values())
    count = len(first_rows) if said.captions is None else said.captions
    if count > len(first_rows):
        raise SupportMemoryError(
            f"memory.captions is {count:,}, and the training text holds {len(first_rows):,} different sentences; ask "
            "for so many at most, or null for all."
        )
    chosen = split.rows([first_rows[row] for row in drawn(len(first_rows), count, said.seed)])
    latents = parts.embed_texts(chosen.texts) if chosen.latents is None else chosen.latents
    return SupportMemory.from_latents(
        latents, chosen.texts, dtype=said.dtype, text_tower=parts.dual.model.text_fingerprint()
    )


def evaluation_photos(said: PhotosRecipe, unreadable: UnreadableImages) -> list[Captioned]:
    """The photos to measure on, with their captions; none is opened.

    Args:
        said: Which.
        unreadable: Counts the photos that are missing, and stops at too many.
    """
    photos = read_photos(said.captions, said.images, said.split, said.format, unreadable=unreadable)
    return list(photos[: said.limit])


def encoded_photos(said: PhotosRecipe, parts: DeCapParts, cache: Path) -> PhotoSplit:
    """The readable evaluation photos with their latents, kept in `cache`.

    Raises:
        CaptionDataError: They are fewer than two: said here, before the training whose captions could not be scored.
    """
    from linmap.dual.embedding import embed_photos

    unreadable = UnreadableImages(said.unreadable_limit)
    photos = evaluation_photos(said, unreadable)
    files = [photo.image for photo in photos]
    identity = {
        "image_tower": _image_digest(parts),
        "mirror": parts.dual.model.config.mirror,
        "preprocessing": parts.dual.processor.image_processor.to_dict(),
    }
    encoded = kept_or_encoded(
        cache,
        "photos",
        {"identity": identity, "photos": [photo_fact(photo) for photo in files]},
        partial(embed_photos, parts.dual.model, parts.dual.processor, files, unreadable=unreadable),
        unreadable,
    )
    if len(encoded.rows) < 2:
        raise CaptionDataError(
            f"evaluation.photos holds {len(encoded.rows)} photos that can be read, and CIDEr-D over so few means "
            "nothing. Give at least two, or set evaluation.photos to null."
        )
    return PhotoSplit([photos[row] for row in encoded.rows], encoded.features)


def _image_digest(parts: DeCapParts) -> str:
    """Of the weights that decide a photo's latent: the image tower and its head, whether they were trained or not."""
    weights = parts.dual.model.state_dict()
    return hashlib.sha256(save({key: value for key, value in weights.items() if key.startswith("image_")})).hexdigest()
