"""A recipe of CLIPPO in the words of `transformers.TrainingArguments`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from linmap.errors import RecipeError
from linmap.recipes.arguments import arguments_of_every_run
from linmap.recipes.clippo.batches import evenly_mixed
from linmap.recipes.clippo.schema import ClippoRecipe
from linmap.recipes.launcher import process_count

__all__ = ["training_arguments"]


def training_arguments(recipe: ClippoRecipe, folder: Path) -> TrainingArguments:
    """The recipe in the Trainer's words; checkpoints go to `folder`.

    Raises:
        RecipeError: A batch cannot be shared out among the processes evenly, or leaves one without a photo that the
            model needs.
    """
    said, processes = recipe.training, process_count()
    if said.batch_size % processes:
        raise RecipeError(
            f"training.batch_size is {said.batch_size}, and {processes} processes were started: each takes equally "
            "many pairs. Choose a multiple."
        )
    if processes > 1 and recipe.model.has_parts_of_photos_alone and _without_photos(recipe, processes):
        raise RecipeError(
            f"{processes} processes were started, and of the {recipe.photo_rows} photos in a batch one of them gets "
            "none: the weights that only photos go through have no gradient there. Choose smaller shares of text "
            "pairs, fewer processes, or a model whose photos and texts share everything."
        )
    words: dict[str, Any] = arguments_of_every_run(
        said, folder, best=f"eval_{recipe.evaluation.metric}", evaluation_steps=recipe.evaluation.every
    )
    if said.schedule == "inverse_sqrt":
        words["lr_scheduler_type"] = "constant"  # the trainer's own stands in its place
    on_cpu = not torch.accelerator.is_available()
    arguments = TrainingArguments(
        **words,
        max_steps=said.steps,
        per_device_train_batch_size=said.batch_size // processes,
        warmup_steps=said.warmup_steps,
        adam_epsilon=said.epsilon,
        bf16=said.dtype == "bfloat16",
        dataloader_num_workers=recipe.data.workers,
        use_cpu=on_cpu,  # else bf16 is refused, and each of several processes would run for itself
    )
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # else the Trainer cuts each batch into one for each device, and the loss with it
    return arguments


def _without_photos(recipe: ClippoRecipe, processes: int) -> bool:
    """Whether some process's rows of a batch are pairs of texts alone."""
    places = evenly_mixed([recipe.photo_rows, *recipe.text_rows])
    each = len(places) // processes
    kinds = [kind for kind, _ in places]
    return any(0 not in kinds[first : first + each] for first in range(0, len(kinds), each))
