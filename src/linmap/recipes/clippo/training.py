"""A recipe of CLIPPO becomes a run of `transformers.Trainer`: mixed batches, retrieval on the way, the best weights."""

from __future__ import annotations

import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from huggingface_hub.utils import tqdm
from PIL import Image
from transformers import PrinterCallback, TrainerCallback

from linmap.data.captions import Captioned
from linmap.data.encoding import readable_photos
from linmap.data.images import Photo, open_photo
from linmap.data.mixed_pairs import MixedPairCollator
from linmap.data.pairs import photo_ids
from linmap.recipes.assembly import read_splits
from linmap.recipes.callbacks import HistoryPlot, ProgressBar, SamplePage
from linmap.recipes.clippo.arguments import training_arguments
from linmap.recipes.clippo.assembly import assemble_model
from linmap.recipes.clippo.batches import MixedBatches, MixedExamples
from linmap.recipes.clippo.results import write_results
from linmap.recipes.clippo.schema import ClippoRecipe
from linmap.recipes.clippo.sources import text_pairs
from linmap.recipes.clippo.trainer import ClippoTrainer
from linmap.recipes.clippo.validation import ClippoValidation
from linmap.recipes.launcher import is_first
from linmap.recipes.outputs import OutputFolder
from linmap.recipes.pair_results import PairRunFacts, plot_run
from linmap.recipes.pairs import PairExamples, PairSplit
from linmap.recipes.processes import first_one_opens
from linmap.recipes.streamed import EachPhotoOnce
from linmap.recipes.trainer import load_learned, train_to_the_end

if TYPE_CHECKING:
    from linmap.clippo.processing import ClippoProcessor

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
    train_photos, validation_photos = read_splits(recipe.data, unreadable)
    model, processor = assemble_model(recipe)
    torch.nn.Module.to(model, arguments.device)
    if arguments.device.type == "cpu":
        _unfuse(model)
    chosen_by = _readable(validation_photos[: recipe.evaluation.photos], unreadable)
    learned = _readable(train_photos, unreadable)
    ids = photo_ids([photo.image for photo in learned])
    if recipe.data.precompute_features:
        learned, chosen_by = _small(learned, processor), _small(chosen_by, processor)
    photos = PairExamples(PairSplit(learned, None, None), views=2 if recipe.data.mirror else 1, ids=ids)
    texts = text_pairs(recipe.data.text_pairs, learned, ids)
    examples = MixedExamples(photos, texts)
    batches = MixedBatches(
        examples, photo_rows=recipe.photo_rows, text_rows=recipe.text_rows, seed=recipe.training.seed
    )
    validation = ClippoValidation(
        model,
        processor,
        PairSplit(chosen_by, None, None),
        batch_size=recipe.evaluation.batch_size,
        dtype=getattr(torch, recipe.training.dtype),
    )
    trainer = ClippoTrainer(
        said=recipe.training,
        model=model,
        args=arguments,
        processor=processor,
        data_collator=MixedPairCollator(processor),
        train_dataset=examples,
        eval_dataset=chosen_by,  # the Trainer wants one; the numbers come from `validation`
        train_sampler=batches,
        validation_numbers=validation.numbers,
        callbacks=_shown(recipe, validation, folder) if is_first() else [],
    )
    trainer.remove_callback(PrinterCallback)  # the bar shows the same numbers
    started = time.perf_counter()
    train_to_the_end(trainer, checkpoint, lambda best: load_learned(model, best))
    facts: dict[str, Any] = {
        "photos": len(learned),
        "captions": len(photos.captions),
        "validation_photos": len(chosen_by),
        "validation_captions": len(validation.split.captions),
        "seconds": round(time.perf_counter() - started, 1),
        "device": str(arguments.device),
        "processes": arguments.world_size,
    }
    with arguments.main_process_first(local=False, desc="writing the model"):
        if is_first():
            run = PairRunFacts(scores=validation.scores(), **facts)
            write_results(recipe, model.eval(), processor, trainer.state, folder, run)
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


def _readable(photos: list[Captioned], unreadable: EachPhotoOnce) -> list[Captioned]:
    return [photos[row] for row in readable_photos([photo.image for photo in photos], unreadable)]


def _small(photos: list[Captioned], processor: ClippoProcessor) -> list[Captioned]:
    """The photos decoded, at the size that the tower sees, in memory."""
    from linmap.clippo.image_processing import resize_without_antialias

    side = processor.image_size

    def small(photo: Photo) -> Image.Image:
        return Image.fromarray(resize_without_antialias(np.asarray(open_photo(photo)), side))

    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        pictures = tqdm(
            pool.map(small, [photo.image for photo in photos]), "Decoding photos", len(photos), unit="photo"
        )
        return [replace(photo, image=picture) for photo, picture in zip(photos, pictures, strict=True)]
