"""Features of locked towers: each photo (and its mirror image) and each caption once, kept for the run that resumes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from linmap.data.captions import Captioned
from linmap.data.encoding import EncodedPhotos, encode_photos, readable_photos
from linmap.data.images import UnreadableImages
from linmap.recipes.dual.schema import DualRecipe
from linmap.recipes.feature_cache import kept_or_encoded, kept_or_encoded_texts, photo_fact
from linmap.recipes.pairs import PairSplit

if TYPE_CHECKING:
    from linmap.dual.modeling import DualEncoderModel
    from linmap.dual.processing import DualEncoderProcessor

__all__ = ["encoded_split"]


def encoded_split(
    recipe: DualRecipe,
    model: DualEncoderModel,
    processor: DualEncoderProcessor,
    photos: list[Captioned],
    folder: Path,
    name: str,
    *,
    views: int,
    unreadable: UnreadableImages,
) -> PairSplit:
    """The readable photos of a split, and the features of both sides where their towers are locked.

    Args:
        recipe: Says which features are computed beforehand.
        model: In eval mode, on any device.
        processor: The model's processor.
        photos: The photos of the split with their captions.
        folder: Where features are kept.
        name: Of the split, for the names of its files.
        views: 2 to encode each photo mirrored, too.
        unreadable: Counts the photos that cannot be read, and stops at too many.
    """
    dtype = getattr(torch, recipe.data.feature_dtype)
    image_features: Tensor | None = None
    if recipe.precomputes("image"):
        encoded = _photos(model, processor, photos, folder / f"{name}-photos", views, dtype, unreadable)
        image_features, rows = encoded.features, encoded.rows
    else:
        rows = readable_photos([photo.image for photo in photos], unreadable)
    split = PairSplit([photos[row] for row in rows], image_features, None)
    if not recipe.precomputes("text"):
        return split
    texts = _texts(model, processor, split.captions, folder / f"{name}-texts", dtype)
    return PairSplit(split.photos, image_features, texts)


def _photos(
    model: DualEncoderModel,
    processor: DualEncoderProcessor,
    photos: list[Captioned],
    place: Path,
    views: int,
    dtype: torch.dtype,
    unreadable: UnreadableImages,
) -> EncodedPhotos:
    """Features (photos, views, channels); two views stay apart even where the model takes the mean of both."""
    assert model.image_encoder is not None  # a recipe names one
    mean_of_both = model.config.mirror and views == 1

    def encode(pixel_values: Tensor) -> Tensor:
        seen = [pixel_values, pixel_values.flip(-1)][:views]
        own, model.config.mirror = model.config.mirror, mean_of_both
        try:
            return torch.stack([model.encode_images(pixels) for pixels in seen], dim=1)
        finally:
            model.config.mirror = own

    files = [photo.image for photo in photos]
    identity = {
        "encoder": model.image_encoder.fingerprint.to_dict(),
        "preprocessing": processor.image_processor.to_dict(),
        "views": views,
        "mean_of_both": mean_of_both,
    }
    return kept_or_encoded(
        place.parent,
        place.name,
        {"identity": identity, "dtype": str(dtype), "photos": [photo_fact(photo) for photo in files]},
        lambda: encode_photos(encode, processor.image_processor, files, dtype=dtype, unreadable=unreadable),
        unreadable,
    )


def _texts(
    model: DualEncoderModel, processor: DualEncoderProcessor, texts: list[str], place: Path, dtype: torch.dtype
) -> Tensor:
    """Features (texts, channels)."""
    from linmap.dual.embedding import text_features

    assert model.text_encoder is not None  # a recipe names one

    identity: dict[str, Any] = {
        "encoder": model.text_encoder.fingerprint.to_dict(),
        "pooling": model.text_encoder.config.pooling,
        "context_length": model.text_encoder.context_length,
    }
    encode = partial(text_features, model, processor)
    return kept_or_encoded_texts(place.parent, place.name, identity, texts, dtype, encode)
