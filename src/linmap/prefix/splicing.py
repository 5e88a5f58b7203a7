"""Tensor surgery of the prefix, as pure functions: pool the grid, put the prefix in its places, find what is scored."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional
from transformers.utils import torch_compilable_check

from linmap.errors import ImageCountError

__all__ = ["UNSCORED", "Scored", "place_prefix", "pool_grid", "positions_of", "scored_positions"]

UNSCORED = -100
"""Label of a position that the loss does not look at (PyTorch's `ignore_index`)."""


def pool_grid(features: Tensor, grid: tuple[int, int], size: int) -> Tensor:
    """Averages a row-major grid of features down to `size` x `size` cells.

    Args:
        features: `(images, height * width, feature_dim)`, token = row * width + column.
        grid: `(height, width)` of the grid.
        size: Cells on each side of the result; where it does not divide the grid, cells overlap by one
            (`adaptive_avg_pool2d`).

    Returns:
        `(images, size * size, feature_dim)`, row-major again.

    Example:
        >>> pool_grid(torch.arange(4.0).reshape(1, 4, 1), grid=(2, 2), size=1).tolist()
        [[[1.5]]]
    """
    images, _, feature_dim = features.shape
    planes = features.transpose(1, 2).reshape(images, feature_dim, *grid)
    return functional.adaptive_avg_pool2d(planes, size).flatten(2).transpose(1, 2)


def place_prefix(embeddings: Tensor, placeholders: Tensor, prefix: Tensor | None) -> Tensor:
    """Writes the prefix vectors over the embeddings of the placeholders, in reading order.

    Args:
        embeddings: `(batch, sequence, hidden)` of the text.
        placeholders: `(batch, sequence)` bool, True where an image vector belongs.
        prefix: `(images, num_image_tokens, hidden)`, all images of the batch in reading order; None for text alone.

    Returns:
        `(batch, sequence, hidden)` in the dtype and on the device of `embeddings`.

    Raises:
        ImageCountError: There are more or fewer placeholders than prefix vectors.
    """
    images, length = (0, 0) if prefix is None else prefix.shape[:2]
    places = placeholders.sum()
    torch_compilable_check(
        places == images * length,
        lambda: (
            f"The text has {int(places)} image placeholders, but {images} images of {length} vectors each were given "
            f"({images * length} vectors). Give one image for each <image> in the text, in "
            "reading order; the processor does this when it gets text and images together."
        ),
        ImageCountError,
    )
    if prefix is None:
        return embeddings
    prefix = prefix.to(embeddings.device, embeddings.dtype)
    return embeddings.masked_scatter(placeholders.unsqueeze(-1), prefix)


class Scored(NamedTuple):
    """Positions whose output predicts a scored label, and those labels."""

    positions: Tensor
    """`(batch, sequence)` bool."""
    labels: Tensor
    """`(scored,)` int64: the labels those positions predict, in reading order."""


def scored_positions(labels: Tensor) -> Scored:
    """Finds where the language model's head is needed: a position predicts the label of its right neighbour.

    Args:
        labels: `(batch, sequence)` int64, `UNSCORED` (-100) where nothing is scored.

    Example:
        >>> scored_positions(torch.tensor([[-100, -100, 7, 8]])).positions.tolist()
        [[False, True, True, False]]
    """
    targets = functional.pad(labels, (0, 1), value=UNSCORED)[:, 1:]
    positions = targets != UNSCORED
    return Scored(positions, targets[positions])


def positions_of(attention_mask: Tensor) -> Tensor:
    """Counts positions from each row's first real token, so that padding on the left moves nothing.

    Args:
        attention_mask: `(batch, sequence)`, 0 on padding.

    Example:
        >>> positions_of(torch.tensor([[0, 0, 1, 1], [1, 1, 1, 0]])).tolist()
        [[0, 0, 0, 1], [0, 1, 2, 2]]
    """
    return (attention_mask.long().cumsum(-1) - 1).clamp_min(0)
