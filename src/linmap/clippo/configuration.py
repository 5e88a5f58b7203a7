"""Configuration of CLIPPO (arXiv 2212.08045) and of the models the paper compares it with."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from transformers.models.auto.configuration_auto import AutoConfig

from linmap.errors import ConfigurationError, UnknownNameError
from linmap.rendering.glyphs import Glyphs
from linmap.rendering.text import render_text
from linmap.sharing import SharedConfig

__all__ = ["SHARING", "TEXT_INPUTS", "ClippoConfig", "checked_renderer"]

TEXT_INPUTS = ("pixels", "tokens")
SHARING = ("shared", "own")
NOT_SETTINGS = ("texts", "image_size", "glyphs", "return_overflow")

RENDERER: Mapping[str, Any] = MappingProxyType(
    {
        name: parameter.default
        for name, parameter in inspect.signature(render_text).parameters.items()
        if name not in NOT_SETTINGS
    }
)
"""How texts are drawn unless a configuration says otherwise: what `render_text` does by itself."""


class ClippoConfig(SharedConfig):
    """One ViT that reads photos and drawn text, and what of it the two share.

    The defaults are the published ViT-B/16. CLIPPO shares everything; the paper compares it with one
    that has its own patch embedding or head for text, with 1T-CLIP (`text_input="tokens"`) and with CLIP* (that, and
    `text_tower="own"`).

    Args:
        image_size: Side of the square image the tower sees, in pixels; drawn text has the same.
        patch_size: Side of a patch, in pixels; divides `image_size`.
        hidden_size: Width of the tower, in channels.
        num_hidden_layers: Its blocks.
        num_attention_heads: Heads of each block and of the attention pooling.
        intermediate_size: Width of the MLPs, in channels.
        projection_dim: Width of the shared space, in channels.
        layer_norm_eps: Of all layer norms.
        text_input: `"pixels"`: texts are drawn. `"tokens"`: they are tokenised, and have an embedding of their own.
        text_tower: `"shared"`, or `"own"`: a second tower of the same shape reads the texts.
        text_patch_embedding: `"shared"`, or `"own"`: patches of drawn texts have an embedding of their own.
        text_head: `"shared"`, or `"own"`: texts have a linear head of their own.
        vocab_size: Tokens of the vocabulary, for `text_input="tokens"`.
        max_text_tokens: Longest text, in tokens.
        pad_token_id: The token behind the end of shorter texts.
        text_renderer: How texts are drawn: keyword arguments of `render_text`; what is left out is its default.
        logit_scale_init_value: Start of the logarithm of the temperature's inverse (the paper's code: log(10)).
        mini_batch_size: Rows that go through a tower at a time while training (gradient caching, arXiv 2101.06983):
            memory does not grow with the batch, the gradient is the same. None: all at once.
        initialised_from: Fingerprint of the ViT that the tower started from; None where it started at random.
        classifier_dropout: Share dropped in front of a classifier's layer (`ClippoForSequenceClassification` and its
            like) while training.

    Raises:
        UnknownNameError: A word that is not known.
        ConfigurationError: Numbers that do not fit together.
        RenderingError: A setting of `text_renderer` is out of its range.

    Example:
        >>> config = ClippoConfig(image_size=224, patch_size=16)
        >>> config.num_patches, config.text_renderer["font_size"], round(math.exp(config.logit_scale_init_value))
        (196, 16, 10)
    """

    model_type = "clippo"

    image_size: int = 224
    patch_size: int = 16
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    projection_dim: int = 768
    layer_norm_eps: float = 1e-6
    text_input: str = "pixels"
    text_tower: str = "shared"
    text_patch_embedding: str = "shared"
    text_head: str = "shared"
    vocab_size: int | None = None
    max_text_tokens: int = 64
    pad_token_id: int | None = 0
    text_renderer: dict | None = None
    logit_scale_init_value: float = math.log(10)
    mini_batch_size: int | None = None
    initialised_from: dict | None = None
    classifier_dropout: float = 0.0

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.text_input not in TEXT_INPUTS:
            raise UnknownNameError("text_input", self.text_input, TEXT_INPUTS)
        for name in ("text_tower", "text_patch_embedding", "text_head"):
            if getattr(self, name) not in SHARING:
                raise UnknownNameError(name, getattr(self, name), SHARING)
        self.text_renderer = checked_renderer(self.text_renderer)
        self._check_sizes()
        self._check_parts()

    @property
    def num_patches(self) -> int:
        """Patches of an image, and so positions of the tower."""
        return (self.image_size // self.patch_size) ** 2

    @property
    def reads_tokens(self) -> bool:
        """Whether texts are tokenised, and not drawn."""
        return self.text_input == "tokens"

    def _check_sizes(self) -> None:
        sizes = ("image_size", "patch_size", "hidden_size", "num_hidden_layers", "num_attention_heads")
        for name in (*sizes, "intermediate_size", "projection_dim", "max_text_tokens", "vocab_size", "mini_batch_size"):
            value = getattr(self, name)
            if value is None and name in ("vocab_size", "mini_batch_size"):
                continue
            if not isinstance(value, int) or isinstance(value, bool):
                raise ConfigurationError(f"{name} is {value!r}; it must be a whole number.")
            if value < 1:
                raise ConfigurationError(f"{name} is {value}; it must be at least 1.")
        if not 0.0 <= self.classifier_dropout < 1.0:
            raise ConfigurationError(f"classifier_dropout is {self.classifier_dropout}; it must lie in [0, 1).")
        if self.image_size % self.patch_size:
            raise ConfigurationError(
                f"image_size is {self.image_size} and patch_size {self.patch_size}: an image is cut into whole "
                f"patches. The next smaller size is {self.image_size // self.patch_size * self.patch_size}."
            )
        if self.hidden_size % self.num_attention_heads:
            raise ConfigurationError(
                f"hidden_size is {self.hidden_size} and num_attention_heads {self.num_attention_heads}: the channels "
                "are shared out among the heads evenly; one must divide the other."
            )

    def _check_parts(self) -> None:
        if self.reads_tokens and self.vocab_size is None:
            raise ConfigurationError('text_input is "tokens", and vocab_size is not known: give that of the tokenizer.')
        if self.reads_tokens and self.text_patch_embedding == "own":
            raise ConfigurationError(
                'text_patch_embedding is "own", and text_input "tokens": tokens are not drawn and have no patches. '
                "Leave one of them out."
            )
        if self.text_tower == "own" and self.text_patch_embedding == "own":
            raise ConfigurationError(
                'text_tower is "own" and has its own patch embedding already: leave text_patch_embedding "shared".'
            )


def checked_renderer(text_renderer: Mapping[str, Any] | None) -> dict[str, Any]:
    """Settings of drawing, the defaults of `render_text` where nothing is said: wrong ones are known before a text is.

    Args:
        text_renderer: Keyword arguments of `render_text`; None is its defaults.

    Raises:
        UnknownNameError: A name is none of its settings.
        ConfigurationError: They are no names with values.
        RenderingError: A value is out of its range.
    """
    if not isinstance(text_renderer, Mapping | None):
        raise ConfigurationError(
            f"text_renderer is {text_renderer!r}; give keyword arguments of render_text, such as {{'font_size': 16}}."
        )
    for name in text_renderer or {}:
        if name not in RENDERER:
            raise UnknownNameError("setting of text_renderer", str(name), RENDERER)
    settings = {**RENDERER, **(text_renderer or {})}
    render_text([], glyphs=Glyphs([], []), **settings)  # checks them; no text, and so no font
    return settings


AutoConfig.register(ClippoConfig.model_type, ClippoConfig, exist_ok=True)
