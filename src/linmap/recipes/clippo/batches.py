"""Mixed batches: so many photos and so many pairs of texts in each, the same for every process and after a resumption.

An example is named by where it stands and a number that decides what is random about it, both of which follow from
(seed, epoch) alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch.utils.data import Dataset, Sampler

from linmap.data.crops import random_crop
from linmap.data.text_pairs import TextPairs
from linmap.errors import RecipeError
from linmap.recipes.pairs import PairExamples, PhotosApart

__all__ = ["Drawn", "EndlessRows", "MixedBatches", "MixedExamples", "evenly_mixed"]

PHOTOS = -1
"""The source that photos come from, beside the numbers of text pairs."""
DRAWS = 2**31


class Drawn(NamedTuple):
    """One example of a batch.

    Args:
        source: `PHOTOS`, or which text pairs.
        row: Which of them.
        draw: Decides what is random about it.
    """

    source: int
    row: int
    draw: int


class MixedExamples(Dataset[dict[str, Any]]):
    """Photos with a caption, and pairs of texts; `MixedBatches` names them.

    Args:
        photos: None where none is learned from.
        texts: Kinds of text pairs.
        crop: Smallest share of its sides that a photo is cropped to; 1 shows all of it.
    """

    def __init__(self, photos: PairExamples | None, texts: Sequence[TextPairs], *, crop: float = 1.0) -> None:
        self.photos = photos
        self.texts = texts
        self.crop = crop

    def __len__(self) -> int:
        return (0 if self.photos is None else len(self.photos)) + sum(map(len, self.texts))

    def __getitem__(self, drawn: Drawn) -> dict[str, Any]:
        source, row, draw = drawn
        if source != PHOTOS:
            first, second, group = self.texts[source].pair(row, draw)
            return {"first_caption": first, "caption": second, "image_id": group}
        assert self.photos is not None
        return self.photos[row] | ({"crop": random_crop(draw, self.crop)} if self.crop < 1 else {})


class EndlessRows:
    """The numbers from 0 to before `count` in a random order, then in another, and so on without an end.

    Args:
        count: How many there are.
        seed: Of the orders.

    Example:
        >>> rows = EndlessRows(3, seed=0)
        >>> sorted(rows.taken(0, 3)), rows.taken(1, 4) == rows.taken(0, 5)[1:]
        ([0, 1, 2], True)
    """

    def __init__(self, count: int, *, seed: int) -> None:
        self.count = count
        self.seed = seed
        self._order: tuple[int, torch.Tensor] | None = None

    def taken(self, first: int, how_many: int) -> list[int]:
        """So many of them from a place on."""
        rows: list[int] = []
        while len(rows) < how_many:
            turn, place = divmod(first + len(rows), self.count)
            rows += self._turn(turn)[place : place + how_many - len(rows)].tolist()
        return rows

    def _turn(self, turn: int) -> torch.Tensor:
        if self._order is None or self._order[0] != turn:
            generator = torch.Generator().manual_seed((self.seed << 20) + turn)
            self._order = turn, torch.randperm(self.count, generator=generator)
        return self._order[1]


class MixedBatches(Sampler[Drawn]):
    """The examples of all batches of an epoch, each batch of the same mixture, its kinds spread evenly over it.

    An epoch shows every caption of the photos once, but for those that fill no whole batch; where there are no photos,
    every row of the first text pairs. Text pairs go on from one epoch to the next.

    Args:
        examples: What there is.
        photo_rows: Photos in a batch.
        text_rows: Text pairs in a batch, of each kind.
        seed: Of all that is random.

    Raises:
        RecipeError: There are fewer photos than a batch takes.
    """

    def __init__(self, examples: MixedExamples, *, photo_rows: int, text_rows: Sequence[int], seed: int = 0) -> None:
        self.photo_rows = photo_rows
        self.text_rows = list(text_rows)
        self.seed = seed
        self.epoch = 0
        self._places = evenly_mixed([photo_rows, *text_rows])
        self._texts = [EndlessRows(len(pairs), seed=seed + 1 + number) for number, pairs in enumerate(examples.texts)]
        self._photos: PhotosApart | None = None
        self._views = 1
        captions = len(examples.texts[0]) if examples.texts else 0
        if photo_rows:
            assert examples.photos is not None
            ids, self._views = examples.photos.image_ids, examples.photos.views
            captions = len(ids)
            self._photos = PhotosApart(ids, photo_rows, views=self._views, seed=seed)
        self.batches = captions // (photo_rows or self.text_rows[0])
        """In an epoch."""
        if not self.batches and photo_rows:
            raise RecipeError(
                f"There are {captions} captions to learn from, and a batch takes {photo_rows} of them: take more "
                "photos, or a smaller training.batch_size."
            )
        self.batches = max(1, self.batches)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of this epoch; the Trainer calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches * len(self._places)

    def __iter__(self) -> Iterator[Drawn]:
        generator = torch.Generator().manual_seed((self.seed << 20) + self.epoch)
        of_photos = [] if self._photos is None else self._photos.order(generator)
        for batch in range(self.batches):
            kinds = [[(PHOTOS, row) for row in of_photos[batch * self.photo_rows : (batch + 1) * self.photo_rows]]]
            for source, (rows, count) in enumerate(zip(self._texts, self.text_rows, strict=True)):
                first = (self.epoch * self.batches + batch) * count
                kinds.append([(source, row) for row in rows.taken(first, count)])
            draws = torch.randint(DRAWS, (len(self._places),), generator=generator).tolist()
            for (kind, place), draw in zip(self._places, draws, strict=True):
                yield Drawn(*kinds[kind][place], draw)


def evenly_mixed(counts: Sequence[int]) -> list[tuple[int, int]]:
    """The order in which so many of each kind are spread most evenly: (kind, which of the kind).

    Example:
        >>> evenly_mixed([2, 4])
        [(1, 0), (0, 0), (1, 1), (1, 2), (0, 1), (1, 3)]
    """
    places = [((number + 0.5) / count, kind, number) for kind, count in enumerate(counts) for number in range(count)]
    return [(kind, number) for _, kind, number in sorted(places)]
