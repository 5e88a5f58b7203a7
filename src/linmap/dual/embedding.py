"""Photos and texts in bulk: through a tower once, batch by batch with a progress bar, and into the shared space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from huggingface_hub.utils import tqdm
from torch import Tensor

from linmap.data.encoding import EncodedPhotos, encode_photos
from linmap.data.images import Photo, UnreadableImages

if TYPE_CHECKING:
    from linmap.dual.modeling import DualEncoderModel
    from linmap.dual.processing import DualEncoderProcessor

__all__ = ["embed_photos", "embed_texts", "photo_features", "text_features"]

TEXTS_AT_ONCE = 256
FEATURES_AT_ONCE = 4096  # a head takes many more at a time than a tower


def photo_features(
    model: DualEncoderModel,
    processor: DualEncoderProcessor,
    photos: Sequence[Photo],
    *,
    unreadable: UnreadableImages | None = None,
    batch_size: int = 32,
) -> EncodedPhotos:
    """The image tower's features, in front of the head: what is worth caching, and what a linear probe takes.

    Args:
        model: On any device; put into eval mode first.
        processor: The model's processor.
        photos: Paths, encoded bytes, or pictures.
        unreadable: Counts the photos that cannot be read; left out: the first one stops.
        batch_size: Photos encoded at a time.

    Returns:
        `features` (readable photos, image_feature_dim) float32 on the CPU, and for each row the index of its photo.

    Raises:
        UnreadableImageError: For the first photo that cannot be read, or the first beyond the limit of `unreadable`.
    """
    return encode_photos(
        model.eval().encode_images, processor.image_processor, photos, unreadable=unreadable, batch_size=batch_size
    )


def embed_photos(
    model: DualEncoderModel,
    processor: DualEncoderProcessor,
    photos: Sequence[Photo],
    *,
    unreadable: UnreadableImages | None = None,
    batch_size: int = 32,
) -> EncodedPhotos:
    """Photos in the shared space; arguments and errors as `photo_features`.

    Returns:
        `features` (readable photos, projection_dim) float32 on the CPU, L2-normalised, and `rows`.

    Example:
        >>> embed_photos(model, processor, ["dog.jpg"]).features.shape  # doctest: +SKIP
        torch.Size([1, 512])
    """
    return encode_photos(
        model.eval().get_image_features, processor.image_processor, photos, unreadable=unreadable, batch_size=batch_size
    )


@torch.no_grad()
def text_features(
    model: DualEncoderModel, processor: DualEncoderProcessor, texts: Sequence[str], *, batch_size: int = TEXTS_AT_ONCE
) -> Tensor:
    """The text tower's features, in front of the head.

    Texts of about the same length go together, so that little padding is read; texts that are equal go once.

    Args:
        model: On any device; put into eval mode first.
        processor: The model's processor.
        texts: Any number of texts.
        batch_size: Texts encoded at a time.

    Returns:
        (texts, text_feature_dim) float32 on the CPU, in the order of the texts.
    """
    model.eval()
    different = list(dict.fromkeys(texts))
    tokens = processor(text=different) if different else {"input_ids": [], "attention_mask": []}
    masks = [torch.tensor(mask, dtype=torch.bool) for mask in tokens["attention_mask"]]
    ids = [torch.tensor(row)[mask] for row, mask in zip(tokens["input_ids"], masks, strict=True)]
    order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
    features = torch.empty(len(ids), model.config.text_feature_dim)
    at_once = len(ids) <= batch_size  # no bar for one batch: a collator asks for many of them
    with tqdm(total=len(ids), desc="Encoding texts", unit="text", disable=at_once) as bar:
        for start in range(0, len(ids), batch_size):
            rows = order[start : start + batch_size]
            batch = processor.tokenizer.pad({"input_ids": [ids[row] for row in rows]}, return_tensors="pt")
            features[rows] = model.encode_texts(batch["input_ids"], batch["attention_mask"]).float().cpu()
            bar.update(len(rows))
    places = {text: place for place, text in enumerate(different)}
    return features[[places[text] for text in texts]]


@torch.no_grad()
def embed_texts(
    model: DualEncoderModel, processor: DualEncoderProcessor, texts: Sequence[str], *, batch_size: int = TEXTS_AT_ONCE
) -> Tensor:
    """Texts in the shared space; arguments as `text_features`.

    Returns:
        (texts, projection_dim) float32 on the CPU, L2-normalised, in the order of the texts.
    """
    features = text_features(model, processor, texts, batch_size=batch_size)
    return torch.cat(
        [model.get_text_features(text_features=part).cpu() for part in features.split(FEATURES_AT_ONCE)]
        or [features.new_empty(0, model.config.projection_dim)]
    )
