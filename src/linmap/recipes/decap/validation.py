"""What is looked at beside the loss: CIDEr-D of captions for photos, on the way and by every strategy at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from linmap.evaluation.captioning import derangement
from linmap.recipes.decap.assembly import DeCapParts
from linmap.recipes.decap.latents import PhotoSplit
from linmap.recipes.decap.model_schema import STRATEGIES
from linmap.recipes.decap.schema import DeCapRecipe

if TYPE_CHECKING:
    from linmap.decap.memory import SupportMemory

__all__ = ["PhotoValidation", "require_scorer"]


def require_scorer(tokenizer: str) -> None:
    """Scores two words, so that a missing Java or pycocoevalcap is said before the training, not after it."""
    from linmap.evaluation.cider import cider_d

    cider_d(["a", "b"], [["a"], ["b"]], tokenizer=tokenizer)


class PhotoValidation:
    """The evaluation photos, and how well the model, as it is at the moment, captions them.

    Args:
        recipe: Strategy, lengths, tokenizer of the scores.
        parts: The model in training; put into eval mode before it captions.
        photos: The photos and their latents.
        memory: What the strategies ask; lent to the model for as long as it captions, so that checkpoints do not hold
            it again and again.
    """

    def __init__(
        self, recipe: DeCapRecipe, parts: DeCapParts, photos: PhotoSplit, memory: SupportMemory | None
    ) -> None:
        assert recipe.evaluation.photos is not None  # there are photos
        self.recipe = recipe
        self.parts = parts
        self.photos = photos
        self.memory = memory
        self.tokenizer = recipe.evaluation.photos.tokenizer

    def numbers(self) -> dict[str, float]:
        """What is logged at an evaluation: `cider_d` of greedy captions by the recipe's strategy."""
        strategy = self.recipe.model.strategy
        return {"cider_d": self._cider_d(self.captions(strategy, do_sample=False, num_beams=1))}

    def table(self) -> dict[str, dict[str, float]]:
        """CIDEr-D of each strategy, as the model captions by default, and of its blind control.

        The blind control is given another photo's latent. A caption depends on its own latent alone, so its captions
        are those of the other photos, and nothing has to be decoded again.

        Returns:
            strategy -> `cider_d`, `blind`; without a memory `visual` alone.
        """
        order = derangement(len(self.photos.photos))
        table = {}
        for strategy in STRATEGIES if self.memory is not None else ("visual",):
            captions = self.captions(strategy)
            blind = [captions[other] for other in order]
            table[strategy] = {"cider_d": self._cider_d(captions), "blind": self._cider_d(blind)}
        return table

    def captions(self, strategy: str, **generation: Any) -> list[str]:
        """One caption a photo, in order."""
        from linmap.decap.captioning import caption_latents

        model, processor, _ = self.parts
        model.eval()
        with self._memory_lent():
            return [
                caption
                for latents in self.photos.latents.split(self.recipe.evaluation.batch_size)
                for caption, _ in caption_latents(model, processor, latents, strategy=strategy, **generation)
            ]

    def _cider_d(self, captions: list[str]) -> float:
        from linmap.evaluation.cider import cider_d

        return cider_d(captions, self.photos.references, tokenizer=self.tokenizer).value

    @contextmanager
    def _memory_lent(self) -> Iterator[None]:
        model = self.parts.model
        own, model.memory = model.memory, self.memory
        try:
            yield
        finally:
            model.memory = own
