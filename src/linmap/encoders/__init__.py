"""Frozen image encoders of timm, open_clip and transformers behind one contract, with their preprocessing."""

from __future__ import annotations

from linmap.encoders.configuration import ImageEncoderConfig
from linmap.encoders.loading import load_encoder
from linmap.encoders.modeling import ImageEncoder
from linmap.encoders.preprocessing import image_processor_for

__all__ = ["ImageEncoder", "ImageEncoderConfig", "image_processor_for", "load_encoder"]
