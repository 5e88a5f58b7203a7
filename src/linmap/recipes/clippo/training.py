"""A recipe of CLIPPO becomes a run of `transformers.Trainer`: mixed batches, retrieval on the way, the best weights."""

from __future__ import annotations

import logging
import time
from functools import partial
from pathlib import Path

import torch
from transformers import PrinterCallback, TrainerCallback

from linmap.data.images import open_photo
from linmap.data.mixed_pairs import MixedPairCollator
from linmap.recipes.callbacks import HistoryPlot, ProgressBar, SamplePage
from linmap.recipes.clippo.arguments import training_arguments
from linmap.recipes.clippo.assembly import assemble_model
from linmap.recipes.clippo.drawing_batches import what_is_drawn
from linmap.recipes.clippo.photos import made_small, opened_photos
from linmap.recipes.clippo.results import write_results
from linmap.recipes.clippo.schema import ClippoRecipe
from linmap.recipes.clippo.validation import ClippoValidation
from linmap.recipes.launcher import is_first
from linmap.recipes.outputs import OutputFolder
from linmap.recipes.pair_results import PairRunFacts, plot_run
from linmap.recipes.pairs import PairSplit
from linmap.recipes.processes import first_one_opens
from linmap.recipes.streamed import EachPhotoOnce
from linmap.recipes.trainer import load_learned, train_to_the_end

__all__ = ["train"]

logger = logging.getLogger(__name__)


def train(recipe: ClippoRecipe, output: str | Path, *, resume: bool = False, overwrite: bool = False) -> Path:
    """Trains tower, head and temperature as `recipe` says; see `linmap.recipes.methods.train`."""
    folder = OutputFolder(Path(output))
    arguments = training_arguments(recipe, folder.path)
    checkpoint = first_one_opens(
        arguments, lambda: folder.open(recipe, resume=resume, overwrite=overwrite), resume=resume
    )
    if folder.finished:
        logger.warning("%s holds a finished run; there is nothing to resume", folder.path)
        return folder.path
    unreadable = EachPhotoOnce(recipe.data.unreadable_limit)
    with arguments.main_process_first(local=False, desc="looking through the shards"):  # the others read the counts
        learned, chosen_by = opened_photos(recipe, unreadable, folder.cache)
    model, processor = assemble_model(recipe)
    torch.nn.Module.to(model, arguments.device)
    if arguments.device.type == "cpu":
        _unfuse(model)
    if recipe.data.precompute_features:
        chosen_by = made_small(chosen_by, processor.image_size)
        if recipe.photo_rows:  # else their captions alone are learned from, and no photo need be there
            learned = learned.made_small(processor.image_size)
    validation = ClippoValidation(
        model,
        processor,
        PairSplit(chosen_by, None, None),
        batch_size=recipe.evaluation.batch_size,
        dtype=getattr(torch, recipe.training.dtype),
    )
    kind, drawn = what_is_drawn(recipe, learned, arguments.world_size)
    trainer = kind(
        said=recipe.training,
        model=model,
        args=arguments,
        processor=processor,
        data_collator=MixedPairCollator(processor),
        eval_dataset=chosen_by,  # the Trainer wants one; the numbers come from `validation`
        validation_numbers=validation.numbers,
        callbacks=_shown(recipe, validation, folder) if is_first() else [],
        **drawn,
    )
    trainer.remove_callback(PrinterCallback)  # the bar shows the same numbers
    started = time.perf_counter()
    train_to_the_end(trainer, checkpoint, lambda best: load_learned(model, best))
    seconds = round(time.perf_counter() - started, 1)
    with arguments.main_process_first(local=False, desc="writing the model"):
        if is_first():
            facts = PairRunFacts(
                photos=learned.photos,
                captions=learned.captions,
                validation_photos=len(chosen_by),
                validation_captions=len(validation.split.captions),
                scores=validation.scores(),
                seconds=seconds,
                device=str(arguments.device),
                processes=arguments.world_size,
            )
            write_results(recipe, model.eval(), processor, trainer.state, folder, facts)
    return folder.path


def _shown(recipe: ClippoRecipe, validation: ClippoValidation, folder: OutputFolder) -> list[TrainerCallback]:
    """What a run shows while it trains."""
    shown = validation.split.photos[: recipe.evaluation.samples]
    page = SamplePage(
        folder.path,
        [open_photo(photo.image) for photo in shown],
        [photo.captions[0] for photo in shown],
        lambda: validation.nearest(len(shown)),
        names=[str(photo.image) for photo in shown],
    )
    return [ProgressBar(), HistoryPlot(partial(plot_run, folder=folder.path)), *([page] if shown else [])]


def _unfuse(model: torch.nn.Module) -> None:
    """Attention in three steps: on a CPU the fused kernel's gradient takes longer than all the rest of the tower."""
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False  # type: ignore[assignment]
