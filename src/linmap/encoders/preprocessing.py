"""Preprocessing belongs to a checkpoint: stored with it, and rebuilt from there as a transformers image processor."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import transformers
from transformers import BaseImageProcessor, CLIPImageProcessorPil
from transformers.image_utils import PILImageResampling

from linmap.encoders.configuration import ImageEncoderConfig
from linmap.errors import EncoderError

__all__ = ["describe", "image_processor_for", "resize_and_crop"]

INTERPOLATIONS = {
    "bicubic": PILImageResampling.BICUBIC,
    "bilinear": PILImageResampling.BILINEAR,
    "lanczos": PILImageResampling.LANCZOS,
    "nearest": PILImageResampling.NEAREST,
}


def image_processor_for(config: ImageEncoderConfig) -> BaseImageProcessor:
    """The image processor that the encoder's checkpoint was made with.

    Args:
        config: The encoder's configuration, as `load_encoder` made it.

    Returns:
        A processor whose `pixel_values` are (batch, 3, image_size, image_size), float32; it can be saved by itself and
        inside a processor.

    Raises:
        EncoderError: The configuration holds no preprocessing, or one that this transformers does not know.
    """
    settings = dict(config.preprocessing or {})
    name = settings.get("image_processor_type")
    if name is None:
        raise EncoderError(
            f"The configuration of the image encoder {config.architecture!r} says nothing about preprocessing. "
            "Make it with load_encoder, which stores the checkpoint's own."
        )
    kind = getattr(transformers, str(name), None)
    if not (isinstance(kind, type) and issubclass(kind, BaseImageProcessor)):
        raise EncoderError(
            f"The image encoder {config.architecture!r} was stored with the image processor {name!r}, which "
            f"transformers {transformers.__version__} does not have. Install a transformers that has it."
        )
    return kind.from_dict(settings)


def describe(processor: BaseImageProcessor) -> dict[str, Any]:
    """The processor as plain JSON values, the form in which a configuration holds it."""
    return json.loads(processor.to_json_string())


def resize_and_crop(
    image_size: int,
    *,
    crop_fraction: float,
    squash: bool,
    interpolation: str,
    mean: Sequence[float],
    std: Sequence[float],
) -> dict[str, Any]:
    """Resize, centre crop, scale to 0..1, normalise: what timm and open_clip call their evaluation transform.

    The numbers equal those of PIL's resize followed by torchvision's `ToTensor` and `Normalize`, bit for bit.

    Args:
        image_size: Side of the square result, in pixels.
        crop_fraction: Share of the resized side that the crop keeps, above 0 up to 1 (timm's `crop_pct`).
        squash: Resize both sides, losing the proportions, instead of the shorter one.
        interpolation: A key of `INTERPOLATIONS`.
        mean: Three channel means, on the scale 0..1.
        std: Three channel deviations, on the scale 0..1.

    Returns:
        The processor's settings, as `image_processor_for` reads them.

    Raises:
        EncoderError: The interpolation is not known.
    """
    if interpolation not in INTERPOLATIONS:
        known = ", ".join(sorted(INTERPOLATIONS))
        raise EncoderError(f"Preprocessing with the interpolation {interpolation!r} is not supported; known: {known}.")
    side = math.floor(image_size / crop_fraction)
    crops = not squash or side != image_size
    return describe(
        CLIPImageProcessorPil(
            size={"height": side, "width": side} if squash else {"shortest_edge": side},
            resample=INTERPOLATIONS[interpolation],
            do_center_crop=crops,
            crop_size={"height": image_size, "width": image_size},
            image_mean=list(mean),
            image_std=list(std),
        )
    )
