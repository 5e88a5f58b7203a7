"""Processor of the linear vision prefix: photos and text in, placeholders and pixels out, captions back."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self, cast

from torch import Tensor
from transformers import (
    AutoImageProcessor,
    AutoProcessor,
    BaseImageProcessor,
    BatchFeature,
    PreTrainedTokenizerBase,
    ProcessorMixin,
)
from transformers.image_utils import make_flat_list_of_images

from linmap import encoders, language
from linmap.errors import BackboneError, ConfigurationError, ImageCountError
from linmap.prefix.checkpoints import IMAGE_TOKEN
from linmap.prefix.configuration import LinearVisionPrefixConfig

if TYPE_CHECKING:
    from linmap.prefix.modeling import LinearVisionPrefixModel

__all__ = ["LinearVisionPrefixProcessor"]

PAPER_PROMPT = "A picture of"  # section 4 of arXiv 2209.15162


class NoImageProcessor(BaseImageProcessor):
    """Stands where an image processor would, for a model that takes precomputed features only; it refuses images."""

    def preprocess(self, images: Any, *args: Any, **kwargs: Any) -> BatchFeature:
        """Refuses images.

        Args:
            images: As in transformers.
            *args: As in transformers.
            **kwargs: As in transformers.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError("This processor has no image processor: its model takes image_features only.")

    def fetch_images(self, image_url_or_urls: Any) -> Any:
        """Refuses images, before any is fetched.

        Args:
            image_url_or_urls: As in transformers.

        Raises:
            ConfigurationError: Always.
        """
        return self.preprocess(image_url_or_urls)


