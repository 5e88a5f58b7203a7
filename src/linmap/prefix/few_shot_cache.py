"""Keys and values of solved examples and of photos behind them: computed once, handed out to all questions."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from linmap.errors import ConfigurationError

if TYPE_CHECKING:
    from linmap.prefix.modeling import LinearVisionPrefixModel

__all__ = ["ImageCaches", "SupportCache"]


class SupportCache:
    """What a language model keeps of a text that many others go on from.

    Args:
        cache: Keys and values of one row, as a forward pass left them; never changed.
        takes_padding: Whether masked positions may stand behind it. They may not where distances are counted in places
            (biases by distance, sliding windows) or where a state is carried along.
    """

    def __init__(self, cache: Cache, *, takes_padding: bool) -> None:
        self._cache = cache
        self.takes_padding = takes_padding

    @classmethod
    def of(cls, model: LinearVisionPrefixModel, ids: Sequence[int], features: Tensor | None = None) -> SupportCache:
        """Reads a text once.

        Args:
            model: The model.
            ids: Of the text, placeholders for its images among them.
            features: `(images, cells, feature_dim)`; None without images.

        Raises:
            ConfigurationError: The language model keeps nothing that could be reused.
        """
        row = torch.tensor([list(ids)], device=model.device)
        with torch.inference_mode():
            seen = None if features is None else features.to(model.device)
            outputs = model(
                row, image_features=seen, attention_mask=torch.ones_like(row), use_cache=True, logits_to_keep=1
            )
        cache = outputs.past_key_values
        if not isinstance(cache, Cache):
            raise ConfigurationError(
                f"A {type(model.language_model).__name__} keeps no keys and values to reuse; answer with reuse=False, "
                "which gives the same answers."
            )
        plain = all(type(layer) is DynamicLayer for layer in cache.layers)
        counts_positions = "position_ids" in inspect.signature(model.language_model.forward).parameters
        return cls(cache, takes_padding=plain and counts_positions)

    def __len__(self) -> int:
        """Tokens it holds."""
        return self._cache.get_seq_length()

    def expanded(self, batch: int) -> Cache:
        """A copy for `batch` rows, which a model may go on from and write to."""
        cache = copy.deepcopy(self._cache)
        cache.batch_repeat_interleave(batch)
        return cache

    def behind(self, model: LinearVisionPrefixModel, features: Tensor, batch_size: int) -> ImageCaches:
        """Reads images behind it, each once.

        Args:
            model: The model.
            features: `(images, cells, feature_dim)`.
            batch_size: Images read at a time.
        """
        tokens, held = model.config.num_image_tokens, len(self)
        parts: list[list[tuple[Tensor, Tensor]]] = []
        with torch.inference_mode():
            for seen in features.split(batch_size):
                ids = torch.full((len(seen), tokens), model.config.image_token_id, device=model.device)
                outputs = model(
                    ids,
                    image_features=seen.to(model.device),
                    attention_mask=ids.new_ones(len(seen), held + tokens),
                    position_ids=torch.arange(held, held + tokens, device=model.device).expand(len(seen), -1),
                    past_key_values=self.expanded(len(seen)),
                    use_cache=True,
                    logits_to_keep=1,
                )
                layers = outputs.past_key_values.layers
                parts.append([(one.keys[..., held:, :].clone(), one.values[..., held:, :].clone()) for one in layers])
        joined = [
            (torch.cat([keys for keys, _ in layer]), torch.cat([values for _, values in layer]))
            for layer in zip(*parts, strict=True)
        ]
        return ImageCaches(self, joined, tokens)


class ImageCaches:
    """What a language model keeps of images behind the same text; that text is kept once for all.

    Args:
        support: Of the text.
        parts: For each layer keys and values of the images, `(images, heads, tokens, channels of a head)`.
        tokens: Of an image.
    """

    def __init__(self, support: SupportCache, parts: Sequence[tuple[Tensor, Tensor]], tokens: int) -> None:
        self._support, self._parts, self._tokens = support, parts, tokens

    def __len__(self) -> int:
        """Tokens of a row, text and image."""
        return len(self._support) + self._tokens

    def expanded(self, images: Sequence[int]) -> Cache:
        """A copy with a row for each of `images`, which a model may go on from and write to."""
        cache = self._support.expanded(len(images))
        rows = list(images)
        for layer, (keys, values) in enumerate(self._parts):
            cache.update(keys[rows], values[rows], layer)
        return cache
