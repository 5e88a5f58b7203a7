"""Starts the linear layer from a ridge regression of image features on caption embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

if TYPE_CHECKING:
    from linmap.prefix.modeling import LinearVisionPrefixModel

__all__ = ["evenly_spaced", "mean_caption_embeddings", "ridge_map", "start_from_ridge"]


def evenly_spaced(count: int, most: int) -> list[int]:
    """All of `range(count)`, or `most` of them at even distances.

    Example:
        >>> evenly_spaced(3, 10), evenly_spaced(10, 4)
        ([0, 1, 2], [0, 2, 5, 7])
    """
    taken = min(count, most)
    return [number * count // taken for number in range(taken)]


def mean_caption_embeddings(
    model: LinearVisionPrefixModel, tokenizer: PreTrainedTokenizerBase, captions: Sequence[Sequence[str]]
) -> Tensor:
    """Mean input embedding of all tokens of a photo's captions, each caption's eos among them.

    Args:
        model: Model whose language model gives the embeddings.
        tokenizer: Its tokenizer.
        captions: For each photo its captions.

    Returns:
        Float32 tensor of shape (photos, hidden), on the CPU.
    """
    embedding: nn.Embedding = model.get_input_embeddings()  # type: ignore[assignment]
    table = embedding.weight.detach()
    means = torch.empty((len(captions), table.shape[1]), dtype=torch.float32)
    for row, texts in enumerate(captions):
        ids = tokenizer([f" {text}" for text in texts], add_special_tokens=False)["input_ids"]
        flat = torch.tensor([token for one in ids for token in (*one, tokenizer.eos_token_id)], device=table.device)
        means[row] = table[flat].float().mean(0).cpu()
    return means


def ridge_map(inputs: Tensor, targets: Tensor, *, ridge: float) -> tuple[Tensor, Tensor, float]:
    """The linear map with bias that predicts `targets` from `inputs`, shrunk towards the mean.

    Minimises |Y - X W^T|^2 + lambda |W|^2 over centred X and Y, with lambda = ridge * mean(X^2) * n.

    Args:
        inputs: (n, d) image features.
        targets: (n, h) caption embeddings.
        ridge: Strength; 0 is least squares and needs n > d.

    Returns:
        Weight (h, d), bias (h,) and the share of the targets' variance explained (at most 1).

    Example:
        >>> x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
        >>> weight, bias, explained = ridge_map(x, 2 * x + 1, ridge=0.0)
        >>> weight.diagonal().round(decimals=3).tolist(), round(explained, 3)
        ([2.0, 2.0, 2.0], 1.0)
    """
    x, y = inputs.double(), targets.double()
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    strength = ridge * x.pow(2).mean() * len(x)
    gram = x.T @ x
    gram.diagonal().add_(strength)
    solution = torch.linalg.solve(gram, x.T @ y)  # (d, h)
    explained = 1 - (x @ solution - y).pow(2).sum() / y.pow(2).sum()
    weight = solution.T
    return weight.float(), (y_mean - weight @ x_mean).float(), float(explained)


def start_from_ridge(
    model: LinearVisionPrefixModel, inputs: Tensor, targets: Tensor, *, ridge: float, noise: float, seed: int
) -> float:
    """Writes a ridge regression of `targets` on `inputs` into `model.projector`.

    A layer that makes several tokens of one pooled feature (prefix_length > 1) gets the same map for each, told apart
    by seeded noise of `noise` times the map's own spread.

    Args:
        model: The model; its projector is changed in place.
        inputs: (photos, feature_dim) mean feature of each photo.
        targets: (photos, hidden) mean embedding of its captions.
        ridge: See `ridge_map`.
        noise: Spread of the noise, as a share of the weight's standard deviation.
        seed: Seed of the noise.

    Returns:
        The share of the targets' variance the map explains.
    """
    weight, bias, explained = ridge_map(inputs, targets, ridge=ridge)
    projector = model.projector
    copies = projector.out_features // len(bias)
    whole = weight.repeat(copies, 1)
    if copies > 1:
        generator = torch.Generator().manual_seed(seed)
        whole += torch.randn(whole.shape, generator=generator) * weight.std() * noise
    with torch.no_grad():
        projector.weight.copy_(whole)
        projector.bias.copy_(bias.repeat(copies))
    return explained
