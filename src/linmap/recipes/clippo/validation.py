"""What is looked at while CLIPPO trains: retrieval both ways, the loss, and which caption is taken for a photo's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from linmap.recipes.pairs import PairSplit
from linmap.recipes.retrieval import RetrievalValidation

if TYPE_CHECKING:
    from linmap.clippo.modeling import ClippoModel
    from linmap.clippo.processing import ClippoProcessor

__all__ = ["ClippoValidation"]


class ClippoValidation(RetrievalValidation):
    """`RetrievalValidation` of CLIPPO.

    Args:
        model: The model in training; put into eval mode before it embeds.
        processor: Its processor.
        split: The validation photos.
        batch_size: Photos or texts embedded at a time.
        dtype: What matrices are multiplied in, as in training.
    """

    def __init__(
        self,
        model: ClippoModel,
        processor: ClippoProcessor,
        split: PairSplit,
        *,
        batch_size: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(split)
        self.model = model
        self.processor = processor
        self.batch_size = batch_size
        self.dtype = dtype
        self._embedded: tuple[Tensor, Tensor] | None = None

    @torch.no_grad()
    def embeddings(self) -> tuple[Tensor, Tensor]:
        """See `RetrievalValidation`."""
        from linmap.contrastive.embedding import embed_photos

        model, files = self.model.eval(), [photo.image for photo in self.split.photos]
        with torch.autocast(model.device.type, self.dtype, enabled=self.dtype != torch.float32):
            images = embed_photos(model, self.processor, files, batch_size=self.batch_size).features
            texts = self._texts(self.split.captions)
        self._embedded = images, texts
        return images, texts

    def _texts(self, texts: list[str]) -> Tensor:
        parts = []
        for start in range(0, len(texts), self.batch_size):
            inputs = self.processor(text=texts[start : start + self.batch_size], return_tensors="pt")
            words = {name.removeprefix("text_"): values for name, values in inputs.items()}
            parts.append(self.model.get_text_features(**words).float().cpu())
        return torch.cat(parts)

    def loss(self, images: Tensor, texts: Tensor, ids: Tensor) -> float:
        """Over all pairs."""
        from linmap.contrastive.losses import softmax_loss

        scale = self.model.logit_scale.detach().float().exp().cpu()
        return float(softmax_loss(images, texts, scale, ids, across_processes=False))

    def nearest(self, count: int) -> list[str]:
        """Of the first photos the caption, among those of all, that is nearest by the embeddings made last."""
        images, texts = self.embeddings() if self._embedded is None else self._embedded
        captions = self.split.captions
        return [captions[row] for row in (images[:count] @ texts.T).argmax(dim=1).tolist()]
