"""Text encoders of open_clip and transformers behind one contract: token ids in, one vector for each text out.

Names are imported when they are first used: the configuration must be importable while transformers' Auto classes are
still being imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from linmap.text_encoders.configuration import POOLINGS, TextEncoderConfig
    from linmap.text_encoders.loading import load_text_encoder
    from linmap.text_encoders.modeling import TextEncoder
    from linmap.text_encoders.tokenizers import tokenizer_for

__all__ = ["POOLINGS", "TextEncoder", "TextEncoderConfig", "load_text_encoder", "tokenizer_for"]

_HOME = {
    "POOLINGS": "configuration",
    "TextEncoder": "modeling",
    "TextEncoderConfig": "configuration",
    "load_text_encoder": "loading",
    "tokenizer_for": "tokenizers",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


# As in linmap.prefix: importing the Auto classes imports the models, which must not happen in the middle of one of the
# modules here; and here at the end, because the models look names up above.
import transformers.models.auto.modeling_auto  # noqa: E402, F401
