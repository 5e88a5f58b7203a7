"""A recipe becomes a run of `transformers.Trainer`: features once, ridge start, training, the best weights kept."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import PrinterCallback, TrainerCallback

from linmap.data.captions import Captioned
from linmap.data.collation import CaptionCollator
from linmap.data.encoding import readable_photos
from linmap.data.images import UnreadableImages
from linmap.recipes.arguments import training_arguments
from linmap.recipes.assembly import assemble_model, read_splits
from linmap.recipes.callbacks import HistoryPlot, ProgressBar, plot_losses
from linmap.recipes.examples import CaptionExamples, LengthGroupedBatches, ShuffledExamples, caption_lengths
from linmap.recipes.features import cached_features, encode_photos
from linmap.recipes.initialisation import evenly_spaced, mean_caption_embeddings, start_from_ridge
from linmap.recipes.launcher import is_first, process_count
from linmap.recipes.outputs import OutputFolder
from linmap.recipes.processes import first_one_opens
from linmap.recipes.results import RunFacts, write_results
from linmap.recipes.schema import Recipe
from linmap.recipes.sections import STORED, STREAMED
from linmap.recipes.stored_features import stored_splits
from linmap.recipes.streamed import EachPhotoOnce, StreamedTrainer, open_stream, validation_photos
from linmap.recipes.trainer import CaptionTrainer, load_learned, train_to_the_end
from linmap.recipes.validation import Split, Validation

if TYPE_CHECKING:
    from linmap.prefix.modeling import LinearVisionPrefixModel
    from linmap.prefix.processing import LinearVisionPrefixProcessor

__all__ = ["train"]

logger = logging.getLogger(__name__)

RIDGE_PHOTOS = 100_000
"""Photos that a ridge start looks at, at most: with a few thousand channels, more would change nothing but the time."""


def train(recipe: Recipe, output: str | Path, *, resume: bool = False, overwrite: bool = False) -> Path:
    """Trains the linear layer as `recipe` says; see `linmap.recipes.methods.train`."""
    folder = OutputFolder(Path(output))
    arguments = training_arguments(recipe, folder.path)
    checkpoint = first_one_opens(
        arguments, lambda: folder.open(recipe, resume=resume, overwrite=overwrite), resume=resume
    )
    if folder.finished:
        logger.warning("%s holds a finished run; there is nothing to resume", folder.path)
        return folder.path
    unreadable = EachPhotoOnce(recipe.data.unreadable_limit)
    explained = None
    if recipe.data.format == STREAMED:
        with arguments.main_process_first(local=False, desc="looking through the shards"):  # the others read the counts
            stream = open_stream(recipe, unreadable, folder.cache)
        chosen_by = validation_photos(recipe, unreadable)
        model, processor = assemble_model(recipe)
        torch.nn.Module.to(model, arguments.device)
        drawn: dict[str, Any] = {"stream": stream, "workers": recipe.data.workers}
        kind: type[CaptionTrainer] = StreamedTrainer
        photos = captions = stream.count()
    else:
        if recipe.data.format == STORED:
            training, chosen_by, identity = stored_splits(recipe)
            chosen_by = chosen_by.first(recipe.evaluation.photos)
            model, processor = assemble_model(recipe, identity)
            torch.nn.Module.to(model, arguments.device)
        else:
            read, looked_at = read_splits(recipe.data, unreadable)
            looked_at = looked_at[: recipe.evaluation.photos]
            model, processor = assemble_model(recipe)
            torch.nn.Module.to(model, arguments.device)
            with arguments.main_process_first(local=False, desc="encoding the photos"):  # the others read the cache
                training, chosen_by = _encoded(recipe, model, processor, folder, read, looked_at, unreadable)
        if checkpoint is None and recipe.initialisation.method == "ridge":
            explained = _start(recipe, model, processor, training)
        examples = CaptionExamples.every_caption(training.photos, training.features)
        drawn = {"train_dataset": examples, "train_sampler": _sampler(recipe, processor, examples)}
        kind = CaptionTrainer
        photos, captions = len(training.photos), len(examples)

    validation = Validation(recipe.evaluation, model, processor, chosen_by)
    trainer = kind(
        model=model,
        args=arguments,
        processing_class=processor,
        data_collator=CaptionCollator(
            processor,
            recipe.model.training_prompt,
            recipe.data.max_caption_tokens,
            unreadable=EachPhotoOnce(recipe.data.unreadable_limit),
        ),
        eval_dataset=validation.examples(),
        validation_numbers=validation.numbers(),
        encoder_learning_rate=recipe.training.encoder_learning_rate,
        callbacks=_shown(validation, folder) if is_first() else [],
        **drawn,
    )
    trainer.remove_callback(PrinterCallback)  # the bar shows the same numbers
    started = time.perf_counter()
    train_to_the_end(trainer, checkpoint, lambda best: load_learned(model, best))
    facts = RunFacts(
        photos=photos,
        captions=captions,
        validation_photos=len(chosen_by.photos),
        explained=explained,
        seconds=round(time.perf_counter() - started, 1),
        device=str(arguments.device),
        processes=arguments.world_size,
    )
    with arguments.main_process_first(local=False, desc="writing the model"):
        if is_first():
            write_results(recipe, model.eval(), processor, trainer.state, folder, facts)
    return folder.path


def _shown(validation: Validation, folder: OutputFolder) -> list[TrainerCallback]:
    """What a run shows while it trains."""
    return [
        ProgressBar(),
        HistoryPlot(lambda history: plot_losses(history, folder.path / "loss.png")),
        validation.sample_page(folder.path),
    ]


def _encoded(
    recipe: Recipe,
    model: LinearVisionPrefixModel,
    processor: LinearVisionPrefixProcessor,
    folder: OutputFolder,
    training: list[Captioned],
    validation: list[Captioned],
    unreadable: UnreadableImages,
) -> tuple[Split, Split]:
    """Both splits, encoded in one go if the recipe says so; unreadable photos are left out of them."""
    both = [*training, *validation]
    photos = [photo.image for photo in both]

    def parted(rows: list[int], features: Tensor | None) -> tuple[Split, Split]:
        kept = [both[row] for row in rows]
        first = sum(row < len(training) for row in rows)
        before, after = (None, None) if features is None else (features[:first], features[first:])
        return Split(kept[:first], before), Split(kept[first:], after)

    if not recipe.data.precompute_features:
        return parted(readable_photos(photos, unreadable), None)
    assert model.encoder is not None  # a recipe names one
    identity = {
        "encoder": model.encoder.fingerprint.to_dict(),
        "encoder_seed": None if recipe.model.encoder_pretrained else recipe.model.encoder_seed,
        "preprocessing": processor.image_processor.to_dict(),
        "features": recipe.model.features,
        "grid_size": recipe.model.grid_size,
    }
    features, rows = cached_features(
        model,
        processor,
        photos,
        folder.cache,
        identity=identity,
        dtype=getattr(torch, recipe.data.feature_dtype),
        unreadable=unreadable,
    )
    return parted(rows, features)


def _start(
    recipe: Recipe, model: LinearVisionPrefixModel, processor: LinearVisionPrefixProcessor, training: Split
) -> float:
    """Ridge start of the linear layer; returns the share of the variance it explains."""
    rows = evenly_spaced(len(training.photos), RIDGE_PHOTOS)
    photos = [training.photos[row] for row in rows]
    if training.features is not None:
        inputs = torch.stack([training.features[row].float().mean(0) for row in rows])
    else:
        inputs = encode_photos(model, processor, [photo.image for photo in photos], mean=True).features.squeeze(1)
    targets = mean_caption_embeddings(model, processor.tokenizer, [photo.captions for photo in photos])
    said = recipe.initialisation
    explained = start_from_ridge(model, inputs, targets, ridge=said.ridge, noise=said.noise, seed=recipe.training.seed)
    logger.info("The ridge start explains %.1f %% of the variance of mean caption embeddings", 100 * explained)
    return explained


def _sampler(recipe: Recipe, processor: LinearVisionPrefixProcessor, examples: CaptionExamples) -> ShuffledExamples:
    if not recipe.training.length_grouped:
        return ShuffledExamples(len(examples), seed=recipe.training.seed)
    lengths = caption_lengths(processor.tokenizer, [caption for _, caption in examples.pairs])
    said = recipe.training
    together = said.batch_size * said.gradient_accumulation * process_count()  # so that the order depends on it alone
    return LengthGroupedBatches(lengths, together, seed=said.seed)
