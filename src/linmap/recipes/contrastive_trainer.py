"""The trainer of runs that learn from pairs: retrieval at each evaluation, no decay of the temperature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.utils.data import Dataset

from linmap.recipes.processes import those_of_the_first
from linmap.recipes.trainer import OrderedTrainer

__all__ = ["ContrastiveTrainer"]


class ContrastiveTrainer(OrderedTrainer):
    """`OrderedTrainer` for models that compare photos with texts.

    Args:
        validation_numbers: Called at each evaluation; its numbers are logged as `eval_NAME`.
        **kwargs: What `OrderedTrainer` takes.
    """

    def __init__(self, *, validation_numbers: Callable[[], dict[str, float]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._validation_numbers = validation_numbers

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """The Trainer's own, without the temperature: it is a gain (arXiv 2103.00020, section 2.5)."""
        return [name for name in super().get_decay_parameter_names(model) if name != "logit_scale"]

    def evaluate(
        self,
        eval_dataset: Dataset | dict[str, Dataset] | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Logs the validation numbers; retrieval needs all photos and captions at once, not one batch after another."""
        measured = those_of_the_first(self._validation_numbers(), self.accelerator)
        numbers = {f"{metric_key_prefix}_{name}": value for name, value in measured.items()}
        self.log(numbers)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, numbers)
        return numbers
