"""Windows of photos, drawn anew each time a photo is learned from."""

from __future__ import annotations

import math
import random

from PIL import Image

__all__ = ["cropped", "random_crop"]

Crop = tuple[float, float, float, float]
"""Left, top, right, bottom, in shares of the photo's sides."""


def random_crop(draw: int, smallest: float) -> Crop:
    """A window with the proportions of the photo, of a random size at a random place.

    Args:
        draw: Decides both; the same number gives the same window.
        smallest: Least share of the photo's sides that the window's are, above 0 and at most 1.

    Returns:
        Left, top, right, bottom, in shares of the photo's sides.

    Example:
        >>> left, top, right, bottom = random_crop(7, smallest=0.8)
        >>> 0.8 <= right - left <= 1, abs((right - left) - (bottom - top)) < 1e-12
        (True, True)
    """
    chance = random.Random(draw)
    side = chance.uniform(smallest, 1)
    left, top = (chance.uniform(0, 1 - side) for _ in range(2))
    return left, top, left + side, top + side


def cropped(picture: Image.Image, crop: Crop) -> Image.Image:
    """The pixels of a picture that a window touches, at least one.

    Args:
        picture: Any.
        crop: As `random_crop` draws it.

    Example:
        >>> cropped(Image.new("RGB", (40, 20)), (0.25, 0.5, 1.0, 1.0)).size
        (30, 10)
    """
    left, top, right, bottom = crop
    width, height = picture.size
    return picture.crop(
        (
            math.floor(left * width),
            math.floor(top * height),
            min(width, math.ceil(right * width)),
            min(height, math.ceil(bottom * height)),
        )
    )
