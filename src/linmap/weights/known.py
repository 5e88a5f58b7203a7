"""Configurations that come with linmap: what a checkpoint looks like can be said before any of it is fetched."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any

__all__ = ["KnownConfiguration", "known_configuration"]


@dataclass(frozen=True)
class KnownConfiguration:
    """The shape of a checkpoint.

    Args:
        source: Where these facts were read.
        license: Licence of the weights, as their source writes it.
        config: `model_type` and what differs from the defaults of transformers' configuration of that type.
        preprocessing: Of an image encoder: `image_size` in pixels, `interpolation`, `mean` and `std`; both sides of a
            photo are resized. None for anything else.
    """

    source: str
    license: str
    config: dict[str, Any]
    preprocessing: dict[str, Any] | None = None


def known_configuration(name: str) -> KnownConfiguration | None:
    """What linmap knows of a checkpoint by heart; None where it has to be looked up.

    Args:
        name: Hub id, or `wheel:NAME`; capitals do not matter, as they do not on the Hub.

    Example:
        >>> known_configuration("EleutherAI/gpt-j-6B").config
        {'model_type': 'gptj'}
    """
    return _configurations().get(name.lower())


@functools.cache
def _configurations() -> MappingProxyType[str, KnownConfiguration]:
    text = (resources.files("linmap.weights") / "configurations.json").read_text(encoding="utf-8")
    return MappingProxyType({name.lower(): KnownConfiguration(**facts) for name, facts in json.loads(text).items()})
