"""Which weights exactly: a fingerprint names a frozen part well enough to find it again and to notice another one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from linmap.errors import FingerprintMismatchError

__all__ = ["Fingerprint", "sha256_of", "sha256_of_weights"]

_BLOCK = 1 << 20  # bytes read at a time


@dataclass(frozen=True)
class Fingerprint:
    """Where a frozen part came from and the digest of the file that holds it; unknown facts are None.

    Args:
        name: What to pass again to `load_encoder` or `load_language_model`, for example `"timm:resnet50.a1_in1k"`.
        library: `"timm"`, `"open_clip"` or `"transformers"`.
        id: Architecture and tag, repository id, package name, or the name of a local directory (never its path).
        revision: Hub commit or package version.
        file: Name of the file that `sha256` belongs to.
        sha256: 64 lower-case hexadecimal digits; for sharded weights see `sha256_of_weights`.
        license: Licence of the weights, as its source writes it.
        pretrained: False for random weights that were asked for.
        seed: What the random weights were drawn with; None for pretrained ones.

    Example:
        >>> fingerprint = Fingerprint(name="timm:test_vit", library="timm", id="test_vit", pretrained=False, seed=0)
        >>> Fingerprint.from_dict(fingerprint.to_dict()) == fingerprint
        True
    """

    name: str
    library: str
    id: str
    revision: str | None = None
    file: str | None = None
    sha256: str | None = None
    license: str | None = None
    pretrained: bool = True
    seed: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """All facts under their names, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Fingerprint:
        """The inverse of `to_dict`; entries that a newer linmap may have added are left out."""
        known = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in facts.items() if key in known})

    def require(self, expected: Fingerprint) -> None:
        """Raises `FingerprintMismatchError` unless these are the weights that `expected` speaks of.

        The digest decides where both sides know one; the revision then does not matter. Otherwise whether the weights
        are pretrained, their seed and, where both sides know it, their revision must agree.
        """
        if self.pretrained != expected.pretrained or self.seed != expected.seed:
            raise FingerprintMismatchError(self.name, "weights", self._origin(), expected._origin())
        if self.sha256 and expected.sha256:
            if self.sha256 != expected.sha256:
                raise FingerprintMismatchError(self.name, "sha256", self.sha256, expected.sha256)
        elif self.revision and expected.revision and self.revision != expected.revision:
            raise FingerprintMismatchError(self.name, "revision", self.revision, expected.revision)

    def _origin(self) -> str:
        return "pretrained" if self.pretrained else f"random, seed {self.seed}"


def sha256_of(path: str | Path) -> str:
    """The SHA-256 of a file's bytes: 64 lower-case hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def sha256_of_weights(path: str | Path) -> str:
    """The digest that stands for a weight file, sharded or not.

    A plain file gives `sha256_of(path)`. An index of shards (`*.index.json`) says nothing about their content, so it
    gives the SHA-256 of the lines `"<sha256 of shard>  <shard>\\n"`, sorted by shard name, as `sha256sum` prints them.
    """
    path = Path(path)
    if not path.name.endswith(".index.json"):
        return sha256_of(path)
    shards = sorted(set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()))
    lines = "".join(f"{sha256_of(path.parent / shard)}  {shard}\n" for shard in shards)
    return hashlib.sha256(lines.encode()).hexdigest()
