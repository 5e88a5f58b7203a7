"""Frozen image encoders of timm, open_clip and transformers behind one contract, with their preprocessing.

Names are imported when they are first used: the configuration must be importable while transformers' Auto classes are
still being imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from linmap.encoders.configuration import ImageEncoderConfig
    from linmap.encoders.loading import load_encoder
    from linmap.encoders.modeling import ImageEncoder
    from linmap.encoders.preprocessing import PREPROCESSINGS, image_processor_for

__all__ = ["PREPROCESSINGS", "ImageEncoder", "ImageEncoderConfig", "image_processor_for", "load_encoder"]

_HOME = {
    "ImageEncoder": "modeling",
    "ImageEncoderConfig": "configuration",
    "PREPROCESSINGS": "preprocessing",
    "image_processor_for": "preprocessing",
    "load_encoder": "loading",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


# As in linmap.prefix: importing the Auto classes imports the models, which must not happen in the middle of one of the
# modules here; and here at the end, because the models look names up above.
import transformers.models.auto.modeling_auto  # noqa: E402, F401
