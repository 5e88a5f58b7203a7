"""What image and text encoders are alike in: a tower of a library inside, frozen unless someone wants it to learn."""

from __future__ import annotations

from typing import Any, Self

from torch import Tensor, nn
from transformers import PreTrainedModel

from linmap.encoders.tower import restore_unsaved_buffers
from linmap.weights.identity import Fingerprint

__all__ = ["FrozenEncoder"]


class FrozenEncoder(PreTrainedModel):
    """A tower as a model of transformers: frozen and in eval mode unless someone turns its gradients on.

    Built from a configuration alone it has random weights.

    Args:
        config: The architecture (`architecture`, `model_args`), its numbers, and whose weights it has (`fingerprint`).
        tower: The network with its weights.
    """

    base_model_prefix = "tower"
    # The towers choose their attention kernels themselves, so any choice made for the whole model is fine here.
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _width_before_projection: str  # the configuration's name for the width that `take_projection` changes

    def __init__(self, config: Any, tower: nn.Module) -> None:
        super().__init__(config)
        self.tower: Any = tower
        self._buffers_need_restoring = any(parameter.is_meta for parameter in tower.parameters())
        self.post_init()
        self.freeze()

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """As in transformers; the result is frozen."""
        loaded = super().from_pretrained(*args, **kwargs)
        (loaded[0] if isinstance(loaded, tuple) else loaded).freeze()
        return loaded

    def freeze(self) -> Self:
        """Turns off gradients and puts the encoder in eval mode; returns it."""
        self.requires_grad_(False)
        return self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode while no weight learns: batch statistics and dropout of a frozen encoder must not move."""
        return super().train(mode and any(parameter.requires_grad for parameter in self.parameters()))

    def take_projection(self) -> Tensor | None:
        """Takes away the plain matrix (width, embedding) that an open_clip tower ends in.

        Returns:
            The matrix; the pooled features are those before it from now on. None where the tower has none.
        """
        drop = getattr(self.tower, "drop_projection", None)
        projection = None if drop is None else drop()
        if projection is not None:
            self.config.model_args = {**(self.config.model_args or {}), "projection": False}
            setattr(self.config, self._width_before_projection, projection.shape[0])
        return projection

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
            restore_unsaved_buffers(self.tower, self.config.architecture, self.config.model_args or {})
