"""A recipe in the words of `transformers.TrainingArguments`."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import TrainingArguments

from linmap.recipes.schema import Recipe

__all__ = ["training_arguments"]

LOGGING_STEPS = 10


def training_arguments(recipe: Recipe, folder: Path) -> TrainingArguments:
    """The recipe in the Trainer's words; checkpoints go to `folder`."""
    said = recipe.training
    schedule, schedule_arguments = said.schedule, {}
    if said.final_learning_rate:
        schedule, schedule_arguments = "cosine_with_min_lr", {"min_lr_rate": said.final_learning_rate}
    best = "eval_cider" if recipe.evaluation.metric == "cider" else "eval_loss"
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=said.steps,
        per_device_train_batch_size=said.batch_size,
        per_device_eval_batch_size=recipe.evaluation.batch_size,
        gradient_accumulation_steps=said.gradient_accumulation,
        optim="adamw_torch",
        learning_rate=said.learning_rate,
        adam_beta1=said.betas[0],
        adam_beta2=said.betas[1],
        weight_decay=said.weight_decay,
        warmup_steps=said.warmup_steps,
        lr_scheduler_type=schedule,
        lr_scheduler_kwargs=schedule_arguments,
        max_grad_norm=said.max_grad_norm,
        seed=said.seed,
        logging_steps=LOGGING_STEPS,
        eval_strategy="steps",
        eval_steps=recipe.evaluation.every,
        save_strategy="steps",
        save_steps=recipe.evaluation.every,
        save_total_limit=said.keep_checkpoints,
        load_best_model_at_end=True,
        metric_for_best_model=best,
        greater_is_better=best == "eval_cider",
        prediction_loss_only=True,
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_pin_memory=torch.cuda.is_available(),
        disable_tqdm=True,  # the bar is linmap.recipes.callbacks.ProgressBar
        report_to="none",
    )
