"""Preprocessing belongs to a checkpoint: stored with it, and rebuilt from there as a transformers image processor."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import transformers
from transformers import AutoImageProcessor, BaseImageProcessor, CLIPImageProcessorPil
from transformers.image_utils import PILImageResampling, SizeDict
from transformers.processing_utils import ImagesKwargs

from linmap.encoders.configuration import ImageEncoderConfig
from linmap.encoders.window import WINDOWS, centre_window, random_window
from linmap.errors import EncoderError, UnknownNameError

__all__ = [
    "PREPROCESSINGS",
    "LinmapImageProcessor",
    "describe",
    "image_processor_for",
    "is_random",
    "named_preprocessing",
    "resize_and_crop",
]

INTERPOLATIONS = {
    "bicubic": PILImageResampling.BICUBIC,
    "bilinear": PILImageResampling.BILINEAR,
    "lanczos": PILImageResampling.LANCZOS,
    "nearest": PILImageResampling.NEAREST,
}

LONGEST_STRIP = 16  # sides of a photo, long to short, beyond which its ends are cut off before it is enlarged


class LinmapImagesKwargs(ImagesKwargs, total=False):
    """What transformers' image processors take, and a window."""

    window: str | None


class LinmapImageProcessor(CLIPImageProcessorPil):
    """Resize, centre crop, scale to 0..1 and normalise, with PIL: the pixels that timm and open_clip were trained with.

    It goes by its own name, because transformers writes `CLIPImageProcessor` for the PIL class and then reads back the
    torchvision one, whose pixels differ. It also takes strips of 30,000 x 1 pixels without enlarging all of them.

    Args:
        **kwargs: As in transformers, and `window`: `"centre"` or `"random"` takes a window of `crop_size` before
            anything else; see `linmap.encoders.window`. None, the default, takes none.
    """

    valid_kwargs = LinmapImagesKwargs
    window: str | None = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.window is not None and self.window not in WINDOWS:
            raise UnknownNameError("window", self.window, WINDOWS)

    def _preprocess(self, images: list[np.ndarray], *args: Any, window: str | None = None, **kwargs: Any) -> Any:
        if window is not None:
            taken = centre_window if window == "centre" else random_window
            images = [taken(image, kwargs["crop_size"].height) for image in images]
        return super()._preprocess(images, *args, **kwargs)

    def resize(self, image: np.ndarray, size: SizeDict, *args: Any, **kwargs: Any) -> np.ndarray:
        """As in transformers; of a photo more than 16 times as long as wide only the middle is kept.

        Args:
            image: One image (channels, height, width).
            size: The target: `shortest_edge`, or `height` and `width`.
            *args: As in transformers.
            **kwargs: As in transformers.
        """
        if size.shortest_edge:
            limit = LONGEST_STRIP * min(image.shape[-2:])
            for axis in (-2, -1):
                excess = image.shape[axis] - limit
                if excess > 0:
                    image = np.take(image, range(excess // 2, excess // 2 + limit), axis=axis)
        return super().resize(image, size, *args, **kwargs)

    def center_crop(self, image: np.ndarray, size: SizeDict, **kwargs: Any) -> np.ndarray:  # type: ignore[override]
        """As in torchvision, which rounds an odd margin to the even pixel; transformers always rounds it down.

        Args:
            image: One image (channels, height, width).
            size: `height` and `width` of the middle to keep.
            **kwargs: As in transformers.
        """
        margins = [extent - wanted for extent, wanted in zip(image.shape[-2:], (size.height, size.width), strict=True)]
        if min(margins) < 0:
            return super().center_crop(image, size, **kwargs)
        top, left = (round(margin / 2) for margin in margins)
        return image[..., top : top + size.height, left : left + size.width]


# Both backends: transformers prefers torchvision's, and there is only this one.
AutoImageProcessor.register(
    ImageEncoderConfig, image_processor_classes={"pil": LinmapImageProcessor, "torchvision": LinmapImageProcessor}
)


PREPROCESSINGS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "limber-nfrn50": {"side": 384, "window": "centre"},
        "limber-nfrn50-random": {"side": 384, "window": "random"},
    }
)
"""Preprocessing by name, for encoders whose own is not what a projection was trained with."""


def named_preprocessing(name: str) -> dict[str, Any]:
    """Preprocessing that belongs to a paper and not to an encoder's checkpoint.

    LiMBeR's code gives NF-ResNet50 a window of 384 x 384 pixels of the photo at its own resolution, scaled to 0..1 and
    not normalised; at random (`limber-nfrn50-random`), at inference too. `limber-nfrn50` is its middle.

    Args:
        name: A key of `PREPROCESSINGS`.

    Returns:
        The processor's settings, as `image_processor_for` reads them.

    Raises:
        UnknownNameError: There is none of that name.

    Example:
        >>> named_preprocessing("limber-nfrn50")["window"]
        'centre'
    """
    if name not in PREPROCESSINGS:
        raise UnknownNameError("preprocessing", name, PREPROCESSINGS)
    said = PREPROCESSINGS[name]
    square = {"height": said["side"], "width": said["side"]}
    return describe(
        LinmapImageProcessor(
            do_resize=False, do_center_crop=False, do_normalize=False, crop_size=square, window=said["window"]
        )
    )


def is_random(settings: Mapping[str, Any]) -> bool:
    """Whether a preprocessing, or one of `PREPROCESSINGS`, gives other pixels of the same photo each time."""
    return settings.get("window") == "random"


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
    kind = LinmapImageProcessor if name == LinmapImageProcessor.__name__ else getattr(transformers, str(name), None)
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
        LinmapImageProcessor(
            size={"height": side, "width": side} if squash else {"shortest_edge": side},
            resample=INTERPOLATIONS[interpolation],
            do_center_crop=crops,
            crop_size={"height": image_size, "width": image_size},
            image_mean=list(mean),
            image_std=list(std),
        )
    )
