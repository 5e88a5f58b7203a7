"""Models of linmap for lmms-eval, which finds them by itself: `lmms-eval --model linmap --model_args pretrained=…`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmms_eval.models.registry_v2 import ModelManifest

__all__ = ["manifests"]


def manifests() -> list[ModelManifest]:
    """What the entry point `lmms_eval.models` gives: `linmap`, a linear prefix, and `linmap_decap`."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return [
        ModelManifest("linmap", simple_class_path="linmap.lmms_eval.prefix.LinearVisionPrefixLmm"),
        ModelManifest("linmap_decap", simple_class_path="linmap.lmms_eval.decap.DeCapLmm"),
    ]
