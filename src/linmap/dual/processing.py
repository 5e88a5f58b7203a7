"""Processor of a dual encoder: photos and texts in, pixels and token ids out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from transformers import AutoProcessor, BatchFeature, PreTrainedTokenizerBase
from transformers.utils import IMAGE_PROCESSOR_NAME, PROCESSOR_NAME

from linmap import encoders, text_encoders
from linmap.data.pictures import NoImageProcessor, pictures_in_order
from linmap.dual.configuration import DualEncoderConfig
from linmap.errors import ConfigurationError
from linmap.sharing import SharedProcessor

if TYPE_CHECKING:
    from linmap.dual.modeling import DualEncoderModel

__all__ = ["DualEncoderProcessor"]

logger = logging.getLogger(__name__)


class DualEncoderProcessor(SharedProcessor):
    """Prepares photos and texts for `DualEncoderModel`.

    Args:
        image_processor: The preprocessing that belongs to the image tower.
        tokenizer: The text tower's tokenizer; its `model_max_length` is the tower's context.

    Example:
        >>> from linmap import DualEncoderModel
        >>> random = {"pretrained": False, "seed": 0}
        >>> model = DualEncoderModel.from_backbones(
        ...     "timm:test_vit", "open_clip:ViT-B-32", image_encoder_kwargs=random, text_encoder_kwargs=random
        ... )
        >>> processor = DualEncoderProcessor.for_model(model)
        >>> processor(text=["a dog", "two dogs and a cat"], return_tensors="pt")["input_ids"].shape
        torch.Size([2, 7])
    """

    attributes = ["image_processor", "tokenizer"]  # noqa: RUF012 (as transformers declares it)
    found_by = (PROCESSOR_NAME, IMAGE_PROCESSOR_NAME)  # the second: of a CLIP or SigLIP model of transformers

    def __init__(self, image_processor: Any = None, tokenizer: Any = None, **kwargs: Any) -> None:
        super().__init__(image_processor or NoImageProcessor(), tokenizer, **kwargs)

    @classmethod
    def for_model(cls, model: DualEncoderModel, tokenizer: PreTrainedTokenizerBase | None = None) -> Self:
        """Builds the processor of a model that `from_backbones` and its like have just made.

        Args:
            model: The model.
            tokenizer: The text tower's tokenizer, where it is not to be had under the tower's name.

        Raises:
            BackboneError: No tokenizer was given and none can be found.
            ConfigurationError: No tokenizer was given, and the model has no text tower.
        """
        config = model.config
        if tokenizer is None:
            if config.text_config is None:
                raise ConfigurationError("The model holds no text encoder, so it has no tokenizer; pass tokenizer=….")
            tokenizer = text_encoders.tokenizer_for(config.text_config)
        image_processor = config.vision_config and encoders.image_processor_for(config.vision_config)
        return cls(image_processor=image_processor, tokenizer=tokenizer)

    def __call__(
        self,
        images: Any = None,
        text: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Makes the model's inputs.

        Args:
            images: One PIL image, path or URL, or a list of them. Photos are taken upright (EXIF), their transparency
                laid on white, as `open_photo` does.
            text: One text or a list.
            **kwargs: As in transformers (`return_tensors="pt"`, …). Texts are padded to the longest and cut at the
                context of the text tower by default; how many were cut is a warning.

        Returns:
            `pixel_values` (images, 3, height, width) float32, and `input_ids` and `attention_mask` (texts, length).

        Raises:
            UnreadableImageError: Names the photo that cannot be read, and why.
            ConfigurationError: There is nothing to prepare, or images for a model without an image tower.
        """
        if images is None and text is None:
            raise ConfigurationError("Give images, text, or both.")
        if images is not None and isinstance(self.image_processor, NoImageProcessor):
            self.image_processor.preprocess(images)  # says so before any is opened
        prepared: dict[str, Any] = {}
        return_tensors = kwargs.pop("return_tensors", None)
        if text is not None:
            texts = [text] if isinstance(text, str) else list(text)
            if not texts or not all(isinstance(one, str) for one in texts):
                found = next((repr(one) for one in texts if not isinstance(one, str)), "an empty list")
                raise ConfigurationError(f"text must be one text or a list of at least one; found {found}.")
            prepared |= self._tokens(texts, {"padding": True, "truncation": True, **kwargs})
        if images is not None:
            pictures = pictures_in_order(images, self.image_processor)
            prepared |= self.image_processor(images=pictures, return_tensors=return_tensors)
        return BatchFeature(prepared, tensor_type=return_tensors)

    def _tokens(self, texts: list[str], arguments: dict[str, Any]) -> dict[str, Any]:
        """Ids and mask; with truncation, texts beyond the context are cut and counted."""
        limit = arguments.get("max_length") or self.tokenizer.model_max_length
        tokens = self.tokenizer(texts, return_overflowing_tokens=False, **arguments)
        if arguments["truncation"]:
            full = [text for text, ids in zip(texts, tokens["input_ids"], strict=True) if len(ids) >= limit]
            longer = (
                [ids for ids in self.tokenizer(full, verbose=False)["input_ids"] if len(ids) > limit] if full else []
            )
            if longer:
                logger.warning(
                    "%d of %d texts are longer than the %d tokens that the text tower reads, the longest has %d: they "
                    "are cut there",
                    len(longer),
                    len(texts),
                    limit,
                    max(map(len, longer)),
                )
        return {name: tokens[name] for name in ("input_ids", "attention_mask") if name in tokens}


AutoProcessor.register(DualEncoderConfig, DualEncoderProcessor, exist_ok=True)
