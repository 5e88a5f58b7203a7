"""Processor of DeCap: photos to pixels, texts to the decoder's ids with their end, captions back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor
from transformers import AutoProcessor, BatchFeature, PreTrainedTokenizerBase

from linmap import encoders, language
from linmap.data.pictures import NoImageProcessor, pictures_in_order
from linmap.decap.configuration import DeCapConfig
from linmap.errors import BackboneError, ConfigurationError
from linmap.sharing import SharedProcessor

if TYPE_CHECKING:
    from linmap.decap.modeling import DeCapModel

__all__ = ["DeCapProcessor"]


class DeCapProcessor(SharedProcessor):
    """Prepares photos and texts for `DeCapModel`.

    Args:
        image_processor: The preprocessing of the dual encoder's image tower; None for a model that takes latents only.
        tokenizer: The decoder's tokenizer. A missing padding token is set to the end-of-text token.
        max_length: Tokens of a text that are learned (20 in the paper's code); a longer one is cut, and lacks its end.
        add_special_tokens: Whether a text's ids begin as the tokenizer begins them. CLIP's do (the paper's decoder
            writes that token first); for a pretrained language model it would stand in the wrong place.

    Example:
        >>> from linmap.text_encoders.open_clip_tokens import clip_tokenizer
        >>> processor = DeCapProcessor(tokenizer=clip_tokenizer())
        >>> processor(text=["a cat."])["input_ids"]
        [[49406, 320, 2368, 269, 49407]]
    """

    attributes = ["image_processor", "tokenizer"]  # noqa: RUF012 (as transformers declares it)

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        max_length: int = 20,
        add_special_tokens: bool = True,
        **kwargs: Any,
    ) -> None:
        if tokenizer is None:
            raise ConfigurationError("DeCapProcessor needs a tokenizer: the decoder's own.")
        if tokenizer.eos_token is None:
            raise ConfigurationError("The tokenizer has no end-of-text token, so no caption would end. Set eos_token.")
        if max_length < 1:
            raise ConfigurationError(f"max_length is {max_length}; it must be at least 1.")
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        tokenizer.padding_side = "right"
        self.max_length = max_length
        self.add_special_tokens = add_special_tokens
        super().__init__(image_processor or NoImageProcessor(), tokenizer, **kwargs)

    @classmethod
    def for_model(
        cls, model: DeCapModel, tokenizer: PreTrainedTokenizerBase | None = None, max_length: int = 20
    ) -> Self:
        """Builds the processor of a model that `from_backbones` has just made.

        Args:
            model: The model.
            tokenizer: The decoder's; needed for one from scratch.
            max_length: See the class.

        Raises:
            BackboneError: No tokenizer was given and none can be found.
        """
        recorded = (model.config.backbones or {}).get("decoder")
        if tokenizer is None:
            if recorded is None:
                raise BackboneError("The decoder has no name to find its tokenizer by; pass tokenizer=….")
            tokenizer = language.load_tokenizer(recorded["name"], gguf_file=recorded.get("gguf_file"))
        dual = model.dual_encoder
        vision = None if dual is None else dual.config.vision_config
        return cls(
            image_processor=vision and encoders.image_processor_for(vision),
            tokenizer=tokenizer,
            max_length=max_length,
            add_special_tokens=recorded is None,
        )

    def __call__(
        self,
        images: Any = None,
        text: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Makes the model's inputs.

        Args:
            images: One PIL image, path or URL, or a list of them.
            text: One text or a list. Alone they are to learn: each with its end, cut at `max_length`. With images they
                are what the captions begin with, which may be nothing: without an end, padded on the left.
            **kwargs: `return_tensors="pt"` pads texts.

        Returns:
            `pixel_values` (images, 3, height, width) float32; `input_ids`, `attention_mask` and, as tensors, of texts
            to learn, `labels` (texts, length), which are the ids, -100 on padding. A token that is scored is never
            mistaken for padding, whatever its id (the original drops the id 0, CLIP's "!").

        Raises:
            UnreadableImageError: Names the photo that cannot be read, and why.
            ConfigurationError: There is nothing to prepare, or images for a model without an image tower.
        """
        if images is None and text is None:
            raise ConfigurationError("Give images, text, or both.")
        return_tensors = kwargs.pop("return_tensors", None)
        prepared: dict[str, Any] = {}
        if images is not None and isinstance(self.image_processor, NoImageProcessor):
            self.image_processor.preprocess(images)  # says so before any is opened
        if text is not None:
            texts = [text] if isinstance(text, str) else list(text)
            prepared |= (self._targets if images is None else self._beginnings)(texts, return_tensors)
        if images is not None:
            pictures = pictures_in_order(images, self.image_processor)
            prepared |= self.image_processor(images=pictures, return_tensors=return_tensors)
        return BatchFeature(prepared)

    def caption(self, sequences: Tensor | Sequence[Sequence[int]]) -> list[str]:
        """The captions that `generate` wrote, without special tokens and with single blanks."""
        texts = self.tokenizer.batch_decode(sequences, skip_special_tokens=True)
        return [" ".join(text.split()) for text in texts]

    def _rows(self, texts: list[str]) -> list[list[int]]:
        if not texts or not all(isinstance(one, str) for one in texts):
            found = next((repr(one) for one in texts if not isinstance(one, str)), "an empty list")
            raise ConfigurationError(f"text must be one text or a list of at least one; found {found}.")
        return list(self.tokenizer(texts, add_special_tokens=self.add_special_tokens, verbose=False)["input_ids"])

    def _beginnings(self, texts: list[str], return_tensors: str | None) -> dict[str, Any]:
        end = self.tokenizer.eos_token_id
        rows = [row[:-1] if row[-1:] == [end] else row for row in self._rows(texts)]
        masks = [[1] * len(row) for row in rows]
        if return_tensors is not None:
            longest = max(map(len, rows))
            rows = [[self.tokenizer.pad_token_id] * (longest - len(row)) + row for row in rows]
            masks = [[0] * (longest - len(mask)) + mask for mask in masks]
            return {"input_ids": torch.tensor(rows).long(), "attention_mask": torch.tensor(masks).long()}
        return {"input_ids": rows, "attention_mask": masks}

    def _targets(self, texts: list[str], return_tensors: str | None) -> dict[str, Any]:
        end = self.tokenizer.eos_token_id
        rows = self._rows(texts)
        rows = [(row if row[-1:] == [end] else [*row, end])[: self.max_length] for row in rows]
        masks = [[1] * len(row) for row in rows]
        if return_tensors is None:
            return {"input_ids": rows, "attention_mask": masks}
        padded = self.tokenizer.pad({"input_ids": rows, "attention_mask": masks}, return_tensors=return_tensors)
        labels = torch.as_tensor(padded["input_ids"]).masked_fill(torch.as_tensor(padded["attention_mask"]) == 0, -100)
        return {"input_ids": padded["input_ids"], "attention_mask": padded["attention_mask"], "labels": labels}


AutoProcessor.register(DeCapConfig, DeCapProcessor, exist_ok=True)
