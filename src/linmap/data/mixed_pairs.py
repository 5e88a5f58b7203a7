"""Batches of photos with captions and of texts with texts, for a tower that reads both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from linmap.data.pairs import TAKEN_AWAY, checked_text, ids_of_photos, number_of_text, pixels_of_photos
from linmap.errors import CaptionDataError

if TYPE_CHECKING:
    from transformers import ProcessorMixin

__all__ = ["MixedPairCollator"]


class MixedPairCollator:
    """Makes a batch of `{"image", "caption"}` and `{"first_caption", "caption"}` examples for CLIPPO.

    The photos come first in the batch, then the pairs of texts. Rows of the same `"image_id"` are never each other's
    negatives: give captions of a photo the photo's. Where no example has one, photos of the same path or content count
    as the same, and every pair of texts as another. `"mirrored": True` shows a photo mirrored left to right,
    `"crop": (left, top, right, bottom)`, in shares of its sides, that part of it alone. Texts are drawn (or tokenised)
    here, so in the worker processes of a data loader.

    A `Trainer` needs `TrainingArguments(remove_unused_columns=False)`: by default it takes photos and captions out of
    the examples before they come here, because the model's `forward` does not name them.

    Args:
        processor: A `ClippoProcessor`.

    Example:
        ```python
        collator = MixedPairCollator(processor)
        batch = collator([{"image": "dog.jpg", "caption": "a dog runs"}, {"first_caption": "hi", "caption": "hello"}])
        model(**batch).loss
        ```
    """

    def __init__(self, processor: ProcessorMixin) -> None:
        self.processor = cast("Any", processor)

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The batch of `examples`.

        Returns:
            `pixel_values` (photos, 3, S, S); `text_pixel_values` (pairs, 3, S, S), or `input_ids` and `attention_mask`
            (pairs, length); `first_` and the same of the text pairs' first texts; `image_ids` (pairs,) int64; and
            `return_loss`, True. What there is none of is left out.

        Raises:
            CaptionDataError: Names the example that lacks something.
            UnreadableImageError: Names the photo.
        """
        if not examples:
            raise CaptionDataError("An empty batch: give at least one example.")
        photos = [example for example in examples if "first_caption" not in example]
        pairs = [example for example in examples if "first_caption" in example]
        for index, example in enumerate(photos):
            if "image" not in example:
                found = ", ".join(example) or "(none)"
                raise CaptionDataError(
                    f'Example {index} of the batch has neither "image" nor "first_caption"; found the keys {found}. '
                    f"{TAKEN_AWAY}"
                )
        texts = self._texts([*photos, *pairs], "caption")
        batch: dict[str, Any] = {"return_loss": True, "image_ids": _ids(photos, pairs)}
        if photos:
            batch["pixel_values"] = pixels_of_photos(photos, self.processor.image_processor)
        batch |= texts
        if pairs:
            batch |= {f"first_{name}": values for name, values in self._texts(pairs, "first_caption").items()}
        return batch

    def _texts(self, examples: Sequence[Mapping[str, Any]], key: str) -> dict[str, Tensor]:
        texts = [checked_text(example, key, index) for index, example in enumerate(examples)]
        return dict(self.processor(text=texts, return_tensors="pt"))


def _ids(photos: Sequence[Mapping[str, Any]], pairs: Sequence[Mapping[str, Any]]) -> Tensor:
    """(rows,) int64; a pair of texts without a number gets one of its own below zero, which no photo has."""
    of_photos = ids_of_photos(photos).tolist() if photos else []
    of_pairs = [
        -1 - number_of_text(f"{pair['first_caption']}\n{pair['caption']}") if given is None else int(given)
        for pair in pairs
        for given in [pair.get("image_id")]
    ]
    return torch.tensor([*of_photos, *of_pairs], dtype=torch.int64)
