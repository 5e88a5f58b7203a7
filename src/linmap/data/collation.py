"""From captioned photos to a training batch: image placeholders, prompt, caption, one eos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from linmap.data.images import UnreadableImages
from linmap.errors import CaptionDataError

if TYPE_CHECKING:
    from PIL.Image import Image
    from transformers import ProcessorMixin

__all__ = ["IGNORED_LABEL", "CaptionCollator"]

IGNORED_LABEL = -100
"""The label of a position that is not scored, as everywhere in transformers."""

_TAKEN_AWAY = (
    "If they were in the dataset, the Trainer took them away: set remove_unused_columns=False in TrainingArguments."
)


class CaptionCollator:
    """Makes a batch of `{"image" | "image_features", "caption"}` examples; the caption and one eos are scored.

    A row reads `[bos] <image> x num_image_tokens, prompt, caption, eos, padding`. What stands before the caption comes
    from the processor, so it is what generation starts from. The caption is tokenised by itself, with one blank in
    front (none for tokenizers that put it there themselves), so the text after the prompt starts as it
    does in generation.
    Placeholders, prompt and padding are not scored, also where the padding id is the eos id.

    A `Trainer` needs `TrainingArguments(remove_unused_columns=False)`: by default it takes photos and captions out of
    the examples before they come here, because the model's `forward` does not name them.

    Args:
        processor: A `LinearVisionPrefixProcessor`.
        prompt: Text between image and caption; `None` takes `processor.prompt`, `""` is none.
        max_caption_tokens: Longer captions are cut to so many tokens (eos not counted), and end without an eos, since
            the sentence does not end there. `None` keeps all.
        unreadable: Counts photos that cannot be read; their examples are left out of the batch up to its limit. By
            default the first one is an error. Each worker process of a data loader counts on its own.

    Example:
        ```python
        collator = CaptionCollator(processor)
        batch = collator([{"image": "dog.jpg", "caption": "a dog runs"}])
        model(**batch).loss
        ```
    """

    def __init__(
        self,
        processor: ProcessorMixin,
        prompt: str | None = None,
        max_caption_tokens: int | None = None,
        *,
        unreadable: UnreadableImages | None = None,
    ) -> None:
        self.processor = cast("Any", processor)
        self.prompt: str = self.processor.prompt if prompt is None else prompt
        self.max_caption_tokens = max_caption_tokens
        self.unreadable = unreadable if unreadable is not None else UnreadableImages()
        tokenizer = self.processor.tokenizer
        if tokenizer.eos_token_id is None:
            raise CaptionDataError("The tokenizer has no eos token, so captions could never end; set one.")
        self._eos: int = tokenizer.eos_token_id
        self._pad: int = self._eos if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        # SentencePiece tokenizers put a blank in front of every text; a second one would be a token of its own.
        self._blank = "" if tokenizer.tokenize("a")[0].startswith("▁") else " "
        self._prefix: np.ndarray | None = None

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """The batch of `examples`.

        Args:
            examples: All with `"image"` (a path, an `EncodedPhoto` or a PIL picture) or all with `"image_features"`
                (tensor or array, tokens x feature_dim, of one shape), each with `"caption"`.

        Returns:
            `input_ids`, `attention_mask`, `labels`: int64, rows x longest row, padded on the right; and `pixel_values`
            (rows x 3 x height x width) or `image_features` (rows x tokens x feature_dim).

        Raises:
            CaptionDataError: Names the example: its caption is missing, empty, or holds an eos or image token.
            UnreadableImageError: Names the photo.
        """
        if not examples:
            raise CaptionDataError("An empty batch: give at least one example.")
        vision, examples = self._vision(examples)
        captions = self._caption_ids(examples)
        if self._prefix is None:
            first = {name: values[:1] for name, values in vision.items() if name == "image_features"}
            self._prefix = self._prefix_ids(first)
        return {**self._text(self._prefix, captions), **vision}

    def _vision(self, examples: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Tensor], Sequence[Mapping[str, Any]]]:
        """What the encoder sees, and the examples whose photo could be read."""
        kinds = {kind for example in examples for kind in ("image", "image_features") if kind in example}
        if not kinds:
            raise CaptionDataError(
                f'No example of this batch has "image" or "image_features"; found {_keys(examples[0])}. {_TAKEN_AWAY}'
            )
        if "image_features" in examples[0] and all("image_features" in example for example in examples):
            features = [torch.as_tensor(example["image_features"]) for example in examples]
            for index, feature in enumerate(features):
                if feature.shape != features[0].shape or feature.ndim != 2:
                    found = f"features of shape {tuple(feature.shape)}, the first one {tuple(features[0].shape)}"
                    raise CaptionDataError(f"{_named(examples, index)} has {found}; expected (tokens, feature_dim).")
            return {"image_features": torch.stack(features)}, examples
        if not all("image" in example for example in examples):
            raise CaptionDataError(
                f'Every example of a batch needs "image", or every one "image_features"; found {sorted(kinds)} mixed '
                "or missing."
            )
        read = [(example, self.unreadable.open(example["image"])) for example in examples]
        images = [image for _, image in read if image is not None]
        if not images:
            raise CaptionDataError(
                f"None of the {len(examples)} photos of a batch can be read: {read[0][0]['image']}, ..."
            )
        return {"pixel_values": self._pixels(images)}, [example for example, image in read if image is not None]

    def _pixels(self, images: list[Image]) -> Tensor:
        return self.processor.image_processor(images, return_tensors="pt")["pixel_values"]

    def _prefix_ids(self, features: dict[str, Tensor]) -> np.ndarray:
        """Ids of one row before its caption, the same for every row: laid out by the processor, once."""
        if features:
            inputs = self.processor(**features, text=[self.prompt], return_tensors="pt")
        else:
            from PIL import Image

            inputs = self.processor(images=[Image.new("RGB", (8, 8))], text=[self.prompt], return_tensors="pt")
        return inputs["input_ids"][0].numpy()

    def _caption_ids(self, examples: Sequence[Mapping[str, Any]]) -> list[list[int]]:
        texts = []
        for index, example in enumerate(examples):
            if "caption" not in example:
                raise CaptionDataError(
                    f'{_named(examples, index)} has no "caption"; found {_keys(example)}. {_TAKEN_AWAY}'
                )
            caption = example["caption"]
            if not isinstance(caption, str):
                raise CaptionDataError(
                    f'{_named(examples, index)} has the caption {caption!r}; expected "caption": text.'
                )
            if not caption.strip():
                raise CaptionDataError(f"{_named(examples, index)} has an empty caption; mend it or take it out.")
            texts.append(self._blank + caption.strip())
        ids: list[list[int]] = self.processor.tokenizer(texts, add_special_tokens=False)["input_ids"]
        reserved = {self._eos, self.processor.image_token_id}
        rows = []
        for index, row in enumerate(ids):
            if not row or not reserved.isdisjoint(row):
                why = "reads as an eos or image token" if row else "has no token"
                raise CaptionDataError(
                    f"{_named(examples, index)}: caption {texts[index]!r} {why}; mend it or take it out."
                )
            cut = self.max_caption_tokens is not None and len(row) > self.max_caption_tokens
            rows.append(row[: self.max_caption_tokens] if cut else [*row, self._eos])
        return rows

    def _text(self, prefix: np.ndarray, captions: list[list[int]]) -> dict[str, Tensor]:
        start = len(prefix)
        shape = (len(captions), start + max(map(len, captions)))
        input_ids = np.full(shape, self._pad, dtype=np.int64)
        attention_mask = np.zeros(shape, dtype=np.int64)
        labels = np.full(shape, IGNORED_LABEL, dtype=np.int64)
        input_ids[:, :start] = prefix
        for row, caption in enumerate(captions):
            end = start + len(caption)
            input_ids[row, start:end] = labels[row, start:end] = caption
            attention_mask[row, :end] = 1
        arrays = {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _keys(example: Mapping[str, Any]) -> str:
    return f"the keys {', '.join(example) or '(none)'}"


def _named(examples: Sequence[Mapping[str, Any]], index: int) -> str:
    """Names an example: its place in the batch, and `"name"` or the photo where there is one."""
    known = examples[index].get("name") or examples[index].get("image")
    return f"Example {index} of the batch" + (f" ({known})" if known is not None else "")