class LinearVisionPrefixProcessor(ProcessorMixin):
    """Prepares photos and text for `LinearVisionPrefixModel`.

    Each `<image>` in a text becomes `num_image_tokens` placeholders. A text without `<image>` gets its image in front;
    no text at all means the prompt, once per image. Padding is on the left, as generation needs it.

    Args:
        image_processor: The checkpoint's own preprocessing; None for a model that takes features only.
        tokenizer: The language model's tokenizer; `<image>` is added to it if it has none, and a missing padding token
            is set to the end-of-text token.
        num_image_tokens: Placeholders one image takes, `config.num_image_tokens` of the model.
        prompt: Text between the image and the caption. May be empty.
        chat_template: Jinja template; by default the contents are simply joined.
    """

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        num_image_tokens: int = 1,
        prompt: str = PAPER_PROMPT,
        chat_template: str | None = None,
        **kwargs: Any,
    ) -> None:
        if tokenizer is None:
            raise ConfigurationError("LinearVisionPrefixProcessor needs a tokenizer: the language model's own.")
        if IMAGE_TOKEN not in tokenizer.get_vocab():
            tokenizer.add_tokens([IMAGE_TOKEN], special_tokens=True)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        tokenizer.padding_side = "left"
        self.image_token = IMAGE_TOKEN
        self.image_token_id = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        self.num_image_tokens = num_image_tokens
        self.prompt = prompt
        super().__init__(
            image_processor or NoImageProcessor(), tokenizer, chat_template=chat_template or JOINED, **kwargs
        )

    @classmethod
    def for_model(
        cls,
        model: LinearVisionPrefixModel,
        tokenizer: PreTrainedTokenizerBase | None = None,
        prompt: str = PAPER_PROMPT,
        add_bos_token: bool | None = None,
    ) -> Self:
        """Builds the processor of a model that `from_backbones` has just made.

        Args:
            model: The model.
            tokenizer: The language model's tokenizer, where it is not to be had under the language model's name.
            prompt: Text between the image and the caption.
            add_bos_token: Whether every text begins with the tokenizer's begin-of-text token; None leaves it as the
                tokenizer has it. Language models attend strongly to whatever stands first ("attention sinks",
                arXiv 2309.17453): without the token that is the first vector of the image.

        Raises:
            BackboneError: No tokenizer was given and none can be found.
            ConfigurationError: `<image>` has another id in the tokenizer than in the model, or the tokenizer puts no
                begin-of-text token in front.
        """
        config = model.config
        if tokenizer is None:
            recorded = (config.backbones or {}).get("language_model")
            if recorded is None:
                raise BackboneError("The model does not say where its language model came from; pass tokenizer=….")
            tokenizer = language.load_tokenizer(recorded["name"], gguf_file=recorded.get("gguf_file"))
        tokenizer = copy.deepcopy(tokenizer)
        if add_bos_token is not None:
            _begin_texts(tokenizer, add_bos_token)
        processor = cls(
            image_processor=config.vision_config and encoders.image_processor_for(config.vision_config),
            tokenizer=tokenizer,
            num_image_tokens=config.num_image_tokens,
            prompt=prompt,
        )
        if processor.image_token_id != config.image_token_id:
            raise ConfigurationError(
                f"<image> has id {processor.image_token_id} in the tokenizer but {config.image_token_id} in the model. "
                f"Build the model with image_token_id={processor.image_token_id}, or with tokenizer=…."
            )
        return processor

    def __call__(
        self,
        images: Any = None,
        text: str | Sequence[str] | None = None,
        image_features: Tensor | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Makes the model's inputs.

        Args:
            images: One PIL image, path or URL, a list, or a list of lists (several images per text), in reading order.
            text: One text or a list; `<image>` marks the place of an image.
            image_features: Instead of images: `(images, cells, feature_dim)`.
            **kwargs: As in transformers (`return_tensors="pt"`, …). Texts are padded to the longest by default.

        Returns:
            `input_ids` and `attention_mask` of shape `(batch, sequence)`, and `pixel_values` of shape
            `(images, 3, height, width)` or `image_features`.

        Raises:
            ImageCountError: The texts ask for more or fewer images than were given.
        """
        if images is not None and image_features is not None:
            raise ConfigurationError("Give either images or image_features, and not both.")
        if images is None and image_features is None and text is None:
            raise ConfigurationError("Give images, image_features or text.")
        if images is not None:
            images = self.image_processor.fetch_images(images)
        count = len(image_features) if image_features is not None else _count(images)
        texts = self._placed(text, count)
        kwargs.setdefault("padding", True)
        if image_features is None:
            return super().__call__(images=images, text=texts, **kwargs)
        texts = [sample.replace(self.image_token, self.image_token * self.num_image_tokens) for sample in texts]
        return_tensors = kwargs.pop("return_tensors", None)
        tokens = self.tokenizer(texts, return_tensors=return_tensors, **kwargs)
        return BatchFeature({**tokens, "image_features": image_features}, tensor_type=None)

    def replace_image_token(self, image_inputs: dict, image_idx: int, **kwargs: Any) -> str:
        """The placeholders of one image; every image takes the same number."""
        return self.image_token * self.num_image_tokens

    def caption(self, generated_ids: Tensor | Sequence[Sequence[int]], prompt: str | None = None) -> list[str]:
        """What was generated, without placeholders, prompt and special tokens.

        Args:
            generated_ids: `(batch, sequence)` from `model.generate`.
            prompt: The text that stood between image and caption; by default this processor's `prompt`.
        """
        prompt = self.prompt if prompt is None else prompt
        texts = self.tokenizer.batch_decode(generated_ids, skip_special_tokens=True)
        return [text.strip().removeprefix(prompt.strip()).strip() for text in texts]

    def _placed(self, text: str | Sequence[str] | None, count: int) -> list[str]:
        """The texts as a list, each with a mark for every image; images without a mark go in front, one a text."""
        if text is None:
            return [self.image_token + self.prompt] * count
        texts = [text] if isinstance(text, str) else list(text)
        marks = sum(sample.count(self.image_token) for sample in texts)
        if marks == 0 and count:
            if count != len(texts):
                raise ImageCountError(
                    f"{count} images were given for {len(texts)} texts without {self.image_token}. Give one image a "
                    f"text, or write {self.image_token} where each image belongs."
                )
            return [self.image_token + sample for sample in texts]
        if marks != count:
            raise ImageCountError(
                f"The texts have {marks} {self.image_token}, but {count} images were given. Give one image for each "
                f"{self.image_token}, in reading order."
            )
        return texts


def _begin_texts(tokenizer: Any, add_bos_token: bool) -> None:
    """Makes the tokenizer begin every text with its begin-of-text token, or with none; raises where it does not."""
    if add_bos_token and tokenizer.bos_token_id is None:
        raise ConfigurationError(
            "add_bos_token asks for a begin-of-text token, and the tokenizer has none. Set tokenizer.bos_token, or "
            "leave add_bos_token out."
        )
    tokenizer.add_bos_token = add_bos_token
    if (tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]) != add_bos_token:
        raise ConfigurationError(
            f"add_bos_token={add_bos_token} has no effect on a {type(tokenizer).__name__}. Leave it out, and set the "
            "tokenizer's own post-processing."
        )


def _count(images: Any) -> int:
    return 0 if images is None else len(cast(list, make_flat_list_of_images(images)))


JOINED = (
    "{% for message in messages %}{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{% endfor %}"
)


# by itself: nothing but its own name in a saved processor may lead to it
AutoImageProcessor.register(
    NoImageProcessor, image_processor_classes={"pil": NoImageProcessor, "torchvision": NoImageProcessor}, exist_ok=True
)
AutoProcessor.register(LinearVisionPrefixConfig, LinearVisionPrefixProcessor, exist_ok=True)
