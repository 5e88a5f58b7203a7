"""A recipe of a dual encoder becomes a run of `transformers.Trainer`: features once, training, the best weights."""

from __future__ import annotations

import logging
import time
from functools import partial
from pathlib import Path

import torch
from accelerate import PartialState
from transformers import PrinterCallback

from linmap.data.images import UnreadableImages
from linmap.data.pairs import DualPairCollator
from linmap.recipes.assembly import read_splits
from linmap.recipes.callbacks import HistoryPlot, ProgressBar
from linmap.recipes.contrastive_trainer import ContrastiveTrainer
from linmap.recipes.dual.arguments import pace_of, training_arguments
from linmap.recipes.dual.assembly import assemble_model
from linmap.recipes.dual.features import encoded_split
from linmap.recipes.dual.results import write_results
from linmap.recipes.dual.schema import DualRecipe
from linmap.recipes.dual.validation import DualValidation
from linmap.recipes.outputs import OutputFolder
from linmap.recipes.pair_results import PairRunFacts, plot_run
from linmap.recipes.pairs import PairExamples, PhotosApart
from linmap.recipes.trainer import load_learned, train_to_the_end

__all__ = ["train"]

logger = logging.getLogger(__name__)


def train(recipe: DualRecipe, output: str | Path, *, resume: bool = False, overwrite: bool = False) -> Path:
    """Trains the heads, and the towers that learn, as `recipe` says; see `linmap.recipes.methods.train`."""
    folder = OutputFolder(Path(output))
    checkpoint = folder.open(recipe, resume=resume, overwrite=overwrite)
    if folder.finished:
        logger.warning("%s holds a finished run; there is nothing to resume", folder.path)
        return folder.path
    unreadable = UnreadableImages(recipe.data.unreadable_limit)
    train_photos, validation_photos = read_splits(recipe.data, unreadable)
    model, processor = assemble_model(recipe)
    machine = PartialState()
    torch.nn.Module.to(model, machine.device)
    views = 2 if recipe.data.mirror else 1
    encoded = partial(encoded_split, recipe, model, processor, folder=folder.cache, unreadable=unreadable)
    training = encoded(train_photos, name="train", views=views)
    chosen_by = encoded(validation_photos[: recipe.evaluation.photos], name="validation", views=1)

    examples = PairExamples(training, views=views)
    pace = pace_of(recipe, len(examples.captions))
    validation = DualValidation(model, processor, chosen_by, batch_size=recipe.evaluation.batch_size)
    trainer = ContrastiveTrainer(
        model=model,
        args=training_arguments(recipe, folder.path, pace),
        processor=processor,
        data_collator=DualPairCollator(processor),
        train_dataset=examples,
        eval_dataset=chosen_by.photos,  # the Trainer wants one; the numbers come from `validation`
        train_sampler=PhotosApart(examples.image_ids, pace.batch_size, views=views, seed=recipe.training.seed),
        validation_numbers=validation.numbers,
        callbacks=[ProgressBar(), HistoryPlot(partial(plot_run, folder=folder.path))],
    )
    trainer.remove_callback(PrinterCallback)  # the bar shows the same numbers
    started = time.perf_counter()
    train_to_the_end(trainer, checkpoint, lambda best: load_learned(model, best))
    seconds = round(time.perf_counter() - started, 1)
    model.eval()
    facts = PairRunFacts(
        photos=len(training.photos),
        captions=len(examples.captions),
        validation_photos=len(chosen_by.photos),
        validation_captions=len(chosen_by.captions),
        scores=validation.scores(),
        seconds=seconds,
        device=str(machine.device),
    )
    write_results(recipe, model, processor, trainer.state, folder, facts, pace)
    return folder.path
