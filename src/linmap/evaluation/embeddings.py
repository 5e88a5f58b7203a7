"""Embeddings as they come in: one row each, finite, not zero; compared by their cosine."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from linmap.errors import EvaluationError

__all__ = ["targets_tensor", "unit_rows"]


def unit_rows(embeddings: Tensor, what: str) -> Tensor:
    """`embeddings` `(n, dim)` as float64 rows of length 1, without a gradient, on their device (MPS: on the CPU).

    Args:
        embeddings: `(n, dim)`, any floating format, any length but zero.
        what: What errors call them, such as `"image embeddings"`.

    Raises:
        EvaluationError: No rows or no matrix, or a row that is not finite or is all zeros.
    """
    if embeddings.ndim != 2 or 0 in embeddings.shape:
        raise EvaluationError(
            f"The {what} are {tuple(embeddings.shape)}; expected (rows, dimensions), at least one each."
        )
    device = "cpu" if embeddings.device.type == "mps" else embeddings.device  # MPS has no float64
    rows = embeddings.detach().to(device).to(torch.float64)
    lengths = rows.norm(dim=1, keepdim=True)
    bad = ~(lengths.isfinite() & (lengths > 0)).squeeze(1)
    if bad.any():
        first = int(bad.nonzero()[0])
        raise EvaluationError(
            f"{int(bad.sum())} of {len(rows)} {what} are zero or not finite, the first in row {first}; they have no "
            "direction to compare. Look at what made them."
        )
    return rows / lengths


def targets_tensor(numbers: Tensor | Sequence[int], what: str, length: int, below: int) -> Tensor:
    """`numbers` as int64 `(length,)` on the CPU, each in `range(below)`.

    Raises:
        EvaluationError: Another number of them, no whole numbers, or one out of range.
    """
    tensor = torch.as_tensor(numbers).detach().cpu()
    if tensor.shape != (length,):
        raise EvaluationError(f"The {what} are of shape {tuple(tensor.shape)}; expected ({length},), one a row.")
    if length and (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool):
        raise EvaluationError(f"The {what} are {tensor.dtype}; give whole numbers.")
    tensor = tensor.to(torch.int64)
    if length and (int(tensor.min()) < 0 or int(tensor.max()) >= below):
        raise EvaluationError(
            f"The {what} run from {int(tensor.min())} to {int(tensor.max())}; expected 0 to {below - 1}."
        )
    return tensor
