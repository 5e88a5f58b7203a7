"""What a configuration says of the frozen parts around what was learned: enough to find each again and to check it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from linmap.errors import BackboneError
from linmap.weights.identity import Fingerprint

__all__ = ["hub_revision", "is_verified", "put_down", "recorded_part"]


class HasBackbones(Protocol):
    """A configuration with a record for each frozen part."""

    backbones: dict | None


def recorded_part(backbones: Mapping[str, Any] | None, part: str, checkpoint: str) -> Fingerprint:
    """The fingerprint of a frozen part.

    Raises:
        BackboneError: The configuration does not name it.
    """
    facts = (backbones or {}).get(part)
    if not facts:
        raise BackboneError(
            f"{checkpoint} does not say which {part} it was trained with, so it cannot be loaded for you. "
            f"Pass {part}=… to from_pretrained."
        )
    return Fingerprint.from_dict(facts)


def put_down(config: HasBackbones, part: str, record: dict[str, Any] | None) -> None:
    """Names a frozen part that is not the recorded one; None where there is no name for it."""
    others = {name: facts for name, facts in (config.backbones or {}).items() if name != part}
    config.backbones = others if record is None else {**others, part: record}


def is_verified(found: Fingerprint, recorded: Fingerprint) -> bool:
    """Whether the weights are known to be the recorded ones, whatever name they were found under."""
    return found.sha256 is not None and found.sha256 == recorded.sha256


def hub_revision(recorded: Fingerprint) -> str | None:
    """The commit to load again; a wheel's revision is its version, which its name pins already."""
    return None if recorded.name.startswith("wheel:") else recorded.revision
