"""Contrastive losses over the global batch: CLIP's symmetric cross entropy and SigLIP's sigmoid, a few rows at a time.

With several processes every process compares its own rows with everybody's columns; averaged over the processes, as
data-parallel training averages gradients, this is the loss of one process that holds the whole batch. All processes
hold equally many pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812 (its usual name)
from torch import Tensor
from torch.distributed.nn.functional import all_gather
from torch.utils.checkpoint import checkpoint

__all__ = ["sigmoid_loss", "softmax_loss"]

ROWS_AT_ONCE = 1024
"""Rows of logits that exist at a time: memory grows with the batch, not with its square."""


class _Rows(NamedTuple):
    """Some rows of the comparison of everything with everything.

    Args:
        own: (rows, channels), compared with all columns.
        places: (rows,) int64, the column that belongs to each row.
        ids: (rows,) int64, which photo each row is of; None where all are different ones.
    """

    own: Tensor
    places: Tensor
    ids: Tensor | None


def softmax_loss(
    image_embeds: Tensor,
    text_embeds: Tensor,
    logit_scale: Tensor,
    image_ids: Tensor | None = None,
    *,
    rows_at_once: int = ROWS_AT_ONCE,
    across_processes: bool = True,
) -> Tensor:
    """CLIP's symmetric cross entropy (arXiv 2103.00020, figure 3), also known as InfoNCE.

    Args:
        image_embeds: (batch, channels) float, L2-normalised; row i belongs to text i.
        text_embeds: (batch, channels) float, L2-normalised.
        logit_scale: Inverse temperature, the factor on the cosines.
        image_ids: (batch,) int64; pairs of the same id show the same photo and are never each other's negatives.
        rows_at_once: Rows of logits that exist at a time; with fewer than the batch they are made again for the
            gradient, and memory does not grow with the square of the batch.
        across_processes: Compare with the rows of all processes too; False where each holds everything already.

    Returns:
        Scalar, nats a pair.

    Example:
        >>> eye = torch.eye(4)
        >>> softmax_loss(eye, eye, torch.tensor(100.0)).item()
        0.0
    """
    losses = [
        _in_parts(_cross_entropy, rows, columns, column_ids, rows_at_once, logit_scale)
        for rows, columns, column_ids in _both_ways(image_embeds, text_embeds, image_ids, across_processes)
    ]
    return (losses[0] + losses[1]) / (2 * len(image_embeds))


def sigmoid_loss(
    image_embeds: Tensor,
    text_embeds: Tensor,
    logit_scale: Tensor,
    logit_bias: Tensor,
    image_ids: Tensor | None = None,
    *,
    rows_at_once: int = ROWS_AT_ONCE,
    across_processes: bool = True,
) -> Tensor:
    """SigLIP's sigmoid loss (arXiv 2303.15343, algorithm 1): every pair of the batch is its own yes or no.

    Args:
        image_embeds: (batch, channels) float, L2-normalised; row i belongs to text i.
        text_embeds: (batch, channels) float, L2-normalised.
        logit_scale: Inverse temperature, the factor on the cosines.
        logit_bias: Added to every logit.
        image_ids: (batch,) int64; what is no pair of the data, but of the same id, is left out.
        rows_at_once: As in `softmax_loss`.
        across_processes: As there.

    Returns:
        Scalar, nats an image.
    """
    rows, columns, column_ids = next(_both_ways(image_embeds, text_embeds, image_ids, across_processes))
    summed = _in_parts(_log_sigmoid, rows, columns, column_ids, rows_at_once, logit_scale, logit_bias)
    return summed / len(image_embeds)


def _both_ways(
    image_embeds: Tensor, text_embeds: Tensor, image_ids: Tensor | None, across_processes: bool
) -> Iterator[tuple[_Rows, Tensor, Tensor | None]]:
    """Images against all texts, then texts against all images; yields (rows, columns, ids of the columns)."""
    several = across_processes and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
    everybody = _from_everybody if several else _alone
    first = dist.get_rank() * len(image_embeds) if several else 0
    places = torch.arange(first, first + len(image_embeds), device=image_embeds.device)
    column_ids = None if image_ids is None else everybody(image_ids)
    yield _Rows(image_embeds, places, image_ids), everybody(text_embeds), column_ids
    yield _Rows(text_embeds, places, image_ids), everybody(image_embeds), column_ids


def _alone(rows: Tensor) -> Tensor:
    return rows


def _from_everybody(rows: Tensor) -> Tensor:
    """The rows of all processes, in their order, gradients flowing back to where each row came from."""
    if rows.is_floating_point():
        return torch.cat(all_gather(rows))
    gathered = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(gathered, rows)
    return torch.cat(gathered)


def _in_parts(
    loss: Callable[..., Tensor],
    rows: _Rows,
    columns: Tensor,
    column_ids: Tensor | None,
    rows_at_once: int,
    *scalars: Tensor,
) -> Tensor:
    """The sum of `loss` over all rows, of which only so many exist at a time, in the backward pass too."""
    if len(rows.own) <= rows_at_once:
        return loss(rows, columns, column_ids, *scalars)
    total = rows.own.new_zeros(())
    ids = [None] * len(rows.own) if rows.ids is None else rows.ids.split(rows_at_once)
    for own, places, of in zip(rows.own.split(rows_at_once), rows.places.split(rows_at_once), ids, strict=False):
        part = _Rows(own, places, of)
        total = total + checkpoint(loss, part, columns, column_ids, *scalars, use_reentrant=False)
    return total


def _also_of_the_photo(rows: _Rows, column_ids: Tensor | None) -> Tensor | None:
    """(rows, columns) bool: what belongs to the same photo without being the row's own column."""
    if rows.ids is None or column_ids is None:
        return None
    same = rows.ids[:, None] == column_ids[None]
    return same.scatter(1, rows.places[:, None], False)


def _cross_entropy(rows: _Rows, columns: Tensor, column_ids: Tensor | None, logit_scale: Tensor) -> Tensor:
    logits = logit_scale * rows.own @ columns.T
    others = _also_of_the_photo(rows, column_ids)
    if others is not None:
        logits = logits.masked_fill(others, -torch.inf)
    return F.cross_entropy(logits, rows.places, reduction="sum")


def _log_sigmoid(
    rows: _Rows, columns: Tensor, column_ids: Tensor | None, logit_scale: Tensor, logit_bias: Tensor
) -> Tensor:
    logits = logit_scale * rows.own @ columns.T + logit_bias
    signs = torch.full_like(logits, -1.0).scatter(1, rows.places[:, None], 1.0)
    losses = -F.logsigmoid(signs * logits)
    others = _also_of_the_photo(rows, column_ids)
    return losses.sum() if others is None else losses.masked_fill(others, 0.0).sum()
