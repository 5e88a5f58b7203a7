"""What CLIPPO's tower sees of a photo: squashed to a square with the arithmetic of its training, scaled to -1..1."""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np
from transformers import AutoImageProcessor, BatchFeature
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import is_torch_tensor

from linmap.errors import ConfigurationError

__all__ = ["ClippoImageProcessor", "resize_without_antialias", "scaled_to_unit_range"]

CHANNELS = {1, 3, 4}


class ClippoImagesKwargs(TypedDict, total=False):
    """What a `ClippoImageProcessor` takes: nothing else of its preprocessing can be changed."""

    size: Any
    do_convert_rgb: bool | None
    input_data_format: Any
    return_tensors: Any


class ClippoImageProcessor(PilBackend):
    """Photos as CLIPPO's original gives them to its tower (big_vision's `resize(S)|value_range(-1, 1)`).

    Both sides become `image_size`, the proportions are lost; between pixels it interpolates linearly, without
    antialiasing, and cuts the result down to whole grey levels; then 0..255 becomes -1..1. Every bit is TensorFlow's,
    without TensorFlow. JPEGs are decoded by Pillow, accurately; the original's decoder was the fast one, which differs
    by about one grey level.

    Args:
        image_size: Side of the square that comes out, in pixels; 224 unless said.
        **kwargs: As in transformers: `size` says the same as `image_size`, as it does in a saved file.

    Raises:
        ConfigurationError: The size is no square of whole pixels; and, when it is called, images are not made of whole
            numbers 0..255.

    Example:
        >>> processor = ClippoImageProcessor(image_size=32)
        >>> photo = np.full((48, 64, 3), 255, dtype=np.uint8)
        >>> pixels = processor(images=[photo], return_tensors="pt")["pixel_values"]
        >>> pixels.shape, pixels.max().item()
        (torch.Size([1, 3, 32, 32]), 1.0)
    """

    valid_kwargs = ClippoImagesKwargs  # type: ignore[assignment]  # fewer words than transformers has
    size = {"height": 224, "width": 224}  # noqa: RUF012 (as transformers declares it)
    do_convert_rgb = True

    def __init__(self, image_size: int | None = None, **kwargs: Any) -> None:
        if image_size is not None:
            kwargs["size"] = {"height": image_size, "width": image_size}
        super().__init__(**kwargs)
        _side(self.size)

    @property
    def image_size(self) -> int:
        """Side of the square that comes out, in pixels."""
        return _side(self.size)

    def process_image(self, image: Any, *args: Any, **kwargs: Any) -> np.ndarray:
        """One image as an array (3, height, width), uint8.

        Args:
            image: A PIL image, or an array or tensor of whole numbers 0..255 with 1, 3 or 4 channels, first or last.
            *args: As in transformers.
            **kwargs: As in transformers.

        Raises:
            ConfigurationError: It is something else.
        """
        if is_torch_tensor(image):
            image = image.cpu().numpy()
        if isinstance(image, np.ndarray) and image.dtype != np.uint8:
            raise ConfigurationError(
                f"An image of {image.dtype} came; CLIPPO's preprocessing counts in whole grey levels 0..255. Pass "
                "uint8 arrays, or pictures."
            )
        if isinstance(image, np.ndarray) and (0 in image.shape or not CHANNELS & {image.shape[0], image.shape[-1]}):
            raise ConfigurationError(_shape_refused(image.shape))
        return super().process_image(image, *args, **kwargs)

    def _prepare_images_structure(self, images: Any, *args: Any, **kwargs: Any) -> Any:
        shape = getattr(images[0] if isinstance(images, list | tuple) and images else images, "shape", None)
        if shape is not None and len(shape) < 3:
            raise ConfigurationError(_shape_refused(tuple(shape)))
        return super()._prepare_images_structure(images, *args, **kwargs)

    def _preprocess(  # type: ignore[override]  # those words again
        self, images: list[np.ndarray], *args: Any, **kwargs: Any
    ) -> BatchFeature:
        side = _side(kwargs["size"])
        small = [resize_without_antialias(np.moveaxis(image, 0, -1), side) for image in images]
        pixels = [scaled_to_unit_range(np.moveaxis(image, -1, 0)) for image in small]
        return BatchFeature(data={"pixel_values": pixels}, tensor_type=kwargs.get("return_tensors"))


def resize_without_antialias(image: np.ndarray, side: int, height: int | None = None) -> np.ndarray:
    """Bilinear interpolation at the middles of the result's pixels, cut down to whole grey levels.

    It is TensorFlow's `tf.image.resize(image, (side, side))` cast to uint8, to the bit: each result is made of the four
    pixels around one point, whatever lies between them in a larger image.

    Args:
        image: (height, width, channels) uint8.
        side: Width of the result, in pixels, and its height unless said.
        height: Its height, where it is no square.

    Returns:
        (height, side, channels) uint8.

    Example:
        >>> resize_without_antialias(np.array([[[0], [255]]], dtype=np.uint8), 4)[0, :, 0].tolist()
        [0, 63, 191, 255]
    """
    height = side if height is None else height
    if image.shape[:2] == (height, side):
        return image
    above, below, down = _neighbours(image.shape[0], height)
    left, right, across = _neighbours(image.shape[1], side)
    across = across[None, :, None]

    def row(chosen: np.ndarray) -> np.ndarray:
        lines = image.take(chosen, axis=0)
        start = lines.take(left, axis=1).astype(np.float32)
        step = lines.take(right, axis=1).astype(np.float32)
        step -= start
        step *= across
        return np.add(start, step, out=step)

    top, level = row(above), row(below)
    level -= top
    level *= down[:, None, None]
    level += top
    return level.astype(np.uint8)


def scaled_to_unit_range(image: np.ndarray) -> np.ndarray:
    """Grey levels 0..255 as float32 in -1..1, to the bit those of big_vision's `value_range(-1, 1)`.

    Args:
        image: uint8 of any shape.

    Returns:
        float32 of the same shape.

    Example:
        >>> scaled_to_unit_range(np.array([0, 127, 255], dtype=np.uint8)).tolist()
        [-1.0, -0.003921568393707275, 1.0]
    """
    return _UNIT_RANGE[image]


# all there are: 256 grey levels, counted as the original counts, in float32
_UNIT_RANGE = np.float32(-1) + np.arange(256, dtype=np.float32) / np.float32(255) * np.float32(2)


def _neighbours(extent: int, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `side` points along `extent` pixels: the pixel before, the pixel behind, and how near it is, 0..1."""
    scale = np.float32(extent) / np.float32(side)
    point = (np.arange(side, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    before = np.floor(point)
    behind = np.minimum(np.ceil(point).astype(np.int64), extent - 1)
    return np.minimum(np.maximum(before.astype(np.int64), 0), behind), behind, point - before


def _shape_refused(shape: tuple[int, ...]) -> str:
    return (
        f"An image of the shape {shape} came; it must be (height, width, channels) or (channels, height, width), of 1, "
        "3 or 4 channels, with no side empty."
    )


def _side(size: Any) -> int:
    """The side of a square `size`."""
    height, width = (getattr(size, name, None) for name in ("height", "width"))
    if not isinstance(height, int) or height != width or height < 1:
        raise ConfigurationError(
            f"CLIPPO's tower sees squares; the size {dict(size)} is none. Say image_size=…, a whole number of pixels."
        )
    return height


# by itself: nothing but its own name in a saved processor may lead to it
AutoImageProcessor.register(
    ClippoImageProcessor,
    image_processor_classes={"pil": ClippoImageProcessor, "torchvision": ClippoImageProcessor},
    exist_ok=True,
)
