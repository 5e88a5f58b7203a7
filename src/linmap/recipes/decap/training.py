"""A recipe of DeCap becomes a run of `transformers.Trainer`: latents once, training on text, the best weights."""

from __future__ import annotations

import logging
import time
from functools import partial
from pathlib import Path

import torch
from accelerate import PartialState
from transformers import PrinterCallback

from linmap.data.text_latents import TextLatentCollator
from linmap.recipes.callbacks import HistoryPlot, ProgressBar
from linmap.recipes.decap.arguments import pace_of, training_arguments
from linmap.recipes.decap.assembly import DeCapParts, assemble_parts
from linmap.recipes.decap.latents import encoded_photos, encoded_texts, projected_among_others, support_memory
from linmap.recipes.decap.results import DeCapRunFacts, plot_run, round_learned, write_results
from linmap.recipes.decap.schema import DeCapRecipe
from linmap.recipes.decap.texts import TextExamples, TextSplit, read_texts
from linmap.recipes.decap.validation import PhotoValidation, require_scorer
from linmap.recipes.examples import LengthGroupedBatches, ShuffledExamples, caption_lengths
from linmap.recipes.outputs import OutputFolder
from linmap.recipes.results import generate_by_default
from linmap.recipes.trainer import CaptionTrainer, load_learned, train_to_the_end

__all__ = ["train"]

logger = logging.getLogger(__name__)


def train(recipe: DeCapRecipe, output: str | Path, *, resume: bool = False, overwrite: bool = False) -> Path:
    """Trains the linear layer, and the decoder if it learns, as `recipe` says; see `linmap.recipes.methods.train`.

    What learns sees text alone: photos, where the recipe names any, are read to be captioned and scored.
    """
    folder = OutputFolder(Path(output))
    checkpoint = folder.open(recipe, resume=resume, overwrite=overwrite)
    if folder.finished:
        logger.warning("%s holds a finished run; there is nothing to resume", folder.path)
        return folder.path
    photos = recipe.evaluation.photos
    if photos is not None:
        require_scorer(photos.tokenizer)
    texts, validation_texts = read_texts(recipe.data, recipe.training.seed)
    parts = assemble_parts(recipe, texts)
    model, processor, _ = parts
    machine = PartialState()
    torch.nn.Module.to(model, machine.device)
    training = encoded_texts(recipe, parts, texts, folder.cache, "train-texts")
    held_out = encoded_texts(recipe, parts, validation_texts, folder.cache, "validation-texts")
    memory = None if recipe.memory is None else support_memory(recipe.memory, parts, training)
    said = recipe.data
    shown = projected_among_others(training, said.projected_share, said.projected_tau, recipe.training.seed)
    validation = None
    if photos is not None:
        validation = PhotoValidation(recipe, parts, encoded_photos(photos, parts, folder.cache), memory)

    pace = pace_of(recipe, len(texts))
    trainer = CaptionTrainer(
        model=model,
        args=training_arguments(recipe, folder.path, pace),
        processor=processor,
        data_collator=TextLatentCollator(processor, embed=parts.embed_texts),
        train_dataset=TextExamples(shown),
        eval_dataset=TextExamples(_by_length(parts, held_out)),
        train_sampler=_sampler(recipe, parts, texts),
        validation_numbers=None if validation is None else validation.numbers,
        shifted=False,
        callbacks=[ProgressBar(), HistoryPlot(partial(plot_run, folder=folder.path))],
    )
    trainer.remove_callback(PrinterCallback)  # the bar shows the same numbers
    started = time.perf_counter()
    train_to_the_end(trainer, checkpoint, lambda best: load_learned(model, best))
    seconds = round(time.perf_counter() - started, 1)
    learned = round_learned(model.eval(), getattr(torch, recipe.training.weights_dtype))
    generate_by_default(model.generation_config, recipe.generation, processor.tokenizer)
    facts = DeCapRunFacts(
        texts=len(texts),
        validation_texts=len(validation_texts),
        photos=0 if validation is None else len(validation.photos.photos),
        table={} if validation is None else validation.table(),
        pace=pace,
        seconds=seconds,
        device=str(machine.device),
    )
    model.memory = memory
    write_results(recipe, parts, learned, trainer.state, folder, facts)
    return folder.path


def _by_length(parts: DeCapParts, split: TextSplit) -> TextSplit:
    """The same, sorted by length: the loss does not depend on the order, the padding does."""
    lengths = caption_lengths(parts.processor.tokenizer, split.texts)
    return split.rows(sorted(range(len(lengths)), key=lengths.__getitem__))


def _sampler(recipe: DeCapRecipe, parts: DeCapParts, texts: list[str]) -> ShuffledExamples:
    said = recipe.training
    if not said.length_grouped:
        return ShuffledExamples(len(texts), seed=said.seed)
    longest = recipe.model.max_length
    lengths = [min(length, longest) for length in caption_lengths(parts.processor.tokenizer, texts)]
    return LengthGroupedBatches(lengths, said.batch_size, seed=said.seed)
