"""Photos and captions as pairs for contrastive learning: whose photo is whose, and batches of them."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from PIL import Image
from torch import Tensor

from linmap.data.captions import Captioned
from linmap.data.crops import cropped
from linmap.data.images import EncodedPhoto, Photo, open_photo
from linmap.errors import CaptionDataError

if TYPE_CHECKING:
    from transformers import ProcessorMixin

__all__ = [
    "TAKEN_AWAY",
    "DualPairCollator",
    "checked_text",
    "ids_of_photos",
    "number_of_text",
    "pair_examples",
    "photo_ids",
    "pixels_of_photos",
]

TAKEN_AWAY = "If it was in the dataset, the Trainer took it away: set remove_unused_columns=False in TrainingArguments."


def photo_ids(photos: Sequence[Photo]) -> list[int]:
    """A number for each photo; files of the same bytes have the same one, wherever they lie.

    Only files of equal size are read to be compared.

    Returns:
        For each photo the index of the first that is the same.

    Example:
        >>> photo_ids([EncodedPhoto("a", b"1"), EncodedPhoto("b", b"2"), EncodedPhoto("copy of a", b"1")])
        [0, 1, 0]
    """
    sizes = [_size(photo) for photo in photos]
    several = {size for size, count in Counter(sizes).items() if count > 1}
    first: dict[Any, int] = {}
    return [
        first.setdefault((size, _content(photo) if size in several else None), index)
        for index, (photo, size) in enumerate(zip(photos, sizes, strict=True))
    ]


def pair_examples(captioned: Iterable[Captioned]) -> list[dict[str, Any]]:
    """One training example a caption, `{"image": ..., "caption": ..., "image_id": ...}`, for `DualPairCollator`.

    Captions of one photo, and of photos whose files are equal, have the same `image_id`.

    Example:
        >>> examples = pair_examples([Captioned(Image.new("RGB", (8, 8)), ("a dog", "a brown dog"))])
        >>> [(example["caption"], example["image_id"]) for example in examples]
        [('a dog', 0), ('a brown dog', 0)]
    """
    records = list(captioned)
    return [
        {"image": record.image, "caption": caption, "image_id": number}
        for record, number in zip(records, photo_ids([record.image for record in records]), strict=True)
        for caption in record.captions
    ]


class DualPairCollator:
    """Makes a batch of `{"image", "caption", "image_id"}` examples for a dual encoder.

    A tower that is locked may get its features instead: `"image_features"` for `"image"`, `"text_features"` for
    `"caption"`, each of shape `(channels,)`. `"mirrored": True` shows a photo mirrored left to right, and
    `"crop": (left, top, right, bottom)`, in shares of its sides, that part of it alone.

    Photos of the same `image_id` are never each other's negatives. Where no example has one, photos of the same path
    count as the same photo, and so do pictures of the same content, in all processes.

    A `Trainer` needs `TrainingArguments(remove_unused_columns=False)`: by default it takes photos and captions out of
    the examples before they come here, because the model's `forward` does not name them.

    Args:
        processor: A `DualEncoderProcessor`.

    Example:
        ```python
        collator = DualPairCollator(processor)
        batch = collator([{"image": "dog.jpg", "caption": "a dog runs", "image_id": 0}])
        model(**batch).loss
        ```
    """

    def __init__(self, processor: ProcessorMixin) -> None:
        self.processor = cast("Any", processor)

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The batch of `examples`, pair by pair.

        Returns:
            `pixel_values` (pairs, 3, height, width) or `image_features` (pairs, channels); `input_ids` and
            `attention_mask` (pairs, length) or `text_features` (pairs, channels); `image_ids` (pairs,) int64; and
            `return_loss`, True.

        Raises:
            CaptionDataError: Names the example that lacks something.
            UnreadableImageError: Names the photo.
        """
        if not examples:
            raise CaptionDataError("An empty batch: give at least one example.")
        images = _kind(examples, "image", "image_features")
        texts = _kind(examples, "caption", "text_features")
        if images != "image" and all(example.get("image_id") is None for example in examples):
            raise CaptionDataError('Features do not say whose photo they are of: give each example its "image_id".')
        batch: dict[str, Any] = {"image_ids": ids_of_photos(examples), "return_loss": True}
        if images == "image":
            batch["pixel_values"] = pixels_of_photos(examples, self.processor.image_processor)
        else:
            batch["image_features"] = _stacked(examples, images)
        if texts == "caption":
            batch |= self._tokens(examples)
        else:
            batch["text_features"] = _stacked(examples, texts)
        return batch

    def _tokens(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        texts = [checked_text(example, "caption", index) for index, example in enumerate(examples)]
        return dict(self.processor(text=texts, return_tensors="pt"))


def pixels_of_photos(examples: Sequence[Mapping[str, Any]], image_processor: Any) -> Tensor:
    """The photos of some examples as an encoder sees them, opened by threads; `"crop"` and `"mirrored"` are heeded.

    Args:
        examples: Each with `"image"`.
        image_processor: What prepares them.

    Returns:
        (examples, 3, height, width) float.

    Raises:
        UnreadableImageError: Names the photo.
    """
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        pictures = list(pool.map(_shown, examples))
    pixels = image_processor(images=pictures, return_tensors="pt")["pixel_values"]
    mirrored = [row for row, example in enumerate(examples) if example.get("mirrored")]
    if mirrored:
        pixels[mirrored] = pixels[mirrored].flip(-1)
    return pixels


def checked_text(example: Mapping[str, Any], key: str, index: int) -> str:
    """The text that an example has under `key`.

    Args:
        example: The example.
        key: Such as `"caption"`.
        index: Its place in the batch.

    Raises:
        CaptionDataError: It has none, or an empty one.
    """
    text = example.get(key)
    if not isinstance(text, str) or not text.strip():
        what = key.replace("_", " ")
        raise CaptionDataError(f"Example {index} of the batch has the {what} {text!r}; give it a text or take it out.")
    return text


def _shown(example: Mapping[str, Any]) -> Image.Image:
    """The photo of an example, or the part of it that is to be seen."""
    picture = open_photo(example["image"])
    return cropped(picture, example["crop"]) if example.get("crop") else picture


def _kind(examples: Sequence[Mapping[str, Any]], plain: str, features: str) -> str:
    """Which of the two keys all examples have."""
    for key in (features, plain):
        if all(key in example for example in examples):
            return key
    index, lacking = next((i, example) for i, example in enumerate(examples) if plain not in example)
    found = ", ".join(lacking) or "(none)"
    raise CaptionDataError(
        f'Every example of a batch needs "{plain}", or every one "{features}"; example {index} has the keys {found}. '
        f"{TAKEN_AWAY}"
    )


def ids_of_photos(examples: Sequence[Mapping[str, Any]]) -> Tensor:
    """(examples,) int64: the `"image_id"` of each, or a number of its photo's path or content where none has one.

    Raises:
        CaptionDataError: Some have one, and others have none.
    """
    given = [example.get("image_id") for example in examples]
    if all(number is not None for number in given):
        return torch.tensor([int(cast("int", number)) for number in given])
    if any(number is not None for number in given):
        raise CaptionDataError(
            f'Example {given.index(None)} of the batch has no "image_id", and others have; give it to all or to none.'
        )
    return torch.tensor([_number_of(example["image"]) for example in examples])


def _number_of(photo: Photo) -> int:
    """The same for the same photo in every batch and process: 63 bits of the digest of its path or its content."""
    return number_of_text(str(photo) if isinstance(photo, str | Path) else _content(photo))


def number_of_text(text: str) -> int:
    """63 bits of the digest of a text, the same in every process."""
    return int.from_bytes(hashlib.sha256(text.encode(errors="surrogatepass")).digest()[:8], "big") >> 1


def _stacked(examples: Sequence[Mapping[str, Any]], key: str) -> Tensor:
    features = [torch.as_tensor(example[key]) for example in examples]
    for index, feature in enumerate(features):
        if feature.ndim != 1 or feature.shape != features[0].shape:
            raise CaptionDataError(
                f"Example {index} of the batch has {key} of shape {tuple(feature.shape)}, the first one "
                f"{tuple(features[0].shape)}; expected (channels,), all alike."
            )
    return torch.stack(features).float()


def _size(photo: Photo) -> tuple[Any, ...]:
    if isinstance(photo, Image.Image):
        return (photo.mode, photo.size)
    if isinstance(photo, EncodedPhoto):
        return (len(photo.data),)
    path = Path(photo)
    return (path.stat().st_size,) if path.is_file() else (str(path),)


def _content(photo: Photo) -> str:
    if isinstance(photo, Image.Image):
        data = photo.tobytes()
    elif isinstance(photo, EncodedPhoto):
        data = photo.data
    else:
        path = Path(photo)
        data = path.read_bytes() if path.is_file() else str(path).encode()
    return hashlib.sha256(data).hexdigest()
