"""Batches from a stream of captioned photos, decoded by worker processes while the model computes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, IterableDataset

from linmap.data.streams import CaptionStream
from linmap.errors import LinmapError

__all__ = ["StreamLoader"]

Batch = TypeVar("Batch")


class StreamLoader(Generic[Batch]):
    """A `DataLoader` for a `CaptionStream` that can begin in the middle, and whose workers' errors are ours.

    torch's own rebuilds an error of a worker from its traceback; here a `LinmapError` comes out as it was raised. Its
    iterators draw nothing from the global random state, which a resumed run restores to the number.

    Args:
        stream: The stream.
        collate: Makes a batch of samples, in the worker; decoding and preprocessing belong here.
        batch_size: Samples of a batch.
        workers: Worker processes; 0 reads and collates in this process.

    Example:
        ```python
        loader = StreamLoader(stream, CaptionCollator(processor), batch_size=32, workers=2)
        loader.skip(batches=1000)
        for batch in loader:
            model(**batch).loss.backward()
        ```
    """

    def __init__(
        self,
        stream: CaptionStream,
        collate: Callable[[Sequence[dict[str, Any]]], Batch],
        batch_size: int,
        *,
        workers: int = 0,
    ) -> None:
        stream.require_readers(workers)
        self.dataset = stream
        self.collate = collate
        self.batch_size = batch_size
        self.workers = workers

    def skip(self, batches: int) -> None:
        """Makes the current epoch begin behind so many batches; no pixels are read for it."""
        self.dataset.skip_batches(batches, self.batch_size, self.workers)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of a stream that has an end; an endless one counts its epochs itself."""
        if not self.dataset.endless:
            self.dataset.set_epoch(epoch)

    def __iter__(self) -> Iterator[Batch]:
        if self.workers:  # else the tokenizers of forked workers complain, and would fight for the cores
            os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        loader = DataLoader(
            _Told(self.dataset),
            batch_size=self.batch_size,
            collate_fn=_Collated(self.collate),
            num_workers=self.workers,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),
        )
        for batch in loader:
            if isinstance(batch, LinmapError):
                raise batch
            yield batch


class _Told(IterableDataset[Any]):
    """A stream whose error is its last sample."""

    def __init__(self, stream: CaptionStream) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self.stream
        except LinmapError as error:
            yield error


class _Collated(Generic[Batch]):
    """The batch, or the error that came instead."""

    def __init__(self, collate: Callable[[Sequence[dict[str, Any]]], Batch]) -> None:
        self.collate = collate

    def __call__(self, samples: list[Any]) -> Batch | LinmapError:
        try:
            for sample in samples:
                if isinstance(sample, LinmapError):
                    raise sample
            return self.collate(samples)
        except LinmapError as error:
            return error
