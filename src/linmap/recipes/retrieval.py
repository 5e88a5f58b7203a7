"""What is looked at while models learn from pairs: retrieval both ways and the loss, on photos not learned from."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from linmap.data.pairs import photo_ids
from linmap.evaluation.retrieval import RetrievalScores, retrieval_recall
from linmap.recipes.pairs import PairSplit

__all__ = ["RetrievalValidation"]


class RetrievalValidation(ABC):
    """The validation photos and captions, and how well a model, as it is at the moment, finds one by the other.

    Args:
        split: The validation photos.
    """

    def __init__(self, split: PairSplit) -> None:
        self.split = split
        self.owners = split.photo_of_caption
        self.ids = torch.tensor(photo_ids([photo.image for photo in split.photos]))

    @abstractmethod
    def embeddings(self) -> tuple[Tensor, Tensor]:
        """(photos, channels) and (captions, channels), both normalised, on the CPU."""

    @abstractmethod
    def loss(self, images: Tensor, texts: Tensor, ids: Tensor) -> float:
        """The loss of pairs (pairs, channels), nats a pair; those of the same id are never each other's negatives."""

    def numbers(self) -> dict[str, float]:
        """What is logged at an evaluation.

        Returns:
            `loss` in nats a pair, over one caption of each photo, all compared at once; recall at 1, 5 and 10 both
            ways in percent (`text_to_image_R@1`, …); `recall`, the mean of R@10 of the two ways.
        """
        images, texts = self.embeddings()
        scores = retrieval_recall(images, texts, self.owners)
        return {"loss": self.loss(images, texts[self._one_caption_each()], self.ids), **_named(scores)}

    def scores(self) -> RetrievalScores:
        """Recall both ways, and chance."""
        return retrieval_recall(*self.embeddings(), self.owners)

    def _one_caption_each(self) -> list[int]:
        """The first of the first photo, the second of the second, and so on in turn."""
        start, rows = 0, []
        for index, photo in enumerate(self.split.photos):
            rows.append(start + index % len(photo.captions))
            start += len(photo.captions)
        return rows


def _named(scores: RetrievalScores) -> dict[str, float]:
    ways = {"text_to_image": scores.text_to_image, "image_to_text": scores.image_to_text}
    named = {f"{way}_{name}": value for way, recall in ways.items() for name, value in recall.items()}
    return {**named, "recall": (scores.text_to_image["R@10"] + scores.image_to_text["R@10"]) / 2}
