"""Photos and texts in bulk behind a dual encoder; photos as every model that compares them with texts embeds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from linmap.contrastive.embedding import embed_features, embed_photos, encode_each_once, photo_features

if TYPE_CHECKING:
    from linmap.dual.modeling import DualEncoderModel
    from linmap.dual.processing import DualEncoderProcessor

__all__ = ["embed_photos", "embed_texts", "photo_features", "text_features"]

TEXTS_AT_ONCE = 256


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

    def prepare(different: list[str]) -> list[Tensor]:
        tokens = processor(text=different)
        masks = [torch.tensor(mask, dtype=torch.bool) for mask in tokens["attention_mask"]]
        return [torch.tensor(row)[mask] for row, mask in zip(tokens["input_ids"], masks, strict=True)]

    def encode(ids: list[Tensor]) -> Tensor:
        batch = processor.tokenizer.pad({"input_ids": ids}, return_tensors="pt")
        return model.encode_texts(batch["input_ids"], batch["attention_mask"])

    return encode_each_once(texts, prepare, encode, width=model.config.text_feature_dim, batch_size=batch_size)


def embed_texts(
    model: DualEncoderModel, processor: DualEncoderProcessor, texts: Sequence[str], *, batch_size: int = TEXTS_AT_ONCE
) -> Tensor:
    """Texts in the shared space; arguments as `text_features`.

    Returns:
        (texts, projection_dim) float32 on the CPU, L2-normalised, in the order of the texts.
    """
    features = text_features(model, processor, texts, batch_size=batch_size)
    return embed_features(
        lambda part: model.get_text_features(text_features=part), features, width=model.config.projection_dim
    )
