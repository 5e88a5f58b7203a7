"""Learning rates that transformers has no schedule for."""

from __future__ import annotations

import math
from functools import partial

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

__all__ = ["inverse_sqrt_factor", "inverse_sqrt_schedule"]


def inverse_sqrt_factor(step: int, *, steps: int, warmup: int, timescale: int, cooldown: int) -> float:
    """The learning rate of a step as a share of the highest: big_vision's `rsqrt`.

    It grows linearly through the warm-up, falls as 1 / sqrt(1 + steps since then / timescale), and is multiplied with
    what a line through the cooldown gives, which ends at 0.

    Args:
        step: The step, from 0 on.
        steps: Of the run.
        warmup: Steps of the warm-up.
        timescale: Steps behind the warm-up after which it has fallen to 1 / sqrt(2).
        cooldown: Last steps, in which it falls to 0.

    Example:
        >>> [round(inverse_sqrt_factor(n, steps=100, warmup=10, timescale=30, cooldown=20), 2) for n in (0, 10, 40, 90)]
        [0.0, 1.0, 0.71, 0.26]
    """
    factor = 1 / math.sqrt(1 + max(step - warmup, 0) / timescale)
    if warmup:
        factor *= min(1.0, step / warmup)
    if cooldown:
        factor *= min(1.0, max(steps - step, 0) / cooldown)
    return factor


def inverse_sqrt_schedule(optimizer: Optimizer, *, steps: int, warmup: int, timescale: int, cooldown: int) -> LambdaLR:
    """`inverse_sqrt_factor` as a schedule of torch; see there."""
    factor = partial(inverse_sqrt_factor, steps=steps, warmup=warmup, timescale=timescale, cooldown=cooldown)
    return LambdaLR(optimizer, factor)
