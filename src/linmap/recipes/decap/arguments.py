"""A recipe of DeCap in the words of `transformers.TrainingArguments`."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import TrainingArguments

from linmap.recipes.arguments import arguments_of_epochs
from linmap.recipes.decap.schema import DeCapRecipe
from linmap.recipes.pace import Pace

__all__ = ["pace_of", "training_arguments"]


def pace_of(recipe: DeCapRecipe, texts: int) -> Pace:
    """How `recipe` goes through so many sentences."""
    said = recipe.training
    return Pace.of(
        texts,
        said.batch_size,
        epochs=said.epochs,
        epochs_between_evaluations=recipe.evaluation.every,
        warmup_share=said.warmup_share,
        warmup_steps=said.warmup_steps,
    )


def training_arguments(recipe: DeCapRecipe, folder: Path, pace: Pace) -> TrainingArguments:
    """The recipe in the Trainer's words; checkpoints go to `folder`."""
    return arguments_of_epochs(
        recipe.training,
        folder,
        pace,
        best=f"eval_{recipe.evaluation.metric}",
        per_device_eval_batch_size=recipe.evaluation.batch_size,
        label_names=["labels"],
        bf16=recipe.training.bf16,
        use_cpu=not torch.accelerator.is_available(),  # where there is no accelerator, bf16 has to be told so
    )
