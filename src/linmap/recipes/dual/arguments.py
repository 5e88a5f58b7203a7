"""A recipe of a dual encoder in the words of `transformers.TrainingArguments`."""

from __future__ import annotations

from pathlib import Path

from transformers import TrainingArguments

from linmap.recipes.arguments import arguments_of_epochs
from linmap.recipes.dual.schema import DualRecipe
from linmap.recipes.pace import Pace
from linmap.recipes.pairs import even_batch_size

__all__ = ["pace_of", "training_arguments"]


def pace_of(recipe: DualRecipe, pairs: int) -> Pace:
    """How `recipe` goes through so many pairs."""
    said = recipe.training
    return Pace.of(
        pairs,
        even_batch_size(pairs, said.batch_size),
        epochs=said.epochs,
        epochs_between_evaluations=recipe.evaluation.every,
        warmup_share=said.warmup_share,
    )


def training_arguments(recipe: DualRecipe, folder: Path, pace: Pace) -> TrainingArguments:
    """The recipe in the Trainer's words; checkpoints go to `folder`."""
    best = f"eval_{recipe.evaluation.metric}"
    return arguments_of_epochs(recipe.training, folder, pace, best=best, adam_epsilon=recipe.training.epsilon)
