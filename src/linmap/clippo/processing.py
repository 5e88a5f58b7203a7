"""Processor of CLIPPO: photos to pixels, texts to pictures of them, or to token ids for the models beside it."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from transformers import AutoProcessor, AutoTokenizer, BatchFeature, PreTrainedTokenizerBase

from linmap.clippo.configuration import ClippoConfig, checked_renderer
from linmap.clippo.drawn_questions import draw_questions
from linmap.clippo.drawn_rows import draw_pairs
from linmap.clippo.image_processing import ClippoImageProcessor, scaled_to_unit_range
from linmap.clippo.pixels import tower_pixels
from linmap.data.pictures import pictures_in_order
from linmap.errors import ConfigurationError
from linmap.rendering.text import render_text
from linmap.sharing import SharedProcessor

if TYPE_CHECKING:
    from linmap.clippo.pretrained import ClippoPreTrainedModel

__all__ = ["ClippoProcessor"]

logger = logging.getLogger(__name__)


class ClippoProcessor(SharedProcessor):
    """Prepares photos and texts for `ClippoModel`.

    Args:
        image_processor: The tower's preprocessing; drawn texts have the size of its images.
        tokenizer: Of a model that reads tokens; None: texts are drawn.
        text_renderer: How texts are drawn: keyword arguments of `render_text`; what is left out is its default.
        max_text_tokens: Longest text, in tokens, of a model that reads them; longer ones are cut.

    Example:
        >>> processor = ClippoProcessor(ClippoImageProcessor(image_size=96))
        >>> processor(text=["a dog", "two dogs"], return_tensors="pt")["text_pixel_values"].shape
        torch.Size([2, 3, 96, 96])
    """

    attributes = ["image_processor"]  # noqa: RUF012 (as transformers declares it)

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        text_renderer: dict[str, Any] | None = None,
        max_text_tokens: int = 64,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_processor or ClippoImageProcessor(), **kwargs)
        self.tokenizer = tokenizer
        self.text_renderer = checked_renderer(text_renderer)
        self.max_text_tokens = max_text_tokens

    @classmethod
    def get_attributes(cls) -> list[str]:
        """The parts that every processor has; a tokenizer is saved and loaded beside them where there is one."""
        return ["image_processor"]

    @classmethod
    def for_model(cls, model: ClippoPreTrainedModel, tokenizer: PreTrainedTokenizerBase | None = None) -> Self:
        """Builds the processor of a model.

        Args:
            model: The model.
            tokenizer: Of a model that reads tokens.

        Raises:
            ConfigurationError: The model reads tokens and no tokenizer is given, or the other way round; or the
                tokenizer has more tokens than the model, or none to pad with.
        """
        config = model.config
        if config.reads_tokens and tokenizer is None:
            raise ConfigurationError("This model reads tokens: pass the tokenizer it learns with, tokenizer=….")
        if tokenizer is not None and not config.reads_tokens:
            raise ConfigurationError("This model reads drawn text: it has no tokenizer. Leave tokenizer out.")
        if tokenizer is not None and len(tokenizer) > int(config.vocab_size or 0):
            raise ConfigurationError(
                f"The tokenizer has {len(tokenizer):,} tokens and the model reads {config.vocab_size:,}: it is the "
                "tokenizer of another model. Pass the one that this model learned with."
            )
        if tokenizer is not None and tokenizer.pad_token is None:
            raise ConfigurationError(
                "The tokenizer has no padding token, and texts of a batch differ in length. Give it one: "
                "tokenizer.pad_token = tokenizer.eos_token."
            )
        return cls(
            ClippoImageProcessor(image_size=config.image_size),
            tokenizer,
            text_renderer=config.text_renderer,
            max_text_tokens=config.max_text_tokens,
        )

    @classmethod
    def for_questions(cls, model: ClippoPreTrainedModel) -> Self:
        """Builds the processor of a model that answers questions, which are drawn whatever way it reads texts.

        Args:
            model: A `ClippoForQuestionAnswering`.
        """
        return cls(ClippoImageProcessor(image_size=model.config.image_size), text_renderer=model.config.text_renderer)

    @classmethod
    def _from_directory(cls, directory: Path, **kwargs: Any) -> Self:
        config, _ = cls.get_processor_dict(str(directory), **kwargs)
        processor = super()._from_directory(directory, **kwargs)
        if config.get("has_tokenizer"):
            processor.tokenizer = AutoTokenizer.from_pretrained(str(directory), **kwargs)
        return processor

    def save_pretrained(self, save_directory: str | Path, push_to_hub: bool = False, **kwargs: Any) -> Any:
        """Writes the processor, and its tokenizer where it has one; arguments as in transformers."""
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(save_directory)
        return super().save_pretrained(save_directory, push_to_hub=push_to_hub, **kwargs)

    def to_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As in transformers, and whether there is a tokenizer."""
        plain = copy.copy(self)
        plain.tokenizer = None  # it has files of its own
        written = super(ClippoProcessor, plain).to_dict(*args, **kwargs)
        written.pop("tokenizer", None)
        return {**written, "has_tokenizer": self.tokenizer is not None}

    @property
    def image_size(self) -> int:
        """Side of the square images, in pixels."""
        return self.image_processor.image_size

    def draw(self, texts: str | Sequence[str]) -> np.ndarray:
        """Texts as the tower sees them.

        Returns:
            (texts, image_size, image_size) uint8.
        """
        return render_text(texts, self.image_size, **self.text_renderer)

    def __call__(
        self,
        images: Any = None,
        text: str | Sequence[str] | None = None,
        text_pair: str | Sequence[str] | None = None,
        questions: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Makes the model's inputs.

        Args:
            images: One PIL image, path or URL, or a list of them. Photos are taken upright (EXIF), their transparency
                laid on white, as `open_photo` does.
            text: One text or a list; an empty text is an empty picture.
            text_pair: As many second texts, which stand below the first (see `draw_pairs`), or behind them in tokens.
            questions: One a photo, drawn above it (see `draw_questions`). Without images, or with None in place of a
                photo, the question stands alone.
            **kwargs: As in transformers (`return_tensors="pt"`, …). Tokens are padded to the longest text and cut at
                `max_text_tokens` by default.

        Returns:
            `pixel_values` (images, 3, image_size, image_size) float32 in [-1, 1]; and of texts `text_pixel_values`,
            likewise, or `input_ids` and `attention_mask` (texts, length).

        Raises:
            UnreadableImageError: Names the photo that cannot be read, and why.
            ConfigurationError: There is nothing to prepare, or a text has no tokens for a model that reads them.
        """
        if text_pair is not None and text is None:
            raise ConfigurationError("text_pair holds second texts; give the first ones as text.")
        if images is None and text is None and questions is None:
            raise ConfigurationError("Give images, text, or both.")
        prepared: dict[str, Any] = {}
        return_tensors = kwargs.pop("return_tensors", None)
        if questions is not None:
            prepared |= self._asked(images, _listed("questions", questions))
        elif images is not None:
            pictures = pictures_in_order(images, self.image_processor)
            prepared |= self.image_processor(images=pictures, return_tensors=return_tensors)
        if text is not None:
            pairs = None if text_pair is None else _listed("text_pair", text_pair)
            prepared |= self._read(_listed("text", text), pairs, kwargs)
        return BatchFeature(prepared, tensor_type=return_tensors)

    def _asked(self, images: Any, questions: list[str]) -> dict[str, Any]:
        """Pixels of questions above photos."""
        given = [None] * len(questions) if images is None else images if isinstance(images, list | tuple) else [images]
        pictures: list[Any] = []
        for image in given:
            opened = [] if image is None else pictures_in_order(image, self.image_processor)
            pictures += [None] if image is None else map(self._in_colour, opened)
        drawn = draw_questions(pictures, questions, self.image_size, self.text_renderer)
        _warn_of_cut("questions take more than half of", drawn.cut, self.image_size)
        return {"pixel_values": np.moveaxis(scaled_to_unit_range(drawn.images), -1, 1)}

    def _in_colour(self, picture: Any) -> np.ndarray:
        """A picture, an array or a tensor as (height, width, 3) uint8; what the image processor refuses is refused."""
        return np.moveaxis(self.image_processor.process_image(picture, do_convert_rgb=True), 0, -1)

    def _read(self, texts: list[str], pairs: list[str] | None, arguments: dict[str, Any]) -> dict[str, Any]:
        if self.tokenizer is None and pairs is not None:
            drawn = draw_pairs(texts, pairs, self.image_size, self.text_renderer)
            _warn_of_cut("pairs of texts do not fit in", drawn.cut, self.image_size)
            return {"text_pixel_values": tower_pixels(drawn.images).numpy()}
        if self.tokenizer is None:
            return {"text_pixel_values": tower_pixels(self.draw(texts)).numpy()}
        said = {"padding": True, "truncation": True, "max_length": self.max_text_tokens, **arguments}
        tokens = self.tokenizer(texts, pairs, **said)
        for text, mask in zip(texts, tokens["attention_mask"], strict=True):
            if 1 not in mask:  # what the pooling then saw would be the padding, as much of it as others need
                raise ConfigurationError(
                    f"The text {text!r} has no tokens, so this model reads nothing of it. Leave it out."
                )
        if said["truncation"]:
            full = [place for place, ids in enumerate(tokens["input_ids"]) if len(ids) >= said["max_length"]]
            asked = [texts[place] for place in full], None if pairs is None else [pairs[place] for place in full]
            whole = [len(ids) for ids in self.tokenizer(*asked, verbose=False)["input_ids"]] if full else []
            longer = [length for length in whole if length > said["max_length"]]
            if longer:
                logger.warning(
                    "%d of %d texts are longer than the %d tokens that the model reads, the longest has %d: they are "
                    "cut there",
                    len(longer),
                    len(texts),
                    said["max_length"],
                    max(longer),
                )
        return {name: tokens[name] for name in ("input_ids", "attention_mask")}


_warned_of: set[tuple[str, int]] = set()


def _warn_of_cut(what: str, cut: np.ndarray, size: int) -> None:
    if cut.any() and (what, size) not in _warned_of:
        _warned_of.add((what, size))
        logger.warning(
            "%d of %d %s an image of %d px: what is beyond is not seen. (Said once.)", cut.sum(), len(cut), what, size
        )


def _listed(name: str, text: str | Sequence[str]) -> list[str]:
    """One text or several as a list of texts."""
    texts = list(text) if isinstance(text, Iterable) and not isinstance(text, str | bytes) else [text]
    if not texts or not all(isinstance(one, str) for one in texts):
        found = next((repr(one) for one in texts if not isinstance(one, str)), "an empty list")
        raise ConfigurationError(f"{name} must be one text or a list of at least one; found {found}.")
    return texts


AutoProcessor.register(ClippoConfig, ClippoProcessor, exist_ok=True)
