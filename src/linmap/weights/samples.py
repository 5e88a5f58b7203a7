"""A few values of every frozen weight, to notice that weights are no longer those that a name stands for."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["is_the_same", "samples_of"]

SAMPLES = 64  # values of each weight


def samples_of(part: nn.Module) -> list[Tensor]:
    """A few values of each weight, in the order of the weights, as float32 on the CPU.

    Empty for a weight whose values are not there to compare: quantised, or offloaded.
    """
    samples = []
    for weight in part.parameters():
        there = weight.is_floating_point() and not weight.is_meta
        values = weight.detach().flatten() if there else torch.empty(0, device="cpu")
        step = math.ceil(len(values) / SAMPLES) | 1  # odd, else all samples of most matrices are of one column
        # copied, as the weight itself may be float32 on the CPU, and change
        samples.append(values[::step].to("cpu", torch.float32, copy=True))
    return samples


def is_the_same(before: list[Tensor], now: list[Tensor]) -> bool:
    """Whether weights differ by no more than stays in bfloat16 and float16 explain; those not at hand do not count."""
    return len(before) == len(now) and all(
        not (len(was) and len(is_))
        or (len(was) == len(is_) and torch.allclose(is_, was, rtol=2**-7, atol=2**-24, equal_nan=True))
        for was, is_ in zip(before, now, strict=True)
    )
