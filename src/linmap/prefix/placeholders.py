"""Keeps placeholder ids away from what reads `input_ids` as words: they may lie beyond the vocabulary."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessorList

__all__ = ["TextOnlyLogitsProcessors", "without_placeholders"]


def without_placeholders(input_ids: Tensor, image_token_id: int, vocabulary: int) -> Tensor:
    """Replaces each placeholder by the row's last id, a word that is in the row anyway.

    A repetition penalty therefore punishes nothing that it would not punish without the image. A row that holds no word
    yet gets the vocabulary's last id, which is the rarest word or an unused row.

    Args:
        input_ids: `(batch, sequence)` int64.
        image_token_id: The id to take out.
        vocabulary: Number of ids the language model gives scores for.
    """
    words = input_ids.where(input_ids != image_token_id, input_ids[:, -1:])
    return words.where(words != image_token_id, vocabulary - 1).clamp(0, vocabulary - 1)


class TextOnlyLogitsProcessors(LogitsProcessorList):
    """The logits processors of `generate`, shown the text without its placeholders."""

    def __init__(self, processors: LogitsProcessorList, image_token_id: int) -> None:
        super().__init__(processors)
        self.image_token_id = image_token_id

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        """Runs every processor on `scores` of shape `(batch, vocabulary)`; a placeholder is never drawn."""
        vocabulary = scores.shape[-1]
        if self.image_token_id < vocabulary:
            scores = scores.clone()
            scores[:, self.image_token_id] = -torch.inf
        return super().__call__(without_placeholders(input_ids, self.image_token_id, vocabulary), scores, **kwargs)  # type: ignore[arg-type]
