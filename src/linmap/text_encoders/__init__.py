"""Text encoders of open_clip and transformers behind one contract: token ids in, one vector for each text out."""

from __future__ import annotations

from linmap.text_encoders.configuration import POOLINGS, TextEncoderConfig
from linmap.text_encoders.loading import load_text_encoder
from linmap.text_encoders.modeling import TextEncoder
from linmap.text_encoders.tokenizers import tokenizer_for

__all__ = ["POOLINGS", "TextEncoder", "TextEncoderConfig", "load_text_encoder", "tokenizer_for"]
