"""A recipe in the words of `transformers.TrainingArguments`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from linmap.recipes.launcher import process_count
from linmap.recipes.pace import Pace
from linmap.recipes.schema import Recipe
from linmap.recipes.sections import OptimiserRecipe

__all__ = ["arguments_of_epochs", "arguments_of_every_run", "training_arguments"]

LOGGING_STEPS = 10


def training_arguments(recipe: Recipe, folder: Path) -> TrainingArguments:
    """The recipe of a linear vision prefix in the Trainer's words; checkpoints go to `folder`."""
    said = recipe.training
    best = "eval_cider" if recipe.evaluation.metric == "cider" else "eval_loss"
    return TrainingArguments(
        **arguments_of_every_run(said, folder, best=best, evaluation_steps=recipe.evaluation.every),
        max_steps=said.steps,
        per_device_train_batch_size=said.batch_size,
        per_device_eval_batch_size=recipe.evaluation.batch_size,
        gradient_accumulation_steps=said.gradient_accumulation,
        warmup_steps=said.warmup_steps,
        dataloader_num_workers=0 if recipe.data.precompute_features else recipe.data.workers,
        label_names=["labels"],
        use_cpu=process_count() > 1 and not torch.accelerator.is_available(),  # else each would run for itself
    )


def arguments_of_epochs(
    said: OptimiserRecipe, folder: Path, pace: Pace, *, best: str, **more: Any
) -> TrainingArguments:
    """Those of a run that counts epochs, on one device.

    Args:
        said: The optimiser's part of the recipe.
        folder: Where checkpoints go.
        pace: Its epochs in steps.
        best: See `arguments_of_every_run`.
        **more: What else `TrainingArguments` takes.
    """
    arguments = TrainingArguments(
        **arguments_of_every_run(said, folder, best=best, evaluation_steps=pace.evaluation_steps),
        max_steps=pace.steps,
        per_device_train_batch_size=pace.batch_size,
        warmup_steps=pace.warmup_steps,
        **more,
    )
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # else the Trainer cuts each batch into one for each device, and the loss with it
    return arguments


def arguments_of_every_run(said: OptimiserRecipe, folder: Path, *, best: str, evaluation_steps: int) -> dict[str, Any]:
    """What the runs of every method tell the Trainer alike: optimiser, schedule, checkpoints, what is shown.

    Args:
        said: The optimiser's part of the recipe.
        folder: Where checkpoints go.
        best: The number that chooses the weights to keep, as it is logged; of losses the lowest, else the highest.
        evaluation_steps: Steps between two evaluations; a checkpoint is written at each.
    """
    schedule, schedule_arguments = said.schedule, {}
    if said.final_learning_rate:
        schedule, schedule_arguments = "cosine_with_min_lr", {"min_lr_rate": said.final_learning_rate}
    return {
        "output_dir": str(folder),
        "optim": "adamw_torch",
        "learning_rate": said.learning_rate,
        "adam_beta1": said.betas[0],
        "adam_beta2": said.betas[1],
        "weight_decay": said.weight_decay,
        "lr_scheduler_type": schedule,
        "lr_scheduler_kwargs": schedule_arguments,
        "max_grad_norm": said.max_grad_norm,
        "seed": said.seed,
        "logging_steps": LOGGING_STEPS,
        "eval_strategy": "steps",
        "eval_steps": evaluation_steps,
        "save_strategy": "steps",
        "save_steps": evaluation_steps,
        "save_total_limit": said.keep_checkpoints,
        "load_best_model_at_end": True,
        "metric_for_best_model": best,
        "greater_is_better": best != "eval_loss",
        "prediction_loss_only": True,
        "remove_unused_columns": False,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "disable_tqdm": True,  # the bar is linmap.recipes.callbacks.ProgressBar
        "report_to": "none",
    }
