"""What is looked at while a dual encoder trains: retrieval both ways and the loss, on photos it does not learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from linmap.recipes.pairs import PairSplit
from linmap.recipes.retrieval import RetrievalValidation

if TYPE_CHECKING:
    from linmap.dual.modeling import DualEncoderModel
    from linmap.dual.processing import DualEncoderProcessor

__all__ = ["DualValidation"]

FEATURES_AT_ONCE = 4096


class DualValidation(RetrievalValidation):
    """`RetrievalValidation` of a dual encoder.

    Args:
        model: The model in training; put into eval mode before it embeds.
        processor: Its processor.
        split: The validation photos.
        batch_size: Photos encoded at a time.
    """

    def __init__(
        self, model: DualEncoderModel, processor: DualEncoderProcessor, split: PairSplit, *, batch_size: int
    ) -> None:
        super().__init__(split)
        self.model = model
        self.processor = processor
        self.batch_size = batch_size

    @torch.no_grad()
    def embeddings(self) -> tuple[Tensor, Tensor]:
        """See `RetrievalValidation`."""
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

    def loss(self, images: Tensor, texts: Tensor, ids: Tensor) -> float:
        """That of the model, over all pairs."""
        from linmap.contrastive.losses import sigmoid_loss, softmax_loss

        scale = self.model.logit_scale.detach().exp().cpu()
        if self.model.logit_bias is not None and self.model.config.loss == "sigmoid":
            bias = self.model.logit_bias.detach().cpu()
            return float(sigmoid_loss(images, texts, scale, bias, ids, across_processes=False))
        return float(softmax_loss(images, texts, scale, ids, across_processes=False))
