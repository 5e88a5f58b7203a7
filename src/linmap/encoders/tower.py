"""What an encoder library has to offer: a network with grid and pooled features, and the facts about it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from linmap.errors import UnknownNameError
from linmap.weights.identity import Fingerprint

__all__ = ["LIBRARIES", "LoadedTower", "Tower", "restore_unsaved_buffers", "tower_class"]

LIBRARIES = ("open_clip", "timm", "transformers")


class Tower(nn.Module, ABC):
    """An image encoder of one library. `architecture` and `model_args` rebuild it, with random weights, offline.

    Args:
        architecture: The library's name of the architecture.
        model_args: JSON-able arguments that complete it.
    """

    def __init__(self, architecture: str, model_args: dict[str, Any]) -> None:
        super().__init__()

    @abstractmethod
    def grid_features(self, pixel_values: Tensor) -> Tensor:
        """Un-pooled features (batch, height, width, channels) of float images (batch, 3, pixels, pixels)."""

    @abstractmethod
    def pooled_features(self, pixel_values: Tensor) -> Tensor:
        """The encoder's own pooling, (batch, channels), of float images (batch, 3, pixels, pixels)."""


@dataclass(frozen=True)
class LoadedTower:
    """A tower with its weights, and all that a configuration has to remember of it.

    Args:
        tower: The network.
        library: Key of `LIBRARIES`.
        architecture: As `Tower` takes it.
        model_args: As `Tower` takes it.
        image_size: Side of the square input, in pixels.
        preprocessing: The image processor, as `image_processor_for` reads it.
        fingerprint: Where the weights came from.
    """

    tower: Tower
    library: str
    architecture: str
    model_args: dict[str, Any]
    image_size: int
    preprocessing: dict[str, Any]
    fingerprint: Fingerprint


def tower_class(library: str) -> type[Tower]:
    """The tower of a library, imported only now."""
    if library == "timm":
        from linmap.encoders.timm_encoder import TimmTower

        return TimmTower
    if library == "open_clip":
        from linmap.encoders.open_clip_encoder import OpenClipTower

        return OpenClipTower
    if library == "transformers":
        from linmap.encoders.transformers_encoder import TransformersTower

        return TransformersTower
    raise UnknownNameError("encoder library", library, LIBRARIES)


@torch.no_grad()
def restore_unsaved_buffers(tower: Tower, architecture: str, model_args: dict[str, Any]) -> None:
    """Fills the buffers that no checkpoint holds (position indices, masks) as a freshly built tower has them.

    A tower that was built on the meta device and then loaded has arbitrary memory in them.
    """
    with torch.device("cpu"):
        fresh = dict(type(tower)(architecture, model_args).named_buffers())
    saved = tower.state_dict().keys()
    for name, buffer in tower.named_buffers():
        if name not in saved:
            buffer.copy_(fresh[name])
