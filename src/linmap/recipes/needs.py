"""The memory a run needs, estimated from the shapes of its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = [
    "MIB",
    "decoder_activations",
    "encoder_activations",
    "in_words",
    "kept_for_backward",
    "learning",
    "mebibytes",
]

MIB = 2**20
SAVED_VALUES_PER_HIDDEN = 17
"""Activations a transformer layer keeps for the backward pass, in values a token and hidden unit, where they cannot be
counted: 34 bytes at 2 bytes a value (arXiv 2205.05198, section 4.1, without the attention scores, which fused attention
does not keep)."""


def mebibytes(parameters: Iterable[Tensor]) -> float:
    """Memory of weights."""
    return sum(parameter.numel() * parameter.element_size() for parameter in parameters) / MIB


def learning(module: nn.Module) -> float:
    """MiB beside the weights that learn: their gradient and AdamW's two averages."""
    return 3 * mebibytes(parameter for parameter in module.parameters() if parameter.requires_grad)


def decoder_activations(language_model: Any, *, rows: int, tokens: int, scored: int) -> float:
    """MiB that a language model keeps for the backward pass through it, adapters and its head included.

    Attention is counted with its scores, which fused kernels do not keep: a little too much for models that have them.

    Args:
        language_model: On the meta device, where running it costs nothing.
        rows: Texts in one forward pass.
        tokens: Positions of each.
        scored: Of these, positions whose vocabulary is scored.
    """
    text = language_model.config.get_text_config(decoder=True)
    table = language_model.get_input_embeddings().weight
    inputs = torch.empty(rows, tokens, table.shape[1], dtype=table.dtype, device="meta", requires_grad=True)

    seen = torch.empty(rows, 1, tokens, tokens, dtype=table.dtype, device="meta")  # else values of a mask are looked at

    def run() -> None:
        language_model.base_model(inputs_embeds=inputs, attention_mask=seen, use_cache=False)

    layers = kept_for_backward(run, language_model)
    if layers is None:
        layers = rows * tokens * text.hidden_size * text.num_hidden_layers * SAVED_VALUES_PER_HIDDEN
        layers *= table.element_size()
    logits = rows * scored * text.vocab_size * (table.element_size() + 2 * 4)  # and their float32 copy and gradient
    return (layers + logits) / MIB


def encoder_activations(encoder: Any, *, images: int) -> float:
    """MiB that an image encoder keeps for the backward pass through it.

    Args:
        encoder: An `ImageEncoder` on the meta device whose weights learn; put into training mode.
        images: In one forward pass.
    """
    side = encoder.config.image_size
    pixel_values = torch.empty(images, 3, side, side, dtype=encoder.dtype, device="meta")
    encoder.train()
    kept = kept_for_backward(lambda: encoder(pixel_values), encoder)
    encoder.eval()
    return (kept or 0) / MIB


def kept_for_backward(run: Callable[[], object], module: nn.Module) -> int | None:
    """Bytes that autograd keeps of a forward pass, the weights not counted; None where it cannot run on shapes alone.

    Args:
        run: Runs the module, on the meta device.
        module: The module.
    """
    weights = {weight.untyped_storage()._cdata for weight in (*module.parameters(), *module.buffers())}
    kept: dict[int, int] = {}
    alive = []  # so that no storage takes the place of another

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage.nbytes()
            alive.append(tensor)
        return tensor

    try:
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            run()
    except (NotImplementedError, RuntimeError, ValueError):  # it looks at values, or takes no such mask
        return None
    return sum(kept.values())


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
