"""Ways of captioning the same photos, side by side, and what the best of them owes to captions in general."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from linmap.errors import CaptionDataError, EvaluationError
from linmap.evaluation.caption_metrics import compare_captions
from linmap.evaluation.captioning import derangement

__all__ = ["ComparedStrategies", "compare_strategies"]


@dataclass(frozen=True, slots=True)
class ComparedStrategies:
    """Scores of every strategy on the same photos, and the control.

    Args:
        scores: For each strategy its metrics, as `compare_captions` gives them.
        blind: The same for the captions of `blind_of`, each held against another photo.
        blind_of: The strategy with the highest score among those that the control may be of.
        captions: For each strategy its captions, in the order of the photos.
        photos: How many.
    """

    scores: dict[str, dict[str, float]]
    blind: dict[str, float]
    blind_of: str
    captions: dict[str, tuple[str, ...]]
    photos: int

    @property
    def rows(self) -> dict[str, dict[str, float]]:
        """The scores with the control as the last row, `"blind"`."""
        return {**self.scores, "blind": self.blind}


def compare_strategies(
    latents: Tensor,
    references: Sequence[Sequence[str]],
    strategies: Mapping[str, Callable[[Tensor], Sequence[str]]],
    *,
    blind: Sequence[str] | None = None,
    tokenizer: str = "ptb",
    metrics: Sequence[str] | None = None,
    seed: int = 0,
) -> ComparedStrategies:
    """Captions all photos by each strategy, once, and scores the captions.

    The blind control is the best strategy with the photos shuffled: as a caption depends on its photo alone, these are
    its captions in another order, and cost nothing.

    Args:
        latents: (photos, dim); encoded once, for all strategies.
        references: At least one a photo.
        strategies: By name, each from all latents to as many captions.
        blind: Names of those whose best is shuffled, by the first of `metrics`; None takes all.
        tokenizer: See `caption_metrics`.
        metrics: As there.
        seed: Of the shuffle.

    Raises:
        CaptionDataError: A strategy gave another number of captions; and see `cider_d`.
        EvaluationError: There is no strategy.

    Example:
        >>> import torch
        >>> words = ["a dog runs on grass", "two men ride bicycles"]
        >>> copies = lambda latents: [words[row] for row in latents.argmax(dim=1)]
        >>> ways = {"copies": copies, "says": lambda latents: ["a dog"] * 2}
        >>> references = [[word] for word in words]
        >>> found = compare_strategies(torch.eye(2), references, ways, tokenizer="simple", metrics=["CIDEr-D"])
        >>> found.blind_of, {name: round(scores["CIDEr-D"]) for name, scores in found.rows.items()}
        ('copies', {'copies': 1000, 'says': 125, 'blind': 0})
    """
    if not strategies:
        raise EvaluationError("There is no strategy to measure; give at least one.")
    captions = {name: tuple(strategy(latents)) for name, strategy in strategies.items()}
    for name, written in captions.items():
        if len(written) != len(latents):
            raise CaptionDataError(
                f"The strategy {name!r} gave {len(written)} captions for {len(latents)} photos; expected one each."
            )
    scores = compare_captions(captions, references, tokenizer, metrics=metrics)
    best = max(captions if blind is None else blind, key=lambda name: next(iter(scores[name].values())))
    order = derangement(len(latents), seed)
    shuffled = {"blind": [captions[best][other] for other in order]}
    return ComparedStrategies(
        scores=scores,
        blind=compare_captions(shuffled, references, tokenizer, metrics=metrics)["blind"],
        blind_of=best,
        captions=captions,
        photos=len(latents),
    )
