"""Which space exactly: the digest of all that decides where a text lies in the shared space."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from torch import Tensor

from linmap.weights import Fingerprint
from linmap.weights.samples import is_the_same, samples_of

if TYPE_CHECKING:
    from linmap.dual.modeling import DualEncoderModel

__all__ = ["text_fingerprint"]


def text_fingerprint(model: DualEncoderModel) -> Fingerprint:
    """The identity of a dual encoder's text side: latents of models with the same `sha256` are interchangeable.

    A frozen tower that is as it was loaded counts by the digest of its weight file, any other by its weights; the head
    by its weights; and so do pooling and context length.
    """
    tower = model.text_encoder
    facts: dict[str, Any] = {"head": None, "tower": None, "projection_dim": model.config.projection_dim}
    if model.text_projection is not None:
        facts["head"] = _digest(model.text_projection.state_dict())
    name, license_name = f"{model.config.text_feature_dim} text features", None
    if tower is not None:
        recorded = Fingerprint.from_dict((model.config.backbones or {}).get("text_encoder") or {"name": "", **NOWHERE})
        as_loaded = model._as_loaded.get("text_encoder")
        known = recorded.sha256 if as_loaded and is_the_same(as_loaded, samples_of(tower)) else None
        facts["tower"] = known or _digest(tower.state_dict())
        facts["pooling"], facts["context_length"] = tower.config.pooling, tower.config.context_length
        name, license_name = recorded.name or tower.config.architecture, recorded.license
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return Fingerprint(name=name, library="linmap", id="text_latents", sha256=digest, license=license_name)


NOWHERE = {"library": "", "id": ""}


def _digest(tensors: dict[str, Tensor]) -> str:
    """Of names and values, whatever number format they are held in."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        values = value.detach().float() if value.is_floating_point() else value.detach()
        digest.update(name.encode())
        digest.update(values.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
