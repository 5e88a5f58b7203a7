"""One run in several processes: each takes its part of every batch, so that all together do what one would do alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.data_loader import prepare_data_loader
from accelerate.utils import broadcast_object_list
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import TrainingArguments

from linmap.errors import RecipeError
from linmap.recipes.checkpoints import find_checkpoints, processes_of

__all__ = [
    "SharedBatches",
    "first_one_opens",
    "shared_loader",
    "summed",
    "those_of_the_first",
]


class SharedBatches(Sampler[list[int]]):
    """The part that one process has of every batch, batches being those that a single process would see.

    A batch is cut into runs of equal length, one a process; of a shorter one at the end every process has its share,
    too. One with fewer examples than processes cannot be shared out: it is left out, or joined to the one before.

    Args:
        order: The examples, in the order of one epoch.
        batch_size: Examples in a batch of all processes together.
        processes: How many there are.
        index: Which of them this is.
        keep_all: Join a last batch that is too small to the one before it, in place of leaving it out.

    Example:
        >>> [list(SharedBatches(range(7), 4, 2, index)) for index in (0, 1)]
        [[[0, 1], [4]], [[2, 3], [5, 6]]]
    """

    def __init__(
        self,
        order: Sampler[int] | Sequence[int],
        batch_size: int,
        processes: int,
        index: int,
        *,
        keep_all: bool = False,
    ) -> None:
        self.order = order
        self.batch_size = batch_size
        self.processes = processes
        self.index = index
        self.keep_all = keep_all

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of this epoch; the Trainer calls it."""
        if hasattr(self.order, "set_epoch"):
            self.order.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._bounds())

    def __iter__(self) -> Iterator[list[int]]:
        examples = list(self.order)
        for first, last in self._bounds():
            start, stop = ((last - first) * part // self.processes for part in (self.index, self.index + 1))
            yield examples[first + start : first + stop]

    def _bounds(self) -> list[tuple[int, int]]:
        """First and behind the last example of every batch."""
        count = len(self.order)  # type: ignore[arg-type]  # the orders of a run know their length
        bounds = [(first, min(first + self.batch_size, count)) for first in range(0, count, self.batch_size)]
        if bounds and bounds[-1][1] - bounds[-1][0] < self.processes:
            bounds.pop()
            if self.keep_all and bounds:
                bounds[-1] = (bounds[-1][0], count)
        return bounds


def shared_loader(
    dataset: Dataset[Any],
    order: Sampler[int] | Sequence[int],
    batch_size: int,
    collate: Callable[[list[Any]], Any],
    arguments: TrainingArguments,
    *,
    keep_all: bool = False,
) -> DataLoader:
    """This process's part of every batch, collated and put on its device.

    accelerate's own way deals out whole batches, and fills the last round with examples that were seen already.

    Args:
        dataset: The examples.
        order: Their order in an epoch; its `set_epoch` is called.
        batch_size: Examples in one forward pass of one process.
        collate: Makes a batch of examples.
        arguments: How many processes, which of them, on what device, with how many workers.
        keep_all: See `SharedBatches`.

    Raises:
        RecipeError: There are fewer examples than processes.
    """
    processes = arguments.world_size
    batches = SharedBatches(order, batch_size * processes, processes, arguments.process_index, keep_all=keep_all)
    if not len(batches):
        raise RecipeError(
            f"There are fewer captions than processes, {processes}: start fewer, or take more photos to learn from and "
            "to validate on."
        )
    loader = DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=arguments.dataloader_num_workers,
        pin_memory=arguments.dataloader_pin_memory,
    )
    return prepare_data_loader(loader, arguments.device, num_processes=1, process_index=0, put_on_device=True)


def summed(numbers: Sequence[float], accelerator: Accelerator) -> list[float]:
    """Numbers added up over all processes."""
    if accelerator.num_processes == 1:
        return list(numbers)
    precise = torch.float32 if accelerator.device.type == "mps" else torch.float64
    together: Any = accelerator.reduce(torch.tensor(numbers, dtype=precise, device=accelerator.device), "sum")
    return together.tolist()


def those_of_the_first(numbers: dict[str, float], accelerator: Accelerator) -> dict[str, float]:
    """What the first process has, in every process: they must agree on which weights are the best."""
    if accelerator.num_processes == 1:
        return numbers
    return broadcast_object_list([numbers])[0]


def first_one_opens(arguments: TrainingArguments, open_folder: Callable[[], Path | None], resume: bool) -> Path | None:
    """Has the first process make the output folder ready, while the others wait.

    Args:
        arguments: Of the run; its processes find each other here.
        open_folder: Makes the folder ready and gives the checkpoint to go on from.
        resume: Whether the run goes on; else there is none.

    Returns:
        The checkpoint to go on from, in every process.

    Raises:
        RecipeError: Another number of processes wrote it: every step would see another number of captions.
    """
    found: Path | None = None
    _ = arguments.device  # asking for it is what joins the processes
    with arguments.main_process_first(local=False, desc="opening the output folder"):
        if arguments.process_index == 0:
            found = open_folder()
        elif resume:
            found = find_checkpoints(Path(str(arguments.output_dir))).last
    if found is not None and (before := processes_of(found)) != arguments.world_size:
        raise RecipeError(
            f"The run in {found.parent} was started in {before} processes, and this is one of {arguments.world_size}: "
            "each step would learn from another number of captions. Resume it in as many, or choose another --output."
        )
    return found
