"""What models of linmap have alike for lmms-eval: device, processes, batches, and questions they do not answer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from huggingface_hub.utils import tqdm
from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from lmms_eval.utils import Collator

from linmap.errors import EvaluationError
from linmap.lmms_eval.requests import Question, question_of

__all__ = ["LinmapLmm"]


class LinmapLmm(lmms):
    """The base of both models.

    Args:
        device: Where the model runs: `cuda`, `cuda:1`, `cpu`, …; a CUDA device where there is one. Of several processes
            (`accelerate launch`) each has its own.
        batch_size: Requests at a time.
        **unknown: What else stands in `model_args`.

    Raises:
        EvaluationError: An argument makes no sense, or there is none of that name.
    """

    is_simple = True

    def __init__(self, device: str | None = None, batch_size: int | str = 1, **unknown: Any) -> None:
        super().__init__()
        unknown.pop("max_batch_size", None)  # lmms-eval passes it to every model
        if unknown:
            known = [name for name in inspect.signature(type(self)).parameters if name != "unknown"]
            raise EvaluationError(
                f"model_args: no argument is called {', '.join(sorted(unknown))}. There are: {', '.join(known)}."
            )
        if not str(batch_size).isdecimal() or int(batch_size) < 1:
            raise EvaluationError(f"batch_size is {batch_size}; give a whole number from 1 on, it is not searched for.")
        self.batch_size = int(batch_size)
        self.accelerator = Accelerator()
        if self.accelerator.num_processes > 1:
            self.device = self.accelerator.device
        else:
            self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._rank = self.accelerator.process_index
        self._world_size = self.accelerator.num_processes

    def generate_until_multi_round(self, requests: list[Instance]) -> list[str]:
        """Refuses: a question is answered once.

        Raises:
            EvaluationError: Always.
        """
        raise EvaluationError("Models of linmap answer once; this task asks in several rounds. Choose another.")

    def _asked(self, arguments: Sequence[Any]) -> Question:
        return question_of(arguments, self.task_dict)

    def _in_batches(
        self,
        requests: Sequence[Instance],
        answer: Callable[[list[tuple[Any, ...]]], list[Any]],
        words: str,
        *,
        alike: bool,
    ) -> list[Any]:
        """Answers requests in batches, longest texts first, under a progress bar of the first process.

        Args:
            requests: As lmms-eval gives them.
            answer: From the arguments of a batch to its answers.
            words: What the bar says.
            alike: Whether a batch holds requests with the same settings alone.

        Returns:
            The answers, in the order of the requests.
        """
        order = Collator([one.args for one in requests], lambda one: (-len(one[0]), one[0]), grouping=alike)
        answers: list[Any] = []
        with tqdm(total=len(requests), disable=self.rank != 0, desc=words) as bar:
            for batch in _lists(order.get_batched(n=self.batch_size)):
                answers += answer(batch)
                bar.update(len(batch))
        return list(order.get_original(answers))


def _lists(batches: Iterator[Any]) -> Iterator[list[tuple[Any, ...]]]:
    for batch in batches:
        yield list(batch)
