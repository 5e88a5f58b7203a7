"""Which space exactly: the digest of all that decides where a text, or a photo, lies in the shared space."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from torch import Tensor

from linmap.weights import Fingerprint
from linmap.weights.samples import is_the_same, samples_of

if TYPE_CHECKING:
    from linmap.dual.modeling import DualEncoderModel

__all__ = ["text_fingerprint", "whole_fingerprint"]

NOWHERE = {"name": "", "library": "", "id": ""}


def text_fingerprint(model: DualEncoderModel) -> Fingerprint:
    """The identity of a dual encoder's text side: text latents of models with the same `sha256` are interchangeable.

    A frozen tower that is as it was loaded counts by the digest of its weight file, any other by its weights; the head
    by its weights; and so do pooling and context length.
    """
    recorded = _recorded(model, "text")
    name = f"{model.config.text_feature_dim} text features"
    if model.text_encoder is not None:
        name = recorded.name or model.text_encoder.config.architecture
    return Fingerprint(
        name=name, library="linmap", id="text_latents", sha256=_sha256(_text_facts(model)), license=recorded.license
    )


def whole_fingerprint(model: DualEncoderModel, name: str) -> Fingerprint:
    """The identity of both sides, for a configuration that names the model: how it is called, and its digest."""
    facts = {"text": _text_facts(model), "image": _image_facts(model)}
    return Fingerprint(
        name=name,
        library="linmap",
        id=name.rstrip("/").rpartition("/")[2] or "dual_encoder",
        sha256=_sha256(facts),
        license=_licences(model),
    )


def _licences(model: DualEncoderModel) -> str | None:
    """Of both towers, as an SPDX expression where they differ; None where one is not known."""
    found = {_recorded(model, side).license for side in ("image", "text") if getattr(model, f"{side}_encoder")}
    return " AND ".join(sorted(map(str, found))) if found and None not in found else None


def _text_facts(model: DualEncoderModel) -> dict[str, Any]:
    facts = {"projection_dim": model.config.projection_dim, **_side(model, "text")}
    if model.text_encoder is not None:
        config = model.text_encoder.config
        facts |= {"pooling": config.pooling, "context_length": config.context_length}
    return facts


def _image_facts(model: DualEncoderModel) -> dict[str, Any]:
    facts = {"mirror": model.config.mirror, **_side(model, "image")}
    if model.image_encoder is not None:
        facts["image_size"] = model.image_encoder.config.image_size
    return facts


def _side(model: DualEncoderModel, side: str) -> dict[str, Any]:
    """Digests of a tower and its head; None for one that is not there."""
    tower, head = getattr(model, f"{side}_encoder"), getattr(model, f"{side}_projection")
    as_loaded = model._as_loaded.get(f"{side}_encoder")
    known = None
    if tower is not None and as_loaded and is_the_same(as_loaded, samples_of(tower)):
        known = _recorded(model, side).sha256
    return {
        "head": None if head is None else _digest(head.state_dict()),
        "tower": None if tower is None else known or _digest(tower.state_dict()),
    }


def _recorded(model: DualEncoderModel, side: str) -> Fingerprint:
    return Fingerprint.from_dict((model.config.backbones or {}).get(f"{side}_encoder") or NOWHERE)


def _sha256(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _digest(tensors: dict[str, Tensor]) -> str:
    """Of names and values, whatever number format they are held in."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        values = value.detach().float() if value.is_floating_point() else value.detach()
        digest.update(name.encode())
        digest.update(values.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
