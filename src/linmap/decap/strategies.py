"""What is decoded for a photo, by name: the paper's projection (PD), the nearest text (NND), the photo itself (VD)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (its usual name)

from linmap.decap.configuration import DECODING, STRATEGIES
from linmap.errors import ConfigurationError, UnknownNameError

if TYPE_CHECKING:
    from linmap.decap.memory import SupportMemory

__all__ = ["SupportSentence", "latents_to_decode", "require_strategy", "support_of"]


@dataclass(frozen=True, slots=True)
class SupportSentence:
    """A caption of the memory that had a part in another caption.

    Args:
        caption: As it stands in the memory.
        weight: Its share in what was decoded, in (0, 1].
        index: Its row in the memory.
    """

    caption: str
    weight: float
    index: int


def require_strategy(strategy: str, memory: SupportMemory | None) -> SupportMemory | None:
    """The memory, if the strategy has one to ask.

    Raises:
        UnknownNameError: No such strategy.
        ConfigurationError: The strategy asks a memory, and there is none.
    """
    if strategy not in STRATEGIES:
        raise UnknownNameError("strategy", strategy, STRATEGIES)
    if strategy != "visual" and memory is None:
        raise ConfigurationError(
            f"The strategy {strategy!r} asks a support memory, and the model has none. Give it one, model.memory = "
            "SupportMemory.from_pretrained(DIR), made by linmap memory build; or decode the photo's own latent with "
            "strategy='visual'."
        )
    return memory if strategy != "visual" else None


def latents_to_decode(latents: Tensor, strategy: str, memory: SupportMemory | None, tau: float) -> Tensor:
    """Brings the latents of photos among those of texts (section 3.3).

    Args:
        latents: (photos, latent_dim) of photos, at any length.
        strategy: `"projection"`: the mean of the memory's latents, weighted with softmax(cosine / tau), normalised
            (equations 3 and 4); `"nearest"`: the memory's latent of highest cosine; `"visual"`: the latents themselves.
        memory: The support memory; `"visual"` needs none.
        tau: Temperature of the projection, above 0.

    Returns:
        (photos, latent_dim) float32, L2-normalised.
    """
    memory = require_strategy(strategy, memory)
    latents = F.normalize(latents.float(), dim=-1)
    if strategy == "projection" and memory is not None:
        return memory.project(latents, temperature=tau)
    if strategy == "nearest" and memory is not None:
        return memory.latents(memory.nearest(latents)).to(latents.device)
    if strategy == "visual":
        return latents
    raise ConfigurationError(f"The strategy {strategy!r} decodes nothing; those that do are {', '.join(DECODING)}.")


def support_of(
    latents: Tensor, strategy: str, memory: SupportMemory | None, tau: float, count: int
) -> list[list[SupportSentence]]:
    """The captions behind what is decoded for each photo, the weightiest first.

    Args:
        latents: (photos, latent_dim) of photos.
        strategy: With `"nearest"` and `"retrieval"` one caption has the whole weight, with `"visual"` none has any.
        memory: The support memory.
        tau: Temperature of the projection.
        count: Captions for each photo, at most.
    """
    memory = require_strategy(strategy, memory)
    if memory is None:
        return [[] for _ in latents]
    latents = F.normalize(latents.float(), dim=-1)
    if strategy == "projection":
        indices, weights = memory.support(latents, k=min(count, len(memory)), temperature=tau)
    else:
        indices = memory.nearest(latents)[:, None]
        weights = torch.ones(indices.shape)
    return [
        [SupportSentence(memory.captions[index], weight, index) for index, weight in zip(row, shares, strict=True)]
        for row, shares in zip(indices.tolist(), weights.tolist(), strict=True)
    ]
