"""Captioned photos streamed from shards: each reader has shards of its own, and (seed, epoch) decide the order.

A reader is a worker of a process. What is shuffled are the places of photos, not their bytes: skipping reads no pixels.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.utils import tqdm
from torch import distributed
from torch.utils.data import IterableDataset, get_worker_info

from linmap.data.images import UnreadableImages
from linmap.data.shards import ShardSample, look_through
from linmap.errors import CaptionDataError

__all__ = ["CaptionStream"]


class CaptionStream(IterableDataset[dict[str, Any]]):
    """`{"image": EncodedPhoto, "caption": text, "key": text}` of every sample of some shards; photos stay encoded.

    An epoch deals the shards, in an order of its own, out to the readers: workers of a `DataLoader`, times processes.
    So no two read the same shard in it, and together they read all. Each shuffles its samples within a window. The
    order depends on the seed, the epoch, and the numbers of processes and workers; not on time, nor on who is fastest.

    Readers are numbered so that batches come out alike however they are shared: two processes see together what one
    process with twice the workers sees.

    Args:
        shards: As `caption_shards` gives them.
        seed: Seed of the order.
        shuffle_buffer: Samples of the window; 1 keeps the order within shards.
        rank: Number of this process; None asks `torch.distributed`, or else the launcher's `RANK`.
        world_size: Number of processes; likewise.
        unreadable: Counts and names the samples that have no photo or caption, and the shards that are damaged: each
            once, in the process that meets it. By default the first one is an error.
        endless: Whether the next epoch follows when one ends, without an end; a reader goes on by itself then.
        lowercase: Captions in lower case.
        strip_final_period: Captions without the period at their end.

    Raises:
        CaptionDataError: When it is iterated: there are fewer shards than readers, or a shard is gone.
        UnreadableImageError: Likewise: what `unreadable` does not allow.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> from linmap.data.shard_writing import write_caption_shards
        >>> photos = [{"image": Image.new("RGB", (8, 8)), "caption": f"number {n}"} for n in range(4)]
        >>> stream = CaptionStream(write_caption_shards(photos, tempfile.mkdtemp(), per_shard=2), seed=3)
        >>> whole = [sample["caption"] for sample in stream]
        >>> stream.skip(3)
        >>> sorted(whole), [sample["caption"] for sample in stream] == whole[3:]
        (['number 0', 'number 1', 'number 2', 'number 3'], True)
    """

    def __init__(
        self,
        shards: Sequence[Path],
        *,
        seed: int = 0,
        shuffle_buffer: int = 1000,
        rank: int | None = None,
        world_size: int | None = None,
        unreadable: UnreadableImages | None = None,
        endless: bool = False,
        lowercase: bool = False,
        strip_final_period: bool = False,
    ) -> None:
        if shuffle_buffer < 1:
            raise CaptionDataError(f"The shuffle buffer is {shuffle_buffer}; it must hold at least 1 sample.")
        self.shards = sorted(shards)
        self.seed = seed
        self.shuffle_buffer = shuffle_buffer
        self.rank = _process("rank") if rank is None else rank
        self.world_size = _process("world_size") if world_size is None else world_size
        self.unreadable = unreadable if unreadable is not None else UnreadableImages()
        self.endless = endless
        self.counts: dict[Path, int] = {}
        """Samples of the shards that have been looked through; what is wrong with those has been said."""
        self._cleaning = {"lowercase": lowercase, "strip_final_period": strip_final_period}
        self._epoch = torch.tensor(0).share_memory_()  # workers that outlive an epoch see it
        self._skipped: tuple[int, Sequence[int], int] = (0, (), 0)  # epoch, samples of each worker, whose turn it is

    @property
    def epoch(self) -> int:
        """The epoch that is iterated next, or that an endless stream begins with."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order: another one for each epoch."""
        self._epoch.fill_(epoch)

    def count(self) -> int:
        """The samples of all shards; looks through those that have not been, with a progress bar."""
        if waiting := [shard for shard in self.shards if shard not in self.counts]:
            for shard in tqdm(waiting, desc="Looking through shards", unit="shard"):
                self._look_through(shard)
        return sum(self.counts[shard] for shard in self.shards)

    def require_readers(self, workers: int) -> None:
        """Checks that every reader has a shard; worker processes check it too, when they start.

        Args:
            workers: Worker processes of the data loader; 0 is none, where the process reads by itself.

        Raises:
            CaptionDataError: There are fewer shards than readers.
        """
        readers = self.world_size * max(workers, 1)
        if len(self.shards) < readers:
            raise CaptionDataError(
                f"There are {len(self.shards)} shards for {readers} readers (processes: {self.world_size}, workers: "
                f"{max(workers, 1)}), and each needs its own. Take fewer workers, or cut the photos into more shards "
                "(write_caption_shards)."
            )

    def skip(self, samples: int) -> None:
        """Makes the current epoch begin behind so many samples, where nothing but this process reads.

        It holds until it is called again, for this epoch alone. No pixels are read; what is skipped is looked through.
        An endless stream counts on through the epochs that follow.
        """
        self._skipped = (self.epoch, (samples,), 0)

    def skip_batches(self, batches: int, batch_size: int, workers: int = 0) -> None:
        """Makes the current epoch begin where a data loader stood that had given so many batches; see `skip`.

        Args:
            batches: Batches this process had taken.
            batch_size: Samples of a batch.
            workers: Worker processes of the data loader, then and from now on.
        """
        readers = max(workers, 1)
        taken, turn = [0] * readers, 0
        if self.endless:
            taken = [(batches + readers - 1 - worker) // readers * batch_size for worker in range(readers)]
            turn = batches % readers
        else:  # a reader that has come to its end misses its turns
            held = [sum(map(self._count, self._dealt(self.epoch, *self._seat(w, readers)))) for w in range(readers)]
            for _ in range(min(batches, sum(-(-samples // batch_size) for samples in held))):
                while taken[turn] >= held[turn]:
                    turn = (turn + 1) % readers
                taken[turn] += batch_size
                turn = (turn + 1) % readers
        self._skipped = (self.epoch, taken, turn)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = get_worker_info()
        workers = worker.num_workers if worker else 1
        self.require_readers(workers)
        epoch = self.epoch
        of_epoch, skipped, turn = self._skipped
        number = worker.id if worker else 0
        left = 0
        if of_epoch == epoch and skipped:
            if len(skipped) != workers:
                raise CaptionDataError(
                    f"The stream was told to go on where {len(skipped)} readers had stood, and there are {workers} "
                    "workers now: take as many as then, for another number reads in another order."
                )
            number = (number + turn) % workers
            left = skipped[number]
        reader, readers = self._seat(number, workers)
        for current in count(epoch):
            shards = self._dealt(current, reader, readers)
            if left and self.endless and left >= (held := sum(map(self._count, shards))):
                left -= held
                continue
            draw = random.Random(f"{self.seed}/{current}/{reader}")
            for sample in islice(_shuffled(self._samples(shards), self.shuffle_buffer, draw), left, None):
                yield {"image": sample.photo(), "caption": sample.caption, "key": sample.key}
            left = 0
            if not self.endless:
                return
            if not any(map(self._count, self.shards)):
                raise CaptionDataError(f"None of the {len(self.shards)} shards holds a photo with a caption.")

    def _seat(self, worker: int, workers: int) -> tuple[int, int]:
        """Number of a reader and how many there are: processes first, so that batches alternate between them."""
        return worker * self.world_size + self.rank, workers * self.world_size

    def _dealt(self, epoch: int, reader: int, readers: int) -> list[Path]:
        """The shards of a reader in an epoch, in its order; the longer hands go round."""
        order = list(self.shards)
        random.Random(f"{self.seed}/{epoch}").shuffle(order)
        return order[(reader + epoch) % readers :: readers]

    def _samples(self, shards: Iterable[Path]) -> Iterator[ShardSample]:
        for shard in shards:
            yield from self._look_through(shard)

    def _look_through(self, shard: Path) -> list[ShardSample]:
        samples, errors = look_through(shard, **self._cleaning)
        if shard not in self.counts:
            if errors:
                self.unreadable.leave_out(*errors)
            self.counts[shard] = len(samples)
        elif self.counts[shard] != len(samples):
            raise CaptionDataError(
                f"The shard {shard} held {self.counts[shard]:,} samples before and holds {len(samples):,} now; leave "
                "shards as they are while they are read."
            )
        return samples

    def _count(self, shard: Path) -> int:
        if shard not in self.counts:
            self._look_through(shard)
        return self.counts[shard]


def _shuffled(samples: Iterator[ShardSample], window: int, draw: random.Random) -> Iterator[ShardSample]:
    """The samples, each drawn from a window of the next `window` ones."""
    waiting = list(islice(samples, window))
    for sample in samples:
        place = draw.randrange(window)
        yield waiting[place]
        waiting[place] = sample
    draw.shuffle(waiting)
    yield from waiting


def _process(what: str) -> int:
    """`rank` or `world_size` of this process."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank() if what == "rank" else distributed.get_world_size()
    return int(os.environ.get("RANK", "0") if what == "rank" else os.environ.get("WORLD_SIZE", "1"))
