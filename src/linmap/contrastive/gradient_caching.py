"""Gradient caching (arXiv 2101.06983): a large batch goes through a tower in parts, and only embeddings are kept."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

__all__ = ["embedded_in_parts"]


def embedded_in_parts(
    embed: Callable[..., Tensor], size: int | None, *inputs: Tensor, device: torch.device | None = None
) -> Tensor:
    """`embed(*inputs)`, of which only `size` rows at a time are kept for the gradient.

    Each part is run without keeping anything, and run again when its gradient is due: what stays is the embeddings, so
    that a loss over the whole batch has the same gradient in the memory of a part.

    Args:
        embed: A tower and its head: rows in, (rows, channels) out; each row by itself.
        size: Rows that go through at a time; None: all at once.
        *inputs: Tensors of equally many rows.
        device: Where the recomputation draws its random numbers again; None leaves the inputs where they are.

    Returns:
        (rows, channels).

    Example:
        >>> embedded_in_parts(lambda rows: 2 * rows, 2, torch.ones(5, 3)).shape
        torch.Size([5, 3])
    """
    if size is None or size >= len(inputs[0]):
        return embed(*inputs)
    parts = zip(*(whole.split(size) for whole in inputs), strict=True)
    return torch.cat(
        [
            checkpoint(embed, *(part if device is None else part.to(device) for part in rows), use_reentrant=False)
            for rows in parts
        ]
    )
