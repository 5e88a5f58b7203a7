"""Processor of the linear vision prefix: photos and text in, placeholders and pixels out, captions back."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor
from transformers import (
    AutoProcessor,
    BatchFeature,
    PreTrainedTokenizerBase,
)

from linmap import encoders, language
from linmap.data.pictures import NoImageProcessor, pictures_in_order
from linmap.errors import BackboneError, ConfigurationError, ImageCountError
from linmap.prefix.checkpoints import IMAGE_TOKEN
from linmap.prefix.configuration import LinearVisionPrefixConfig
from linmap.sharing import SharedProcessor

if TYPE_CHECKING:
    from linmap.prefix.modeling import LinearVisionPrefixModel

__all__ = ["LinearVisionPrefixProcessor"]

PAPER_PROMPT = "A picture of"  # section 4 of arXiv 2209.15162


class LinearVisionPrefixProcessor(SharedProcessor):
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
            images: One PIL image, path or URL, a list, or a list of lists (the images of each text), in reading order.
                Photos are taken upright (EXIF), their transparency laid on white, as `open_photo` does.
            text: One text or a list; `<image>` marks the place of an image.
            image_features: Instead of images: `(images, cells, feature_dim)`, tensor or array, or a list of them.
            **kwargs: As in transformers (`return_tensors="pt"`, …). Texts are padded to the longest by default.

        Returns:
            `input_ids` and `attention_mask` of shape `(batch, sequence)`, and `pixel_values` of shape
            `(images, 3, height, width)` or `image_features`.

        Raises:
            ImageCountError: The texts, or one of them, ask for more or fewer images than were given.
            UnreadableImageError: Names the photo that cannot be read, and why.
        """
        if images is not None and image_features is not None:
            raise ConfigurationError("Give either images or image_features, and not both.")
        if images is not None and isinstance(self.image_processor, NoImageProcessor):
            self.image_processor.preprocess(images)  # says so before any is opened
        kwargs.setdefault("padding", True)
        if image_features is not None:
            return self._with_features(_stacked(image_features), text, **kwargs)
        pictures = [] if images is None else pictures_in_order(images, self.image_processor)
        if not pictures and text is None:
            raise ConfigurationError("Give images, image_features or text.")
        texts = self._placed(text, len(pictures), _images_of_each_text(images))
        return super().__call__(images=pictures or None, text=texts, **kwargs)

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
        return [_behind(prompt.strip(), text.strip()) for text in texts]

    def _with_features(self, image_features: Tensor, text: str | Sequence[str] | None, **kwargs: Any) -> BatchFeature:
        texts = [
            sample.replace(self.image_token, self.image_token * self.num_image_tokens)
            for sample in self._placed(text, len(image_features))
        ]
        tokens = self.tokenizer(texts, **kwargs)
        self._check_special_mm_tokens(texts, tokens, modalities=["image"])
        return BatchFeature({**tokens, "image_features": image_features}, tensor_type=None)

    def _placed(self, text: str | Sequence[str] | None, count: int, of_each_text: list[int] | None = None) -> list[str]:
        """The texts as a list, each with a mark for every image; images without a mark go in front, one a text.

        Args:
            text: As the user gave it.
            count: How many images there are.
            of_each_text: How many of them belong to each text, where the user said so.
        """
        if text is None:
            return [self.image_token + self.prompt] * count
        texts = [text] if isinstance(text, str) else list(text)
        if of_each_text is not None:
            return self._placed_in_each(texts, of_each_text)
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

    def _placed_in_each(self, texts: list[str], of_each_text: list[int]) -> list[str]:
        if len(of_each_text) != len(texts):
            raise ImageCountError(
                f"{len(of_each_text)} lists of images were given for {len(texts)} texts. Give each text its own list, "
                "an empty one where it has no image."
            )
        placed = []
        for number, (sample, count) in enumerate(zip(texts, of_each_text, strict=True)):
            marks = sample.count(self.image_token)
            if marks == 0 and count == 1:
                placed.append(self.image_token + sample)
            elif marks == count:
                placed.append(sample)
            else:
                raise ImageCountError(
                    f"Text {number} has {marks} {self.image_token}, but {count} images were given for it. Give one "
                    f"image for each {self.image_token}, in reading order."
                )
        return placed


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


def _images_of_each_text(images: Any) -> list[int] | None:
    """How many images a list of lists holds for each text; None for anything else."""
    if isinstance(images, list | tuple) and images and all(isinstance(inner, list | tuple) for inner in images):
        return [len(inner) for inner in images]
    return None


def _stacked(image_features: Any) -> Tensor:
    """Features of all images as one tensor."""
    if not isinstance(image_features, list | tuple):
        return torch.as_tensor(image_features)
    features = [torch.as_tensor(each) for each in image_features]
    if len({feature.shape for feature in features}) != 1:
        shapes = sorted({tuple(feature.shape) for feature in features})
        raise ConfigurationError(
            f"image_features must be alike in shape, one entry an image; found the shapes {shapes}."
        )
    return torch.stack(features)


def _behind(prompt: str, text: str) -> str:
    """What stands behind the prompt; all of the text where it only begins with the same letters ("a" and "apple")."""
    rest = text.removeprefix(prompt)
    if prompt[-1:].isalnum() and rest[:1].isalnum():
        return text
    return rest.strip()


JOINED = (
    "{% for message in messages %}{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{% endfor %}"
)


AutoProcessor.register(LinearVisionPrefixConfig, LinearVisionPrefixProcessor, exist_ok=True)
