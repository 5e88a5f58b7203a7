"""One contract for text encoders of open_clip and transformers: one vector for each text."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from linmap.encoders.frozen import FrozenEncoder
from linmap.errors import EncoderError
from linmap.text_encoders.configuration import TextEncoderConfig
from linmap.text_encoders.tower import TextTower, tower_class

__all__ = ["TextEncoder"]


class TextEncoder(FrozenEncoder):
    """A text encoder, frozen unless someone turns its gradients on; a frozen one stays in eval mode.

    Built from a configuration alone it has random weights; `load_text_encoder` gives the pretrained ones.

    Args:
        config: The architecture and its numbers.
        tower: The network with its weights; None builds it from the configuration.

    Example:
        >>> from linmap.text_encoders import load_text_encoder
        >>> encoder = load_text_encoder("open_clip:ViT-B-32", pretrained=False, seed=0)
        >>> encoder(torch.tensor([[49406, 320, 49407]])).shape
        torch.Size([1, 512])
    """

    config: TextEncoderConfig
    config_class = TextEncoderConfig
    main_input_name = "input_ids"
    input_modalities = "text"
    _no_split_modules = ["TextEncoder"]  # noqa: RUF012 (as transformers declares it)
    _width_before_projection = "feature_dim"

    def __init__(self, config: TextEncoderConfig, tower: TextTower | None = None) -> None:
        super().__init__(config, tower or tower_class(config.library)(config.architecture, config.model_args or {}))

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """One vector for each text, pooled as the configuration says, not normalised.

        Args:
            input_ids: (texts, length) int64, at most `context_length` long.
            attention_mask: (texts, length), 0 on padding. With None the ids are taken as they stand: a model that was
                trained to read its padding (SigLIP) then needs rows that are padded to the full context.

        Returns:
            (texts, feature_dim), in the encoder's dtype.

        Raises:
            EncoderError: The texts are longer than the encoder reads.
        """
        if input_ids.ndim != 2 or input_ids.shape[1] > self.config.context_length:
            raise EncoderError(
                f"The text encoder {self.config.architecture!r} takes input_ids of shape (texts, length), at most "
                f"{self.config.context_length} long, not {tuple(input_ids.shape)}. Use the processor that belongs to "
                "it, which cuts longer texts, or the tokenizer with truncation=True."
            )
        if self.config.fixed_length and attention_mask is not None:
            input_ids, attention_mask = self._padded_to_context(input_ids, attention_mask), None
        return self.tower.features(input_ids, attention_mask, self.config.pooling)

    def _padded_to_context(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The texts as a model that reads its padding saw them in training."""
        pad = self.config.pad_token_id
        if pad is None:
            raise EncoderError(
                f"The text encoder {self.config.architecture!r} reads its padding, and nothing says what that is: its "
                "tokenizer was not at hand when it was loaded. Load it where the tokenizer is, or pad the rows to "
                f"{self.config.context_length} yourself and give no mask."
            )
        ids = input_ids.masked_fill(attention_mask == 0, pad)
        return nn.functional.pad(ids, (0, self.config.context_length - ids.shape[1]), value=pad)

    @property
    def feature_dim(self) -> int:
        """Channels of the vector of a text."""
        return self.config.feature_dim

    @property
    def context_length(self) -> int:
        """Longest text, in tokens."""
        return self.config.context_length


def measured_width(tower: TextTower, pooling: str) -> int:
    """Channels of the vector that the tower gives for a text of one token."""
    with torch.inference_mode():
        return int(tower.eval().features(torch.zeros(1, 1, dtype=torch.long), None, pooling).shape[-1])
