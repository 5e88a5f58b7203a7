"""From one vector for each token to one for the text."""

from __future__ import annotations

import torch
from torch import Tensor

from linmap.errors import UnknownNameError

__all__ = ["pool"]


def pool(tokens: Tensor, attention_mask: Tensor, pooling: str) -> Tensor:
    """The vector that stands for each text.

    Args:
        tokens: (texts, length, channels), a language model's last hidden state.
        attention_mask: (texts, length), 0 on padding; every text has at least one token.
        pooling: `"mean"` of the tokens of a text, `"cls"` the first of them, `"eos"` the last of them.

    Returns:
        (texts, channels).

    Raises:
        UnknownNameError: Another word.

    Example:
        >>> tokens = torch.tensor([[[1.0], [3.0], [9.0]]])
        >>> mask = torch.tensor([[1, 1, 0]])
        >>> [pool(tokens, mask, how).item() for how in ("mean", "cls", "eos")]
        [2.0, 1.0, 3.0]
    """
    if pooling == "mean":
        there = attention_mask.unsqueeze(-1).to(tokens.dtype)
        return (tokens * there).sum(1) / there.sum(1)
    rows = torch.arange(len(tokens), device=tokens.device)
    if pooling == "cls":
        return tokens[rows, attention_mask.argmax(1)]
    if pooling == "eos":
        places = torch.arange(tokens.shape[1], device=tokens.device)
        return tokens[rows, (attention_mask * places).argmax(1)]
    raise UnknownNameError("pooling", pooling, ("mean", "cls", "eos"))
