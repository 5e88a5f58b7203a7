"""The photos of a run of CLIPPO: of captions files or streamed from shards, made small before they are seen or not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from huggingface_hub.utils import tqdm
from PIL import Image

from linmap.data.captions import Captioned
from linmap.data.encoding import readable_photos
from linmap.data.images import Photo, UnreadableImages, open_photo
from linmap.data.pairs import photo_ids
from linmap.data.streams import CaptionStream
from linmap.recipes.assembly import read_splits
from linmap.recipes.clippo.schema import ClippoRecipe
from linmap.recipes.sections import STREAMED
from linmap.recipes.streamed import open_stream, validation_photos

__all__ = ["LearnedPhotos", "made_small", "opened_photos"]


@dataclass(frozen=True)
class LearnedPhotos:
    """What is learned from beside texts.

    Args:
        captioned: The photos; empty where they are streamed, or where none is learned from.
        ids: Number of each; equal photos have the same.
        stream: Photos in shards.
    """

    captioned: list[Captioned]
    ids: list[int]
    stream: CaptionStream | None = None

    @property
    def photos(self) -> int:
        """How many there are."""
        return len(self.captioned) if self.stream is None else self.stream.count()

    @property
    def captions(self) -> int:
        """Captions of all of them."""
        return sum(len(photo.captions) for photo in self.captioned) if self.stream is None else self.stream.count()

    def made_small(self, side: int) -> LearnedPhotos:
        """The same, decoded; see `made_small`."""
        return replace(self, captioned=made_small(self.captioned, side))


def opened_photos(
    recipe: ClippoRecipe, unreadable: UnreadableImages, cache: Path
) -> tuple[LearnedPhotos, list[Captioned]]:
    """The photos to learn from, and those to validate on.

    Args:
        recipe: Which.
        unreadable: Counts the photos that cannot be read, and stops at too many.
        cache: Folder where the numbers of samples in shards are kept.

    Raises:
        LinmapError: They are not there, or not of their format.
    """
    if recipe.data.format == STREAMED:
        chosen_by = list(validation_photos(recipe, unreadable).photos)
        if not recipe.photo_rows:
            return LearnedPhotos([], []), chosen_by
        return LearnedPhotos([], [], open_stream(recipe, unreadable, cache)), chosen_by
    read, looked_at = read_splits(recipe.data, unreadable)
    learned = _readable(read, unreadable) if recipe.photo_rows else read
    ids = photo_ids([photo.image for photo in learned])
    return LearnedPhotos(learned, ids), _readable(looked_at[: recipe.evaluation.photos], unreadable)


def made_small(photos: Sequence[Captioned], side: int) -> list[Captioned]:
    """The photos decoded, at the size that the tower sees, in memory: just what its processor would make of them.

    Args:
        photos: The photos.
        side: Of the square, in pixels.
    """
    from linmap.clippo.image_processing import resize_without_antialias

    def small(photo: Photo) -> Image.Image:
        return Image.fromarray(resize_without_antialias(np.asarray(open_photo(photo)), side))

    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        opened = pool.map(small, [photo.image for photo in photos])
        shown = tqdm(zip(photos, opened, strict=True), desc="Decoding photos", total=len(photos), unit="photo")
        return [replace(photo, image=picture) for photo, picture in shown]


def _readable(photos: list[Captioned], unreadable: UnreadableImages) -> list[Captioned]:
    return [photos[row] for row in readable_photos([photo.image for photo in photos], unreadable)]
