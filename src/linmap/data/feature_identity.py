"""Whose features these are: the encoder, its preprocessing, the pooling; and in what they differ from others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from linmap.errors import FeatureMismatchError

__all__ = ["FeatureIdentity"]

GRID, POOLED = "grid", "pooled"


@dataclass(frozen=True)
class FeatureIdentity:
    """What decides the features of a photo, all of it ready for JSON.

    Args:
        encoder: Fingerprint of the encoder's weights (`Fingerprint.to_dict()`).
        preprocessing: The image processor, as its configuration holds it.
        architecture: What else the configuration of the encoder says: `library`, `architecture`, `model_args`,
            `feature_dim`, `pooled_dim`, `grid`, `image_size`, `dtype`. With it a model names its encoder without having
            it.
        features: `"grid"` or `"pooled"`.
        grid_size: Side of the grid that the encoder's own is averaged to, in cells; None is the encoder's own.
    """

    encoder: Mapping[str, Any]
    preprocessing: Mapping[str, Any]
    architecture: Mapping[str, Any]
    features: str
    grid_size: int | None = None

    @property
    def cells(self) -> int:
        """Features of one photo."""
        if self.features == POOLED:
            return 1
        height, width = self.architecture["grid"]
        return height * width if self.grid_size is None else self.grid_size**2

    @property
    def width(self) -> int:
        """Channels of one feature."""
        return self.architecture["pooled_dim" if self.features == POOLED else "feature_dim"]

    @property
    def name(self) -> str:
        """What messages call the encoder."""
        return str(self.encoder.get("name"))

    def to_dict(self) -> dict[str, Any]:
        """All of it under its names."""
        return asdict(self)

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises:
            KeyError: Something is missing.
        """
        return cls(**{field.name: facts[field.name] for field in fields(cls)})

    def require(self, wanted: FeatureIdentity, directory: str, *, outlined: bool = False) -> None:
        """Checks that these features are those that another encoder, preprocessing and pooling would give.

        Args:
            wanted: What a model would encode with.
            directory: Where these features lie, for the message.
            outlined: `wanted` is told from a name alone. Then only those settings of the preprocessing are compared
                that both know: libraries write the same preprocessing down in several ways.

        Raises:
            FeatureMismatchError: They are not; every difference is named.
        """
        differences = []
        if not same_weights(self.encoder, wanted.encoder):
            differences.append(f"encoder {_weights(self.encoder)}, and the model has {_weights(wanted.encoder)}")
        for name in ("features", "grid_size"):
            found, needed = getattr(self, name), getattr(wanted, name)
            if found != needed:
                differences.append(f"{name} {_shown(found)}, and the model has {_shown(needed)}")
        differences += [
            f"preprocessing {name} {_shown(found)}, and the model has {_shown(needed)}"
            for name, found, needed in _changed(self.preprocessing, wanted.preprocessing, outlined)
        ]
        if differences:
            raise FeatureMismatchError(directory, differences)


def same_weights(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether two fingerprints speak of the same weights: by their digest where both know it, else by their origin."""
    if found.get("sha256") and wanted.get("sha256"):
        return found["sha256"] == wanted["sha256"]
    origin = ("library", "id", "pretrained", "seed")
    if any(found.get(name) != wanted.get(name) for name in origin):
        return False
    revisions = {found.get("revision"), wanted.get("revision")} - {None}
    return len(revisions) < 2


def _weights(encoder: Mapping[str, Any]) -> str:
    origin = "" if encoder.get("pretrained", True) else f" with random weights, seed {encoder.get('seed')}"
    known = encoder.get("sha256") or encoder.get("revision")
    return f"{encoder.get('name')!r}{origin}{f' ({str(known)[:12]})' if known else ''}"


def _changed(found: Mapping[str, Any], wanted: Mapping[str, Any], outlined: bool) -> list[tuple[str, Any, Any]]:
    """Settings that differ once both have been through JSON, as one of them has."""
    one, other = (json.loads(json.dumps(settings, default=str)) for settings in (found, wanted))
    names = {*one, *other}
    if outlined:
        names = (one.keys() & other.keys()) - {"image_processor_type"}
        if not one.get("do_center_crop") and not other.get("do_center_crop"):
            names -= {"crop_size"}  # which is then of no effect
    return [(name, one.get(name), other.get(name)) for name in sorted(names) if one.get(name) != other.get(name)]


def _shown(value: Any) -> str:
    return json.dumps(value, default=str)
