"""Texts and their latents, batched for a decoder that learns to turn one into the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from linmap.errors import CaptionDataError

if TYPE_CHECKING:
    from transformers import ProcessorMixin

__all__ = ["TextLatentCollator"]


class TextLatentCollator:
    """Makes a batch of `{"text", "latent"}` examples for DeCap; no photo is needed.

    Examples without a latent have their texts encoded here, while training; encoded once beforehand and kept, training
    is quicker by the text tower's share.

    A `Trainer` needs `TrainingArguments(remove_unused_columns=False)`: by default it takes texts out of the examples
    before they come here, because the model's `forward` does not name them.

    Args:
        processor: A `DeCapProcessor`.
        embed: From texts to their latents, (texts, latent_dim), such as a dual encoder's `embed_texts`.

    Example:
        ```python
        collator = TextLatentCollator(processor, embed=lambda texts: embed_texts(dual, dual_processor, texts))
        model(**collator([{"text": "a dog runs"}])).loss
        ```
    """

    def __init__(self, processor: ProcessorMixin, embed: Callable[[list[str]], Tensor] | None = None) -> None:
        self.processor = cast("Any", processor)
        self.embed = embed

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """The batch of `examples`.

        Returns:
            `latents` (texts, latent_dim) float32; `input_ids`, `attention_mask` and `labels` (texts, length) int64.

        Raises:
            CaptionDataError: Names the example that lacks something.
        """
        if not examples:
            raise CaptionDataError("An empty batch: give at least one example.")
        texts = [_text(example, index) for index, example in enumerate(examples)]
        return {"latents": self._latents(examples, texts), **self.processor(text=texts, return_tensors="pt")}

    def _latents(self, examples: Sequence[Mapping[str, Any]], texts: list[str]) -> Tensor:
        lacking = [index for index, example in enumerate(examples) if example.get("latent") is None]
        if not lacking:
            return torch.stack([torch.as_tensor(example["latent"]) for example in examples]).float()
        if len(lacking) < len(examples):
            raise CaptionDataError(
                f'Example {lacking[0]} of the batch has no "latent", and others have; give it to all or to none.'
            )
        if self.embed is None:
            raise CaptionDataError(
                'The examples have no "latent", and the collator no way to make one: '
                "TextLatentCollator(processor, embed=…). If it was in the dataset, the Trainer took it away: set "
                "remove_unused_columns=False in TrainingArguments."
            )
        return self.embed(texts).float().cpu()


def _text(example: Mapping[str, Any], index: int) -> str:
    text = example.get("text")
    if not isinstance(text, str) or not text.strip():
        raise CaptionDataError(
            f"Example {index} of the batch has the text {text!r}; give it a text or take it out. If it was in the "
            "dataset, the Trainer took it away: set remove_unused_columns=False in TrainingArguments."
        )
    return text
