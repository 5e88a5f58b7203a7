"""What the Trainer draws from: every caption with its photo, in batches that hold a photo once where that can be."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from linmap.data.captions import Captioned
from linmap.data.pairs import photo_ids
from linmap.recipes.examples import ShuffledExamples

__all__ = ["PairExamples", "PairSplit", "PhotosApart", "even_batch_size"]


@dataclass(frozen=True)
class PairSplit:
    """The readable photos of a split with their captions and, of locked towers, the features of both.

    Args:
        photos: The photos.
        image_features: (photos, views, channels); None where the image tower sees the photos themselves. The second
            view is the mirrored photo.
        text_features: (captions, channels), in the order of `captions`; None where the text tower reads them itself.
    """

    photos: list[Captioned]
    image_features: Tensor | None
    text_features: Tensor | None

    @property
    def captions(self) -> list[str]:
        """All captions, photo by photo."""
        return [caption for photo in self.photos for caption in photo.captions]

    @property
    def photo_of_caption(self) -> list[int]:
        """For each caption the index of its photo."""
        return [index for index, photo in enumerate(self.photos) for _ in photo.captions]


class PairExamples(Dataset[dict[str, Any]]):
    """Every caption with its photo, once for each view of the photo: example `view * pairs + pair`.

    Args:
        split: Photos, captions, features.
        views: 2 to have each photo mirrored, too.
        ids: Number of each photo, equal photos having the same; None looks at the photos.
    """

    def __init__(self, split: PairSplit, *, views: int = 1, ids: Sequence[int] | None = None) -> None:
        self.split = split
        self.views = views
        self.captions = split.captions
        self.photo_of_caption = split.photo_of_caption
        ids = photo_ids([photo.image for photo in split.photos]) if ids is None else ids
        self.image_ids = [ids[photo] for photo in self.photo_of_caption]

    def __len__(self) -> int:
        return self.views * len(self.captions)

    def __getitem__(self, index: int) -> dict[str, Any]:
        view, pair = divmod(index, len(self.captions))
        photo = self.photo_of_caption[pair]
        example: dict[str, Any] = {"image_id": self.image_ids[pair]}
        if self.split.image_features is not None:
            example["image_features"] = self.split.image_features[photo, view]
        else:
            example |= {"image": self.split.photos[photo].image, "mirrored": view == 1}
        if self.split.text_features is not None:
            example["text_features"] = self.split.text_features[pair]
        else:
            example["caption"] = self.captions[pair]
        return example


class PhotosApart(ShuffledExamples):
    """Every pair once an epoch, in batches that hold no photo twice unless it has more captions than there are batches.

    The captions of a photo go to the emptiest batches, drawn at random among those equally empty. Which view of its
    photo a pair shows is drawn anew each epoch. Both follow from (seed, epoch) alone.

    Args:
        image_ids: The photo of each pair.
        batch_size: Pairs in a batch; the last one takes what is left.
        views: Views of each photo; see `PairExamples` for how they are numbered.
        seed: Seed of the order.
    """

    def __init__(self, image_ids: Sequence[int], batch_size: int, *, views: int = 1, seed: int = 0) -> None:
        super().__init__(len(image_ids), seed=seed)
        self.batch_size = batch_size
        self.views = views
        self._pairs_of_photo: dict[int, list[int]] = defaultdict(list)
        for pair, photo in enumerate(image_ids):
            self._pairs_of_photo[photo].append(pair)

    def order(self, generator: torch.Generator) -> list[int]:
        """The order of one epoch."""
        batches = self._batches(generator)
        whole = [batch for batch in batches if len(batch) == self.batch_size]
        rest = [batch for batch in batches if len(batch) < self.batch_size]
        shuffled = [whole[i] for i in torch.randperm(len(whole), generator=generator).tolist()]
        pairs = torch.tensor([pair for batch in [*shuffled, *rest] for pair in batch], dtype=torch.long)
        view = torch.randint(self.views, (self.count,), generator=generator)
        return (view * self.count + pairs).tolist()

    def _batches(self, generator: torch.Generator) -> list[list[int]]:
        count = math.ceil(self.count / self.batch_size)
        room = torch.full((count,), float(self.batch_size))
        room[-1] = self.count - (count - 1) * self.batch_size
        batches: list[list[int]] = [[] for _ in range(count)]
        photos = list(self._pairs_of_photo.values())
        for photo in torch.randperm(len(photos), generator=generator).tolist():
            left = list(photos[photo])
            while left:  # more than once only for a photo with more captions than there are batches with room
                at_random = room + torch.rand(count, generator=generator)  # in [0, 1): decides between equal rooms
                for batch in at_random.topk(min(len(left), int((room > 0).sum()))).indices.tolist():
                    batches[batch].append(left.pop())
                    room[batch] -= 1
        return batches


def even_batch_size(pairs: int, largest: int) -> int:
    """The size of batches, at most `largest`, that leaves no small one at the end of an epoch.

    Example:
        >>> even_batch_size(30_000, 1024), even_batch_size(7, 1024)
        (1000, 7)
    """
    return math.ceil(pairs / math.ceil(pairs / largest))
