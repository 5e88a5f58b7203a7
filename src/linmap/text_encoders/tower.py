"""What a text encoder's library has to offer: a network from token ids to vectors, and the facts about it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from linmap.errors import UnknownNameError
from linmap.text_encoders.configuration import LIBRARIES
from linmap.weights.identity import Fingerprint

__all__ = ["LoadedTextTower", "TextTower", "tower_class"]


class TextTower(nn.Module, ABC):
    """A text encoder of one library. `architecture` and `model_args` rebuild it, with random weights, offline.

    Args:
        architecture: The library's name of the architecture.
        model_args: JSON-able arguments that complete it.
    """

    def __init__(self, architecture: str, model_args: dict[str, Any]) -> None:
        super().__init__()

    @abstractmethod
    def features(self, input_ids: Tensor, attention_mask: Tensor | None, pooling: str) -> Tensor:
        """One vector (texts, channels) for each row of ids (texts, length); a mask of None takes all ids for text."""


@dataclass(frozen=True)
class LoadedTextTower:
    """A tower with its weights, and all that a configuration has to remember of it.

    Args:
        tower: The network.
        library: Key of `LIBRARIES`.
        architecture: As `TextTower` takes it.
        model_args: As `TextTower` takes it.
        pooling: As `TextEncoderConfig` has it, like the next two.
        context_length: As there.
        fixed_length: As there.
        pad_token_id: As there.
        fingerprint: Where the weights came from.
    """

    tower: TextTower
    library: str
    architecture: str
    model_args: dict[str, Any]
    pooling: str
    context_length: int
    fixed_length: bool
    pad_token_id: int | None
    fingerprint: Fingerprint


def tower_class(library: str) -> type[TextTower]:
    """The tower of a library, imported only now."""
    if library == "open_clip":
        from linmap.text_encoders.open_clip_text import OpenClipTextTower

        return OpenClipTextTower
    if library == "transformers":
        from linmap.text_encoders.transformers_text import TransformersTextTower

        return TransformersTextTower
    raise UnknownNameError("text encoder library", library, LIBRARIES)
