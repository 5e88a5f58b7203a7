"""LiMBeR's preprocessing for NF-ResNet50 (its code): a window of the photo at its own resolution, not normalised."""

from __future__ import annotations

import random

import numpy as np
import torch
from PIL import Image

__all__ = ["WINDOWS", "centre_window", "random_window"]

WINDOWS = ("centre", "random")


def centre_window(image: np.ndarray, side: int) -> np.ndarray:
    """The middle of a photo, cut off where it is larger and framed in black where it is smaller.

    Args:
        image: uint8 (channels, height, width).
        side: Of the square window, in pixels.

    Returns:
        uint8 (channels, side, side). An odd pixel is cut off, or added, on the side that PIL's `ImageOps.expand` with
        the original's borders takes.

    Example:
        >>> centre_window(np.ones((3, 1, 5), np.uint8), 3)[0].tolist()
        [[0, 0, 0], [1, 1, 1], [0, 0, 0]]
    """
    window = np.zeros((image.shape[0], side, side), image.dtype)
    put, taken = zip(*(_overlap(extent, side) for extent in image.shape[-2:]), strict=True)
    window[(slice(None), *put)] = image[(slice(None), *taken)]
    return window


def random_window(image: np.ndarray, side: int) -> np.ndarray:
    """`centre_window`, enlarged by no pixel or one, cut back at a random place, and mirrored half of the time.

    The original means to crop, resize and crop at random, but has cut the photo to `side` before, so this is what is
    left of it. The draws come from the global states of `random` and torch, in the original's order.

    Args:
        image: uint8 (channels, height, width).
        side: Of the square window, in pixels.

    Returns:
        uint8 (channels, side, side).
    """
    window = centre_window(image, side)
    enlarged = random.randint(side, side + 1)
    if enlarged > side:
        picture = Image.fromarray(window.transpose(1, 2, 0)).resize((enlarged, enlarged), Image.Resampling.BILINEAR)
        top, left = (int(torch.randint(0, enlarged - side + 1, (1,))) for _ in range(2))
        window = np.asarray(picture).transpose(2, 0, 1)[:, top : top + side, left : left + side]
    return window[..., ::-1].copy() if float(torch.rand(1)) < 0.5 else window


def _overlap(extent: int, side: int) -> tuple[slice, slice]:
    """Where in the window a photo's pixels are put along one axis, and which of them."""
    start = (side - extent) // 2
    put = slice(max(start, 0), min(start + extent, side))
    return put, slice(put.start - start, put.stop - start)
