"""The memory a run needs, estimated from the shapes of its parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = [
    "MIB",
    "adapter_activations",
    "decoder_activations",
    "encoder_activations",
    "in_words",
    "learning",
    "mebibytes",
]

MIB = 2**20
SAVED_VALUES_PER_HIDDEN = 17
"""Activations a transformer layer keeps for the backward pass, in values a token and hidden unit: 34 bytes at 2 bytes
a value (arXiv 2205.05198, section 4.1, without the attention scores, which fused attention does not keep)."""


def mebibytes(parameters: Iterable[Tensor]) -> float:
    """Memory of weights."""
    return sum(parameter.numel() * parameter.element_size() for parameter in parameters) / MIB


def learning(module: nn.Module) -> float:
    """MiB beside the weights that learn: their gradient and AdamW's two averages."""
    return 3 * mebibytes(parameter for parameter in module.parameters() if parameter.requires_grad)


def decoder_activations(language_model: Any, *, rows: int, tokens: int, scored: int) -> float:
    """MiB that a language model keeps for the backward pass through it, its head included.

    Args:
        language_model: The model; its configuration and its number type are looked at.
        rows: Texts in one forward pass.
        tokens: Positions of each.
        scored: Of these, positions whose vocabulary is scored.
    """
    text = language_model.config.get_text_config(decoder=True)
    bytes_each = next(language_model.parameters()).element_size()
    layers = rows * tokens * text.hidden_size * text.num_hidden_layers * SAVED_VALUES_PER_HIDDEN * bytes_each
    logits = rows * scored * text.vocab_size * (bytes_each + 2 * 4)  # logits, their float32 copy, and its gradient
    return (layers + logits) / MIB


def adapter_activations(adapters: Iterable[Any], *, positions: int) -> float:
    """MiB that bottleneck adapters keep for the backward pass: what goes in, in float32, and their middle twice.

    Args:
        adapters: `BottleneckAdapter`s.
        positions: In one forward pass, of all its texts.
    """
    values = sum(adapter.down.in_features + 2 * adapter.down.out_features for adapter in adapters)
    return positions * values * 4 / MIB


@torch.no_grad()
def encoder_activations(encoder: Any, *, images: int) -> float:
    """MiB that an image encoder keeps for the backward pass through it: the output of each of its layers.

    Args:
        encoder: An `ImageEncoder` on the meta device, where running it costs nothing.
        images: In one forward pass.
    """
    kept = 0

    def count(_: nn.Module, __: Any, output: Any) -> None:
        nonlocal kept
        if isinstance(output, Tensor):
            kept += output.numel() * output.element_size()

    leaves = [module for module in encoder.modules() if next(module.children(), None) is None]
    hooks = [leaf.register_forward_hook(count) for leaf in leaves]
    side = encoder.config.image_size
    encoder(torch.empty(1, 3, side, side, device=encoder.device))
    for hook in hooks:
        hook.remove()
    return images * kept / MIB


def in_words(needed: Mapping[str, float]) -> str:
    """What a run needs, in GiB: the sum, and what it is made of.

    Args:
        needed: Name -> MiB.

    Example:
        >>> in_words({"weights": 2048.0, "activations": 512.0})
        'about 2.5 GiB: weights 2.0, activations 0.5'
    """
    parts = ", ".join(f"{name} {amount / 1024:.1f}" for name, amount in needed.items() if amount)
    return f"about {sum(needed.values()) / 1024:.1f} GiB: {parts}"
