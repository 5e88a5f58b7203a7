"""linmap: a frozen image encoder and a frozen language model, joined by one trained linear layer.

Names are imported when they are first used, so that `import linmap` is quick. The Auto classes of transformers learn
about linmap's models as soon as both packages are imported, in either order.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Any

from linmap.registration import register_with_transformers

_HOME = {
    "LinearVisionPrefixConfig": "linmap.prefix.configuration",
    "LinearVisionPrefixModel": "linmap.prefix.modeling",
    "LinearVisionPrefixProcessor": "linmap.prefix.processing",
    "DualEncoderConfig": "linmap.dual.configuration",
    "DualEncoderModel": "linmap.dual.modeling",
    "DualEncoderProcessor": "linmap.dual.processing",
    "DeCapConfig": "linmap.decap.configuration",
    "DeCapModel": "linmap.decap.modeling",
    "DeCapProcessor": "linmap.decap.processing",
    "SupportMemory": "linmap.decap.memory",
    "ClippoConfig": "linmap.clippo.configuration",
    "ClippoModel": "linmap.clippo.modeling",
    "ClippoProcessor": "linmap.clippo.processing",
    "ClippoForSequenceClassification": "linmap.clippo.classification",
    "ClippoForQuestionAnswering": "linmap.clippo.question_answering",
    "render_text": "linmap.rendering",
    "ImageEncoder": "linmap.encoders",
    "ImageEncoderConfig": "linmap.encoders",
    "load_encoder": "linmap.encoders",
    "TextEncoder": "linmap.text_encoders",
    "TextEncoderConfig": "linmap.text_encoders",
    "load_text_encoder": "linmap.text_encoders",
    "CaptionCollator": "linmap.data",
    "SharingTrainer": "linmap.sharing.trainer",
    "default_decap": "linmap.hub",
    "default_dual_encoder": "linmap.hub",
    "default_model": "linmap.hub",
}

__version__ = version("linmap")
__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'linmap' has no attribute {name!r}. It has: {', '.join(sorted(_HOME))}.")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


register_with_transformers()
