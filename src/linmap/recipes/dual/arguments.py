"""A recipe of a dual encoder in the words of `transformers.TrainingArguments`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from transformers import TrainingArguments

from linmap.recipes.arguments import arguments_of_every_run
from linmap.recipes.dual.pairs import even_batch_size
from linmap.recipes.dual.schema import DualRecipe

__all__ = ["Pace", "training_arguments"]


@dataclass(frozen=True)
class Pace:
    """Epochs in steps.

    Args:
        batch_size: Pairs in a batch.
        steps_per_epoch: Batches in which each caption is shown once.
        steps: Of the whole run.
        warmup_steps: Of these, those in which the learning rate grows.
        evaluation_steps: Between two evaluations.
    """

    batch_size: int
    steps_per_epoch: int
    steps: int
    warmup_steps: int
    evaluation_steps: int

    @classmethod
    def of(cls, recipe: DualRecipe, pairs: int) -> Pace:
        """How `recipe` goes through so many pairs."""
        said = recipe.training
        batch_size = even_batch_size(pairs, said.batch_size)
        steps_per_epoch = math.ceil(pairs / batch_size)
        steps = said.epochs * steps_per_epoch
        return cls(
            batch_size=batch_size,
            steps_per_epoch=steps_per_epoch,
            steps=steps,
            warmup_steps=round(said.warmup_share * steps),
            evaluation_steps=recipe.evaluation.every * steps_per_epoch,
        )


def training_arguments(recipe: DualRecipe, folder: Path, pace: Pace) -> TrainingArguments:
    """The recipe in the Trainer's words; checkpoints go to `folder`."""
    arguments = TrainingArguments(
        **arguments_of_every_run(
            recipe.training, folder, best=f"eval_{recipe.evaluation.metric}", evaluation_steps=pace.evaluation_steps
        ),
        max_steps=pace.steps,
        per_device_train_batch_size=pace.batch_size,
        warmup_steps=pace.warmup_steps,
        adam_epsilon=recipe.training.epsilon,
    )
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # else the Trainer cuts each batch into one for each device, and the loss with it
    return arguments
