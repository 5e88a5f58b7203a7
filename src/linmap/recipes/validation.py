"""What is looked at while training: loss on unseen photos, captions of a few, CIDEr-D if the recipe chooses by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image

from linmap.data.captions import Captioned
from linmap.data.feature_store import StoredFeatures
from linmap.data.images import Photo, open_photo
from linmap.recipes.callbacks import SamplePage
from linmap.recipes.examples import CaptionExamples, Rows, caption_lengths
from linmap.recipes.schema import EvaluationRecipe

if TYPE_CHECKING:
    from linmap.prefix.modeling import LinearVisionPrefixModel
    from linmap.prefix.processing import LinearVisionPrefixProcessor

__all__ = ["Split", "Validation"]


@dataclass(frozen=True)
class Split:
    """The readable photos of a split and, if they were encoded beforehand, their features.

    Args:
        photos: The photos with their captions.
        features: (photos, cells, feature_dim), in memory or on disk.
        shown: Where the photos lie, for those who look at them; None: they are themselves, `photos[i].image`.
    """

    photos: Sequence[Captioned]
    features: Rows | None
    shown: Callable[[Captioned], Photo | None] | None = None

    def first(self, count: int | None) -> Split:
        """The first photos alone; None: all."""
        return Split(self.photos[:count], None if self.features is None else _first(self.features, count), self.shown)

    def picture(self, photo: Captioned) -> Image.Image | None:
        """The photo to look at; None where only its features are here."""
        place = photo.image if self.shown is None else self.shown(photo)
        return None if place is None else open_photo(place)


def _first(features: Rows, count: int | None) -> Rows:
    return features.first(count) if isinstance(features, StoredFeatures) else features[:count]


class Validation:
    """The validation photos and what the model, as it is at the moment, makes of them.

    Args:
        recipe: How many photos, how long a caption, how large a batch.
        model: The model in training; put into eval mode before it captions.
        processor: Its processor.
        split: The validation photos.
    """

    def __init__(
        self,
        recipe: EvaluationRecipe,
        model: LinearVisionPrefixModel,
        processor: LinearVisionPrefixProcessor,
        split: Split,
    ) -> None:
        self.recipe = recipe
        self.model = model
        self.processor = processor
        self.split = split

    def examples(self) -> CaptionExamples:
        """One caption of each photo, sorted by length: the loss does not depend on the order, the padding does."""
        examples = CaptionExamples.one_caption_each(self.split.photos, self.split.features)
        lengths = caption_lengths(self.processor.tokenizer, [caption for _, caption in examples.pairs])
        order = sorted(range(len(lengths)), key=lengths.__getitem__)
        return CaptionExamples(self.split.photos, [examples.pairs[i] for i in order], self.split.features)

    def captions(self, count: int) -> list[str]:
        """Greedy captions of the first `count` photos."""
        self.model.eval()
        captions: list[str] = []
        for start in range(0, count, self.recipe.batch_size):
            stop = min(start + self.recipe.batch_size, count)
            if self.split.features is not None:
                inputs = self.processor(image_features=self.split.features[start:stop].float(), return_tensors="pt")
            else:
                pictures = [open_photo(photo.image) for photo in self.split.photos[start:stop]]
                inputs = self.processor(images=pictures, return_tensors="pt")
            with torch.no_grad():
                generated = self.model.generate(
                    **inputs.to(self.model.projector.weight.device),
                    max_new_tokens=self.recipe.max_new_tokens,
                    do_sample=False,
                    num_beams=1,
                )
            captions += self.processor.caption(generated)
        return captions

    def sample_page(self, folder: Path) -> SamplePage:
        """The callback that writes samples.md into `folder`."""
        shown = self.split.photos[: self.recipe.samples]
        return SamplePage(
            folder,
            [self.split.picture(photo) for photo in shown],
            [photo.captions[0] for photo in shown],
            lambda: self.captions(len(shown)),
            names=[str(photo.image) for photo in shown],
        )

    def numbers(self) -> Callable[[], dict[str, float]] | None:
        """What `CaptionTrainer` logs beside the loss: CIDEr-D of greedy captions, if the recipe chooses by it."""
        if self.recipe.metric != "cider":
            return None
        from linmap.evaluation import cider_d

        references = [list(photo.captions) for photo in self.split.photos]

        def cider() -> dict[str, float]:
            score = cider_d(self.captions(len(references)), references, tokenizer=self.recipe.tokenizer)
            return {"cider": score.value}

        return cider
