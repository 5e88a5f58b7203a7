"""Heads that learn on standardised features, and are plain linear maps of the features themselves again afterwards.

W diag(1/s) x = W (x/s): dividing the columns of the head by the deviations s of the channels is the same map as
dividing the features, dropout in front of it included. Only the optimiser notices: it moves W.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

if TYPE_CHECKING:
    from linmap.dual.modeling import DualEncoderModel

__all__ = ["fold_heads", "plain_heads", "standardise_head"]

SMALLEST_DEVIATION = 1e-3
"""Of the mean deviation of all channels: a channel that hardly varies is not blown up to vary like the others."""

HEADS = ("image_projection", "text_projection")


class _Divided(nn.Module):
    """Divides the columns of a weight (out, in) by numbers (in,)."""

    deviations: Tensor

    def __init__(self, head: nn.Linear, deviations: Tensor) -> None:
        super().__init__()
        self.register_buffer("deviations", deviations)
        self.hook = head.register_load_state_dict_pre_hook(_leave_plain_weight)

    def forward(self, weight: Tensor) -> Tensor:
        return weight / self.deviations


def _leave_plain_weight(head: nn.Module, state_dict: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """A checkpoint holds the head twice, and the plain one is for others."""
    state_dict.pop(f"{prefix}weight", None)


def standardise_head(head: nn.Linear, features: Tensor) -> None:
    """Lets `head` learn on its inputs divided by the standard deviation of their channel.

    Args:
        head: Its weight stays what it is, as a map of the divided features.
        features: (examples, channels) it will learn on, of any number type.

    Example:
        >>> head = nn.Linear(2, 1, bias=False)
        >>> x = torch.tensor([[1.0, 10.0], [3.0, 30.0]])
        >>> before = head(x / x.std(0)).detach()
        >>> standardise_head(head, x)
        >>> torch.allclose(head(x), before)
        True
    """
    # a block of rows at a time: float64 copies of all features would take four times their memory
    count, channels = features.shape
    mean = sum(part.double().sum(0) for part in features.split(4096)) / count
    square = sum((part.double() - mean).square().sum(0) for part in features.split(4096))
    deviations = torch.as_tensor(square / max(count - 1, 1)).sqrt()
    floor = SMALLEST_DEVIATION * deviations.mean()
    deviations = deviations.clamp(min=floor) if floor > 0 else torch.ones(channels)
    parametrize.register_parametrization(head, "weight", _Divided(head, deviations.to(head.weight)))


def plain_heads(model: DualEncoderModel) -> dict[str, Tensor]:
    """The weights of standardised heads as those of plain linear maps, under the names these have in the model."""
    heads = {name: getattr(model, name) for name in HEADS}
    return {
        f"{name}.weight": head.weight.detach()
        for name, head in heads.items()
        if head is not None and parametrize.is_parametrized(head)
    }


def fold_heads(model: DualEncoderModel) -> None:
    """Makes plain linear maps of the standardised heads, in place; the model computes what it did."""
    for name in HEADS:
        head = getattr(model, name)
        if head is not None and parametrize.is_parametrized(head):
            head.parametrizations.weight[0].hook.remove()
            parametrize.remove_parametrizations(head, "weight", leave_parametrized=True)
