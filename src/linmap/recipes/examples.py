"""What the Trainer draws from: one caption with its photo an example, in batches of captions about equally long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from transformers import PreTrainedTokenizerBase
from transformers.trainer_pt_utils import get_length_grouped_indices

from linmap.data.captions import Captioned
from linmap.data.feature_store import StoredPhotos

__all__ = ["CaptionExamples", "EveryCaption", "LengthGroupedBatches", "Rows", "ShuffledExamples", "caption_lengths"]

TOKENISED_AT_ONCE = 10_000  # captions, so that the tokens of millions never lie in memory together


class Rows(Protocol):
    """Encoded photos in memory or on disk: one is (cells, feature_dim), a slice (photos, cells, feature_dim)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any) -> Tensor: ...

    def __iter__(self) -> Iterator[Tensor]: ...


def caption_lengths(tokenizer: PreTrainedTokenizerBase, captions: Sequence[str]) -> list[int]:
    """Tokens of each caption with a space in front and no special tokens."""
    lengths: list[int] = []
    left = iter(captions)
    while part := [f" {caption}" for caption in islice(left, TOKENISED_AT_ONCE)]:
        lengths += [len(row) for row in tokenizer(part, add_special_tokens=False)["input_ids"]]
    return lengths


class EveryCaption(Sequence[tuple[int, str]]):
    """(index of the photo, caption) for every caption of every photo, each read when it is asked for.

    Args:
        photos: The photos with their captions.
    """

    def __init__(self, photos: Sequence[Captioned]) -> None:
        self.photos = photos
        counts = (
            photos.caption_counts()
            if isinstance(photos, StoredPhotos)
            else np.array([len(photo.captions) for photo in photos], dtype=np.int64)
        )
        self._ends = counts.cumsum()

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: Any) -> Any:  # an int gives a pair, a slice a list of them
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        photo = int(np.searchsorted(self._ends, number, side="right"))
        return photo, self.photos[photo].captions[number - (int(self._ends[photo - 1]) if photo else 0)]

    def __iter__(self) -> Iterator[tuple[int, str]]:
        return ((index, text) for index, photo in enumerate(self.photos) for text in photo.captions)


class CaptionExamples(Dataset[dict[str, Any]]):
    """One example for each (photo, caption), in the order of the photos.

    Args:
        photos: The photos with their captions.
        pairs: (index of the photo, caption) of each example.
        features: Encoded photos of shape (photos, cells, feature_dim), or None to give the photo itself.
    """

    def __init__(
        self, photos: Sequence[Captioned], pairs: Sequence[tuple[int, str]], features: Rows | None = None
    ) -> None:
        self.photos = photos
        self.pairs = pairs
        self.features = features

    @classmethod
    def every_caption(cls, photos: Sequence[Captioned], features: Rows | None = None) -> CaptionExamples:
        """Every caption of every photo."""
        return cls(photos, EveryCaption(photos), features)

    @classmethod
    def one_caption_each(cls, photos: Sequence[Captioned], features: Rows | None = None) -> CaptionExamples:
        """One caption of every photo: the first of the first photo, the second of the second, and so on in turn."""
        pairs = [(i, photo.captions[i % len(photo.captions)]) for i, photo in enumerate(photos)]
        return cls(photos, pairs, features)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        photo, caption = self.pairs[index]
        if self.features is not None:
            return {"image_features": self.features[photo].float(), "caption": caption}
        return {"image": self.photos[photo].image, "caption": caption}


class ShuffledExamples(Sampler[int]):
    """Every example once an epoch, in an order that (seed, epoch) alone decide, so that a resumed run meets it again.

    Args:
        count: Number of examples.
        seed: Seed of the order.
    """

    def __init__(self, count: int, *, seed: int = 0) -> None:
        self.count = count
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of this epoch; the Trainer calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        return iter(self.order(torch.Generator().manual_seed((self.seed << 20) + self.epoch)))

    def order(self, generator: torch.Generator) -> list[int]:
        """The order of one epoch."""
        return torch.randperm(self.count, generator=generator).tolist()


class LengthGroupedBatches(ShuffledExamples):
    """The same, in runs of `batch_size` examples about equally long, the runs themselves shuffled.

    transformers' own `LengthGroupedSampler` leaves the runs sorted from long to short, so that the loss and its
    gradient drift with a period of fifty steps; here short and long captions come mixed.

    Args:
        lengths: Length of each example, in tokens.
        batch_size: Examples in one batch.
        seed: Seed of the order.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, *, seed: int = 0) -> None:
        super().__init__(len(lengths), seed=seed)
        self.lengths = list(lengths)
        self.batch_size = batch_size

    def order(self, generator: torch.Generator) -> list[int]:
        """The order of one epoch; only its last batch may be shorter than `batch_size`."""
        indices = get_length_grouped_indices(self.lengths, self.batch_size, generator=generator)
        whole = len(indices) // self.batch_size * self.batch_size
        batches = [indices[start : start + self.batch_size] for start in range(0, whole, self.batch_size)]
        shuffled = [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
        return [index for batch in shuffled for index in batch] + indices[whole:]
