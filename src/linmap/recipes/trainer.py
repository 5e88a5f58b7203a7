"""A run's own trainer: transformers' Trainer with the order of the examples and the validation numbers of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import Trainer, TrainerState
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import EvalLoopOutput
from transformers.utils import SAFE_WEIGHTS_NAME

from linmap.recipes.processes import shared_loader, summed, those_of_the_first
from linmap.sharing.trainer import SharingTrainer

__all__ = ["CaptionTrainer", "OrderedTrainer", "give_own_rate", "load_learned", "train_to_the_end"]

IGNORED_LABEL = -100


class OrderedTrainer(SharingTrainer):
    """`transformers.Trainer` that meets the examples in an order of the caller's: a resumed run sees the same batches.

    Args:
        train_sampler: The order; its `set_epoch` is called for each epoch.
        **kwargs: What `SharingTrainer` takes.
    """

    def __init__(self, *, train_sampler: Sampler[int] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._train_sampler = train_sampler

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler[int] | None:
        return self._train_sampler if self._train_sampler is not None else super()._get_train_sampler(train_dataset)

    def get_train_dataloader(self) -> DataLoader:
        """The Trainer's own; of several processes each takes its part of the batches that one would see."""
        if self.args.world_size == 1 or self._train_sampler is None:
            return super().get_train_dataloader()
        batch_size = self._train_batch_size
        examples: Any = self.train_dataset
        return shared_loader(examples, self._train_sampler, batch_size, self.data_collator, self.args)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        """Likewise."""
        if self.args.world_size == 1:
            return super().get_eval_dataloader(eval_dataset)
        examples: Any = self.eval_dataset if eval_dataset is None else eval_dataset
        batch_size = self.args.per_device_eval_batch_size
        order = range(len(examples))
        return shared_loader(examples, order, batch_size, self.data_collator, self.args, keep_all=True)


class CaptionTrainer(OrderedTrainer):
    """`OrderedTrainer` for captions.

    Its validation loss is the mean over caption tokens (the Trainer averages over batches, which weighs short captions
    more), and further validation numbers can be said.

    Args:
        validation_numbers: Called at each evaluation; its numbers are logged as `eval_NAME`.
        shifted: Whether the model leaves the first label out, as it does where labels lie one place behind the logits.
        encoder_learning_rate: Highest rate of the weights of `model.encoder` where they learn; None: that of the rest.
        **kwargs: What `OrderedTrainer` takes.
    """

    def __init__(
        self,
        *,
        validation_numbers: Callable[[], dict[str, float]] | None = None,
        shifted: bool = True,
        encoder_learning_rate: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._encoder_learning_rate = encoder_learning_rate
        self._validation_numbers = validation_numbers
        self._first_label = int(shifted)
        self._summed_loss = 0.0
        self._scored_tokens = 0

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """The Trainer's own; the encoder's weights go into groups of their own, at their own rate."""
        made = self.optimizer
        optimizer = super().create_optimizer(model)
        if made is None and self._encoder_learning_rate is not None:
            encoder: Any = getattr(self.model, "encoder")  # noqa: B009 - the Trainer knows no such attribute
            give_own_rate(optimizer, encoder.parameters(), self._encoder_learning_rate)
        return optimizer

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """The Trainer's own step; keeps the loss summed over the scored tokens."""
        scored = int((inputs["labels"][:, self._first_label :] != IGNORED_LABEL).sum())
        inputs = {**inputs, "use_cache": False}
        loss, logits, labels = super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        if loss is not None:
            self._summed_loss += float(loss) * scored
            self._scored_tokens += scored
        return loss, logits, labels

    def evaluation_loop(
        self,
        dataloader: DataLoader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """The Trainer's own loop; `eval_loss` becomes the mean over all scored tokens."""
        self._summed_loss, self._scored_tokens = 0.0, 0
        across = self.args.average_tokens_across_devices
        self.args.average_tokens_across_devices = False  # the loss of a step is then the mean over its own tokens
        try:
            output = super().evaluation_loop(
                dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix
            )
        finally:
            self.args.average_tokens_across_devices = across
        metrics = dict(output.metrics or {})
        loss, tokens = summed([self._summed_loss, self._scored_tokens], self.accelerator)
        if tokens:
            metrics[f"{metric_key_prefix}_loss"] = loss / tokens
        if self._validation_numbers is not None:
            with torch.no_grad():
                numbers = those_of_the_first(self._validation_numbers(), self.accelerator)
            metrics |= {f"{metric_key_prefix}_{name}": value for name, value in numbers.items()}
        return output._replace(metrics=metrics)


def give_own_rate(optimizer: torch.optim.Optimizer, weights: Iterable[nn.Parameter], rate: float) -> None:
    """Moves some weights into groups of their own, each with the settings of the group it comes from but for the rate.

    Args:
        optimizer: Before its first step, and before a schedule is made of its rates.
        weights: Which; those that it does not hold are passed over.
        rate: Their learning rate.
    """
    own = {id(weight) for weight in weights}
    for group in list(optimizer.param_groups):
        moved = [weight for weight in group["params"] if id(weight) in own]
        if moved:
            group["params"] = [weight for weight in group["params"] if id(weight) not in own]
            optimizer.add_param_group({**group, "params": moved, "lr": rate})


def train_to_the_end(trainer: Trainer, checkpoint: Path | None, load: Callable[[Path], None]) -> None:
    """Trains and ends with the best weights; after the last step nothing is left to train, only to load.

    Args:
        trainer: With all that it needs.
        checkpoint: Where to go on from; None starts at the first step.
        load: Puts the weights of a checkpoint into the model.
    """
    if checkpoint is None:
        trainer.train()
        return
    state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
    if state.global_step < trainer.args.max_steps:
        trainer.train(resume_from_checkpoint=str(checkpoint))
        return
    trainer.state = state
    load(checkpoint.with_name(f"checkpoint-{state.best_global_step}"))


def load_learned(model: nn.Module, checkpoint: Path) -> None:
    """Puts what was learned, as a checkpoint holds it, into the model in training."""
    held = load_file(checkpoint / SAFE_WEIGHTS_NAME)
    model.load_state_dict({key: value for key, value in held.items() if key in model.state_dict()}, strict=False)
