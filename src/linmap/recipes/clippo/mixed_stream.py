"""Mixed batches from shards: photos as they come, and text pairs between them, the same share in every batch."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from torch.utils.data import IterableDataset, get_worker_info

from linmap.data.crops import random_crop
from linmap.data.streams import CaptionStream
from linmap.data.text_pairs import TextPairs
from linmap.recipes.clippo.batches import DRAWS, EndlessRows, evenly_mixed

__all__ = ["MixedStream"]


class MixedStream(IterableDataset[dict[str, Any]]):
    """An endless `CaptionStream` with text pairs between its photos, for a `StreamLoader`; counts as that stream does.

    Every reader makes whole batches; the text pairs of a batch follow from its number among those of all readers.

    Args:
        stream: Endless; where the photos come from.
        texts: Kinds of text pairs.
        photo_rows: Photos in a batch of one process.
        text_rows: Text pairs in it, of each kind.
        mirror: Show each photo as it is or mirrored, drawn anew each time.
        crop: Smallest share of its sides that a photo is cropped to; 1 shows all of it.
        seed: Of what is random about text pairs, mirrors and crops.
    """

    endless = True

    def __init__(
        self,
        stream: CaptionStream,
        texts: Sequence[TextPairs],
        *,
        photo_rows: int,
        text_rows: Sequence[int],
        mirror: bool = False,
        crop: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.stream = stream
        self.texts = texts
        self.photo_rows = photo_rows
        self.text_rows = list(text_rows)
        self.mirror = mirror
        self.crop = crop
        self.seed = seed
        self._orders = [EndlessRows(len(pairs), seed=seed + 1 + kind) for kind, pairs in enumerate(texts)]
        self._skipped = 0

    def require_readers(self, workers: int) -> None:
        """See `CaptionStream`."""
        self.stream.require_readers(workers)

    def set_epoch(self, epoch: int) -> None:
        """See `CaptionStream`."""
        self.stream.set_epoch(epoch)

    def skip_batches(self, batches: int, batch_size: int, workers: int = 0) -> None:
        """Makes it begin where a data loader stood that had given so many batches; see `CaptionStream`."""
        self.stream.skip_batches(batches, self.photo_rows, workers)
        self._skipped = batches

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = get_worker_info()
        workers, number = (worker.num_workers, worker.id) if worker else (1, 0)
        photos = iter(self.stream)
        places = evenly_mixed([self.photo_rows, *self.text_rows])
        for turn in count():
            # batches of a process come from its workers in turn; those of all processes are numbered through
            batch = (self._skipped + turn * workers + number) * self.stream.world_size + self.stream.rank
            chance = random.Random(f"{self.seed}/{batch}")
            rows = [order.taken(batch * rows, rows) for order, rows in zip(self._orders, self.text_rows, strict=True)]
            for kind, place in places:
                draw = chance.randrange(DRAWS)
                if kind == 0:
                    shown = {"crop": random_crop(draw, self.crop)} if self.crop < 1 else {}
                    yield {**next(photos), "mirrored": self.mirror and draw % 2 == 1, **shown}
                else:
                    first, second, group = self.texts[kind - 1].pair(rows[kind - 1][place], draw)
                    yield {"first_caption": first, "caption": second, "image_id": group}
