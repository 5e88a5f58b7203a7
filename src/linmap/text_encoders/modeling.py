"""One contract for text encoders of open_clip and transformers: one vector for each text."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from linmap.encoders.tower import restore_unsaved_buffers
from linmap.errors import EncoderError
from linmap.text_encoders.configuration import TextEncoderConfig
from linmap.text_encoders.tower import TextTower, tower_class
from linmap.weights.identity import Fingerprint

__all__ = ["TextEncoder"]


class TextEncoder(PreTrainedModel):
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
    base_model_prefix = "tower"
    main_input_name = "input_ids"
    input_modalities = "text"
    _no_split_modules = ["TextEncoder"]  # noqa: RUF012 (as transformers declares it)
    # The towers choose their attention kernels themselves, so any choice made for the whole model is fine here.
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(self, config: TextEncoderConfig, tower: TextTower | None = None) -> None:
        super().__init__(config)
        if tower is None:
            tower = tower_class(config.library)(config.architecture, config.model_args or {})
        self.tower = tower
        self._buffers_need_restoring = any(parameter.is_meta for parameter in tower.parameters())
        self.post_init()
        self.freeze()

    def freeze(self) -> TextEncoder:
        """Turns off gradients and puts the encoder in eval mode; returns it."""
        self.requires_grad_(False)
        return self.eval()

    def train(self, mode: bool = True) -> TextEncoder:
        """Stays in eval mode while no weight learns: dropout of a frozen encoder must not move its features."""
        return super().train(mode and any(parameter.requires_grad for parameter in self.parameters()))

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """One vector for each text, pooled as the configuration says, not normalised.

        Args:
            input_ids: (texts, length) int64, at most `context_length` long.
            attention_mask: (texts, length), 0 on padding. None counts every id as text.

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
        return self.tower.features(input_ids, attention_mask, self.config.pooling)

    def take_projection(self) -> Tensor | None:
        """Takes away the matrix (width, embedding) that projects the pooled feature of an open_clip tower.

        Returns:
            The matrix; the features are those before it from now on. None where the encoder has none.
        """
        drop = getattr(self.tower, "drop_projection", None)
        projection = None if drop is None else drop()
        if projection is not None:
            self.config.model_args = {**(self.config.model_args or {}), "projection": False}
            self.config.feature_dim = projection.shape[0]
        return projection

    @property
    def feature_dim(self) -> int:
        """Channels of the vector of a text."""
        return self.config.feature_dim

    @property
    def context_length(self) -> int:
        """Longest text, in tokens."""
        return self.config.context_length

    @property
    def fingerprint(self) -> Fingerprint:
        """Where the weights came from."""
        return Fingerprint.from_dict(self.config.fingerprint or {})

    def _init_weights(self, module: nn.Module) -> None:
        """Initialises nothing: a tower initialises itself when it is built, and its weights must survive `post_init`.

        Only the buffers that no checkpoint holds are filled, once, after loading on the meta device.
        """
        if self._buffers_need_restoring and not any(buffer.is_meta for buffer in self.tower.buffers()):
            self._buffers_need_restoring = False
            tower: Any = self.tower
            restore_unsaved_buffers(tower, self.config.architecture, self.config.model_args or {})


def measured_width(tower: TextTower, pooling: str) -> int:
    """Channels of the vector that the tower gives for a text of one token."""
    with torch.inference_mode():
        return int(tower.eval().features(torch.zeros(1, 1, dtype=torch.long), None, pooling).shape[-1])
