"""Photos and texts in bulk behind a CLIPPO tower: texts are drawn a batch at a time; what did not fit is counted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from linmap.clippo.pixels import tower_pixels
from linmap.contrastive.embedding import embed_features, embed_photos, encode_each_once, photo_features
from linmap.rendering.text import render_text

if TYPE_CHECKING:
    from linmap.clippo.modeling import ClippoModel
    from linmap.clippo.processing import ClippoProcessor

__all__ = ["LostText", "embed_photos", "embed_texts", "lost_text", "photo_features", "text_features"]

logger = logging.getLogger(__name__)

TEXTS_AT_ONCE = 128
"""A drawn text is as much work as a photo, whatever its length."""


class LostText(NamedTuple):
    """What a model does not read of some texts.

    Args:
        texts: How many it does not read in full.
        pieces: Characters, or tokens of a model that reads these, that it does not read, of all texts together.
        of: Characters or tokens that the texts have.
        unit: `"characters"` or `"tokens"`.
    """

    texts: int
    pieces: int
    of: int
    unit: str


def text_features(
    model: ClippoModel, processor: ClippoProcessor, texts: Sequence[str], *, batch_size: int = TEXTS_AT_ONCE
) -> Tensor:
    """The tower's features of texts, in front of the head.

    Texts that are equal are read once. How many do not fit into their picture is one warning for all of them.

    Args:
        model: On any device; put into eval mode first.
        processor: The model's processor.
        texts: Any number of texts.
        batch_size: Texts drawn and encoded at a time.

    Returns:
        (texts, hidden_size) float32 on the CPU, in the order of the texts.
    """
    model.eval()
    width = model.config.hidden_size
    if processor.tokenizer is not None:
        return encode_each_once(
            texts,
            lambda different: _ids(processor, different),
            lambda ids: _encoded_ids(model, processor, ids),
            width=width,
            batch_size=batch_size,
        )
    cut: list[bool] = []

    def encode(batch: list[str]) -> Tensor:
        drawn, overflow = render_text(batch, processor.image_size, **processor.text_renderer, return_overflow=True)
        cut.extend((overflow.cut + overflow.hidden > 0).tolist())
        return model.encode_texts(tower_pixels(drawn))

    features = encode_each_once(texts, lambda different: different, encode, width=width, batch_size=batch_size)
    if any(cut):
        logger.warning(
            "%d of %d texts do not fit into %d x %d pixels: the model does not see their end.",
            sum(cut),
            len(cut),
            processor.image_size,
            processor.image_size,
        )
    return features


def embed_texts(
    model: ClippoModel, processor: ClippoProcessor, texts: Sequence[str], *, batch_size: int = TEXTS_AT_ONCE
) -> Tensor:
    """Texts in the shared space; arguments as `text_features`.

    Returns:
        (texts, projection_dim) float32 on the CPU, L2-normalised, in the order of the texts.

    Example:
        >>> embed_texts(model, processor, ["a dog", "สุนัข"]).shape  # doctest: +SKIP
        torch.Size([2, 768])
    """
    features = text_features(model, processor, texts, batch_size=batch_size)
    return embed_features(
        lambda part: model.get_text_features(text_features=part), features, width=model.config.projection_dim
    )


def lost_text(processor: ClippoProcessor, texts: Sequence[str]) -> LostText:
    """What a model does not read of texts: what is cut or below its picture, or behind its longest row of tokens.

    Args:
        processor: The model's processor.
        texts: Any number of texts; those that are equal count each.

    Example:
        >>> from linmap import ClippoProcessor
        >>> from linmap.clippo.image_processing import ClippoImageProcessor
        >>> lost_text(ClippoProcessor(ClippoImageProcessor(image_size=32)), ["dog", "a dog on the beach"])
        LostText(texts=1, pieces=11, of=21, unit='characters')
    """
    if processor.tokenizer is not None:
        lengths = [len(ids) for ids in processor.tokenizer(list(texts), verbose=False)["input_ids"]] if texts else []
        beyond = [max(0, length - processor.max_text_tokens) for length in lengths]
        return LostText(sum(count > 0 for count in beyond), sum(beyond), sum(lengths), "tokens")
    lost: list[int] = []
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        batch = texts[start : start + TEXTS_AT_ONCE]
        _, overflow = render_text(batch, processor.image_size, **processor.text_renderer, return_overflow=True)
        lost += (overflow.cut + overflow.hidden).tolist()
    return LostText(sum(count > 0 for count in lost), sum(lost), sum(map(len, texts)), "characters")


def _ids(processor: ClippoProcessor, texts: list[str]) -> list[Tensor]:
    tokens = processor(text=texts)
    masks = [torch.tensor(mask, dtype=torch.bool) for mask in tokens["attention_mask"]]
    return [torch.tensor(row)[mask] for row, mask in zip(tokens["input_ids"], masks, strict=True)]


def _encoded_ids(model: ClippoModel, processor: ClippoProcessor, ids: list[Tensor]) -> Tensor:
    assert processor.tokenizer is not None  # asked before
    batch = processor.tokenizer.pad({"input_ids": ids}, return_tensors="pt")
    return model.encode_texts(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
