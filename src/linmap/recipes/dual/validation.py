"""What is looked at while a dual encoder trains: retrieval both ways and the loss, on photos it does not learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from linmap.data.pairs import photo_ids
from linmap.evaluation.retrieval import RetrievalScores, retrieval_recall
from linmap.recipes.dual.pairs import PairSplit

if TYPE_CHECKING:
    from linmap.dual.modeling import DualEncoderModel
    from linmap.dual.processing import DualEncoderProcessor

__all__ = ["RetrievalValidation"]

FEATURES_AT_ONCE = 4096


class RetrievalValidation:
    """The validation photos and captions, and how well the model, as it is at the moment, finds one by the other.

    Args:
        model: The model in training; put into eval mode before it embeds.
        processor: Its processor.
        split: The validation photos.
        batch_size: Photos encoded at a time.
    """

    def __init__(
        self, model: DualEncoderModel, processor: DualEncoderProcessor, split: PairSplit, *, batch_size: int
    ) -> None:
        self.model = model
        self.processor = processor
        self.split = split
        self.batch_size = batch_size
        self.owners = split.photo_of_caption
        self.ids = torch.tensor(photo_ids([photo.image for photo in split.photos]))

    def numbers(self) -> dict[str, float]:
        """What is logged at an evaluation.

        Returns:
            `loss` in nats a pair, over one caption of each photo, all compared at once; recall at 1, 5 and 10 both
            ways in percent (`text_to_image_R@1`, …); `recall`, the mean of R@10 of the two ways.
        """
        images, texts = self._embeddings()
        scores = retrieval_recall(images, texts, self.owners)
        return {"loss": self._loss(images, texts), **_named(scores)}

    def scores(self) -> RetrievalScores:
        """Recall both ways, and chance."""
        return retrieval_recall(*self._embeddings(), self.owners)

    @torch.no_grad()
    def _embeddings(self) -> tuple[Tensor, Tensor]:
        """(photos, channels) and (captions, channels), both normalised, on the CPU."""
        from linmap.dual.embedding import embed_photos, embed_texts

        model = self.model.eval()
        if self.split.image_features is not None:
            parts = self.split.image_features[:, 0].split(FEATURES_AT_ONCE)
            images = torch.cat([model.get_image_features(image_features=part.float()).cpu() for part in parts])
        else:
            files = [photo.image for photo in self.split.photos]
            images = embed_photos(model, self.processor, files, batch_size=self.batch_size).features
        if self.split.text_features is not None:
            parts = self.split.text_features.split(FEATURES_AT_ONCE)
            return images, torch.cat([model.get_text_features(text_features=part.float()).cpu() for part in parts])
        return images, embed_texts(model, self.processor, self.split.captions)

    def _loss(self, images: Tensor, texts: Tensor) -> float:
        """One caption each: the first of the first photo, the second of the second, and so on in turn."""
        from linmap.dual.losses import sigmoid_loss, softmax_loss

        start, rows = 0, []
        for index, photo in enumerate(self.split.photos):
            rows.append(start + index % len(photo.captions))
            start += len(photo.captions)
        scale = self.model.logit_scale.detach().exp().cpu()
        if self.model.logit_bias is not None and self.model.config.loss == "sigmoid":
            bias = self.model.logit_bias.detach().cpu()
            return float(sigmoid_loss(images, texts[rows], scale, bias, self.ids, across_processes=False))
        return float(softmax_loss(images, texts[rows], scale, self.ids, across_processes=False))


def _named(scores: RetrievalScores) -> dict[str, float]:
    ways = {"text_to_image": scores.text_to_image, "image_to_text": scores.image_to_text}
    named = {f"{way}_{name}": value for way, recall in ways.items() for name, value in recall.items()}
    return {**named, "recall": (scores.text_to_image["R@10"] + scores.image_to_text["R@10"]) / 2}
