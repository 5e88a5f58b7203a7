"""Attention of a few latents over many rows in one pass that never holds all weights: projection and support.

For latents v and rows M the weights are softmax(v M^T / tau) (arXiv 2303.03032, section 3.3, equations 3 and 4). Rows
come in blocks. What is kept is, for each latent, the largest score so far, the sum of the exponentials below it, and
the sum of the rows weighted with them (the online softmax, arXiv 1805.02867): exact whatever the size of the blocks,
and no matrix of latents x all rows is ever made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from linmap.errors import SupportMemoryError

__all__ = ["Support", "block_rows", "largest", "weighted_mean"]

SCORES = 1 << 19
"""Scores held at a time, 2 MB: they stay in the cache of a core between one operation and the next, and the matrix
products are still large enough to run at full speed."""

FEWEST, MOST = 1024, 16384
"""Rows in a block: 16,384 rows of 512 channels are 34 MB in float32."""


class Support(NamedTuple):
    """The rows that weigh most.

    Args:
        indices: (latents, k) int64, rows of the memory, highest weight first.
        weights: (latents, k) float32 in [0, 1], of the softmax over all rows.
    """

    indices: Tensor
    weights: Tensor


def block_rows(latents: int) -> int:
    """Rows to take at a time for so many latents."""
    return min(MOST, max(FEWEST, SCORES // max(latents, 1)))


def weighted_mean(latents: Tensor, blocks: Iterable[Tensor], temperature: float) -> Tensor:
    """softmax(v M^T / tau) M, not normalised.

    Args:
        latents: v, (latents, dim) float32.
        blocks: M, (rows, dim) float32 each, on the device of the latents; a block may be overwritten by the next.
        temperature: tau, above 0.

    Returns:
        (latents, dim) float32.

    Raises:
        SupportMemoryError: The temperature is not a number above 0.

    Example:
        >>> weighted_mean(torch.tensor([[1.0, 0.0]]), [torch.eye(2)[:1], torch.eye(2)[1:]], temperature=1.0)
        tensor([[0.7311, 0.2689]])
    """
    parts = _parts(latents, temperature)
    for block in blocks:
        for part in parts:
            part.weigh(part.scores(block), block)
    return torch.cat([part.rows / part.exponentials for part in parts]) if parts else latents


def largest(latents: Tensor, blocks: Iterable[Tensor], k: int, temperature: float) -> Support:
    """The k rows of highest weight and their weights among all rows, in the same single pass.

    Args:
        latents: v, (latents, dim) float32.
        blocks: As in `weighted_mean`.
        k: At least 1; where there are fewer rows, all are given.
        temperature: tau, above 0.

    Raises:
        SupportMemoryError: k is below 1, or the temperature is not a number above 0.

    Example:
        >>> largest(torch.tensor([[0.6, 0.8]]), [torch.eye(2)], k=1, temperature=1.0)
        Support(indices=tensor([[1]]), weights=tensor([[0.5498]]))
    """
    if k < 1:
        raise SupportMemoryError(f"{k} rows cannot be given; ask for at least 1.")
    parts = _parts(latents, temperature)
    best = [
        Support(torch.empty(len(part.queries), 0).long().to(latents.device), latents.new_empty(0)) for part in parts
    ]
    best = [Support(rows, rows.float()) for rows, _ in best]  # the scores, until the sum of all is known
    seen = 0
    for block in blocks:
        for number, part in enumerate(parts):
            scores = part.scores(block)
            best[number] = _best(best[number], scores, seen, k)
            part.weigh(scores)
        seen += len(block)
    shares = [(top.weights - part.highest).exp() / part.exponentials for part, top in zip(parts, best, strict=True)]
    if not parts:
        return Support(torch.empty(0, k, dtype=torch.long, device=latents.device), latents.new_empty(0, k))
    return Support(torch.cat([top.indices for top in best]), torch.cat(shares))


class _Part:
    """Some of the latents on their way through the rows, so many that their scores fit."""

    def __init__(self, latents: Tensor, temperature: float) -> None:
        self.queries = latents / temperature
        self.highest = latents.new_full((len(latents), 1), -math.inf)
        self.exponentials = latents.new_zeros(len(latents), 1)
        self.rows = torch.zeros_like(latents)
        self._buffer = latents.new_empty(0)

    def scores(self, block: Tensor) -> Tensor:
        """(latents, rows of the block), overwritten by the next block's."""
        needed = len(self.queries) * len(block)
        if self._buffer.numel() < needed:
            self._buffer = self.queries.new_empty(needed)
        return torch.mm(self.queries, block.T, out=self._buffer[:needed].view(len(self.queries), len(block)))

    def weigh(self, scores: Tensor, block: Tensor | None = None) -> None:
        """Takes in the scores of a block, which are used up, and its rows where these are wanted."""
        highest = torch.maximum(self.highest, scores.amax(dim=1, keepdim=True))
        shrunk = (self.highest - highest).exp_()
        weights = scores.sub_(highest).exp_()
        self.exponentials.mul_(shrunk).add_(weights.sum(dim=1, keepdim=True))
        if block is not None:
            self.rows.mul_(shrunk).addmm_(weights, block)
        self.highest = highest


def _parts(latents: Tensor, temperature: float) -> list[_Part]:
    if not 0 < temperature < math.inf:
        raise SupportMemoryError(f"The temperature is {temperature}; give a number above 0, such as 0.01.")
    if len(latents) == 0:
        return []
    return [_Part(part, temperature) for part in latents.split(SCORES // FEWEST)]


def _best(before: Support, scores: Tensor, first: int, k: int) -> Support:
    """The k highest of those before and the scores of a block whose rows begin at `first`."""
    found = scores.topk(min(k, scores.shape[1]), dim=1)
    values = torch.cat([before.weights, found.values], dim=1)
    rows = torch.cat([before.indices, found.indices + first], dim=1)
    top = values.topk(min(k, values.shape[1]), dim=1)
    return Support(rows.gather(1, top.indices), top.values)
