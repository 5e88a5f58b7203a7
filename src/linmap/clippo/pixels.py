"""From grey values to what the tower sees."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from linmap.clippo.image_processing import scaled_to_unit_range

__all__ = ["tower_pixels"]


def tower_pixels(drawn: np.ndarray) -> Tensor:
    """Drawn texts as the tower reads them: three equal channels, 0..255 mapped to [-1, 1] (127 becomes -0.0039).

    Args:
        drawn: (texts, S, S) uint8, from `render_text`.

    Returns:
        (texts, 3, S, S) float32; the channels share their memory.

    Example:
        >>> tower_pixels(np.full((2, 4, 4), 255, np.uint8)).shape
        torch.Size([2, 3, 4, 4])
    """
    return torch.from_numpy(scaled_to_unit_range(drawn))[:, None].expand(-1, 3, -1, -1)
