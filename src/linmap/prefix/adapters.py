"""Bottleneck adapters behind the MLPs of a frozen language model (MAGMA, arXiv 2112.05253, section 3)."""

from __future__ import annotations

import copy
import inspect
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from linmap.errors import ConfigurationError

__all__ = ["BottleneckAdapter", "behind_mlps"]

MLP_NAMES = ("mlp", "fc2")
"""What the blocks of language models call their MLP, or, where it has no module of its own (OPT), its last layer."""

INITIAL_DEVIATION = 1e-3  # magma/adapters.py, which also clips at two deviations


class BottleneckAdapter(nn.Module):
    """A narrow two-layer network beside a residual path: `x + up(relu(down(x)))`, float32 whatever `x` is.

    Fresh, it hardly changes what goes through it: all its weights are drawn with a deviation of a thousandth.

    Args:
        width: Channels of the hidden states it stands behind.
        downsample: How many times narrower its middle is (MAGMA: 4).

    Example:
        >>> adapter = BottleneckAdapter(width=64, downsample=4)
        >>> adapter.down
        Linear(in_features=64, out_features=16, bias=True)
        >>> hidden = torch.ones(1, 3, 64)
        >>> bool((adapter(hidden) - hidden).abs().max() < 0.01)
        True
    """

    def __init__(self, width: int, downsample: int) -> None:
        super().__init__()
        if downsample > width:
            raise ConfigurationError(
                f"adapter_downsample is {downsample}, and the language model's hidden states have {width} channels: "
                "nothing would be left of them. Take a smaller one (MAGMA: 4)."
            )
        self.down = nn.Linear(width, width // downsample)
        self.up = nn.Linear(width // downsample, width)
        for weight in self.parameters():
            nn.init.normal_(weight, std=INITIAL_DEVIATION)
            with torch.no_grad():
                weight.clamp_(-2 * INITIAL_DEVIATION, 2 * INITIAL_DEVIATION)

    def forward(self, hidden: Tensor) -> Tensor:
        """Adapts `hidden`, (…, width); the result is in its dtype."""
        wide = hidden.to(self.down.weight.dtype)
        return (wide + self.up(nn.functional.relu(self.down(wide)))).to(hidden.dtype)

    def behind(self, mlp: nn.Module, inputs: Any, output: Any) -> Tensor:
        """What a forward hook of an MLP does: its output goes through the adapter."""
        if not isinstance(output, Tensor):
            raise ConfigurationError(
                f"{type(mlp).__name__} gives a {type(output).__name__}, which no adapter can stand behind. Take "
                "another language model, or leave adapter_downsample out."
            )
        return self(output)


def behind_mlps(language_model: PreTrainedModel, downsample: int) -> tuple[PreTrainedModel, nn.ModuleList]:
    """A language model whose MLPs go through fresh adapters, one for each block, in order.

    The weights are those of the model given, shared and not copied; its modules are copies, so that whoever holds the
    model given holds it as it was. The adapters are no part of either, and are saved apart from them.

    Args:
        language_model: Any whose blocks have an MLP of one input, such as GPT-J, GPT-2, OPT and Llama.
        downsample: How many times narrower than the hidden states an adapter's middle is.

    Raises:
        ConfigurationError: No MLPs are found, or they are made otherwise.
    """
    kept = {id(tensor): tensor for tensor in chain(language_model.parameters(), language_model.buffers())}
    adapted = copy.deepcopy(language_model, memo=kept)
    width = language_model.config.get_text_config(decoder=True).hidden_size
    adapters = nn.ModuleList()
    for mlp in _mlps(adapted):
        adapter = BottleneckAdapter(width, downsample)
        nn.Module.to(adapter, next(mlp.parameters()).device)
        mlp.register_forward_hook(adapter.behind)
        adapters.append(adapter)
    return adapted, adapters


def _mlps(language_model: PreTrainedModel) -> list[nn.Module]:
    layers = language_model.config.get_text_config(decoder=True).num_hidden_layers
    stacks = (module for module in language_model.modules() if isinstance(module, nn.ModuleList))
    blocks: Any = next((stack for stack in stacks if len(stack) == layers), [])
    for name in MLP_NAMES:
        mlps = [mlp for block in blocks if isinstance(mlp := getattr(block, name, None), nn.Module)]
        if mlps and len(mlps) == layers and all(_takes_one_input(mlp) for mlp in mlps):
            return mlps
    raise ConfigurationError(
        f"{type(language_model).__name__} has no MLPs of one input in its blocks, so no adapter can stand behind them. "
        "Take a language model like GPT-J, GPT-2, OPT or Llama, or leave adapter_downsample out."
    )


def _takes_one_input(mlp: nn.Module) -> bool:
    """Bloom's, for one, also takes the residual stream and adds it: what comes out is not the MLP's own."""
    needed = [name for name, one in inspect.signature(mlp.forward).parameters.items() if one.default is one.empty]
    return len(needed) == 1
