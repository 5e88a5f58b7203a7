"""A recipe becomes a run of `transformers.Trainer`: features once, ridge start, training, the best weights kept."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import PrinterCallback, TrainingArguments

from linmap.data.captions import Captioned
from linmap.data.collation import CaptionCollator
from linmap.data.images import UnreadableImages, open_photo
from linmap.recipes.assembly import assemble_model, read_splits
from linmap.recipes.callbacks import LossPlot, ProgressBar, SamplePage, plot_losses
from linmap.recipes.examples import (
    CaptionExamples,
    LengthGroupedBatches,
    ShuffledExamples,
    caption_lengths,
)
from linmap.recipes.features import cached_features, encode_photos
from linmap.recipes.initialisation import mean_caption_embeddings, start_from_ridge
from linmap.recipes.outputs import OutputFolder
from linmap.recipes.schema import Recipe
from linmap.recipes.trainer import CaptionTrainer

if TYPE_CHECKING:
    from linmap.prefix.modeling import LinearVisionPrefixModel
    from linmap.prefix.processing import LinearVisionPrefixProcessor

__all__ = ["train"]

logger = logging.getLogger(__name__)

LOGGING_STEPS = 10


@dataclass(frozen=True)
class Split:
    """The readable photos of a split and, if they were encoded beforehand, their features (photos, cells, dim)."""

    photos: list[Captioned]
    features: Tensor | None


def train(recipe: Recipe, output: str | Path, *, resume: bool = False, overwrite: bool = False) -> Path:
    """Trains the linear layer as `recipe` says and writes the model to `output`.

    `output` then holds the projection with its configuration, the processor, the recipe as resolved (`recipe.yaml`),
    the numbers (`training_log.json`), their plot (`loss.png`), captions on the way (`samples.md`), and the kept
    checkpoints in folders of their own. The weights are those of the best validation loss or CIDEr-D.

    Args:
        recipe: What to train on what.
        output: Folder of the run; made if need be.
        resume: Go on from the last complete checkpoint in `output`. On a CPU the final weights are bit-equal to
            those of a run that was never cut off.
        overwrite: Start anew in a folder that holds a run already, which is lost.

    Returns:
        The folder, ready for `LinearVisionPrefixModel.from_pretrained`.

    Raises:
        OutputFolderError: when `output` holds a run and neither `resume` nor `overwrite` says what to do with it, or
            `resume` finds nothing to go on from.
        UnreadableImageError: for the first unreadable photo beyond `data.unreadable_limit`.
    """
    folder = OutputFolder(Path(output))
    checkpoint = folder.open(recipe, resume=resume, overwrite=overwrite)
    if folder.finished:
        logger.warning("%s holds a finished run; there is nothing to resume", folder.path)
        return folder.path
    arguments = training_arguments(recipe, folder.path)
    unreadable = UnreadableImages(recipe.data.unreadable_limit)
    train_photos, validation_photos = read_splits(recipe.data, unreadable)
    model, processor = assemble_model(recipe)
    model.to(arguments.device)

    validation_photos = validation_photos[: recipe.evaluation.photos]
    training, validation = _encoded(recipe, model, processor, folder, train_photos, validation_photos, unreadable)
    numbers: dict[str, Any] = {}
    if checkpoint is None and recipe.initialisation.method == "ridge":
        numbers["ridge_explained_variance"] = _start(recipe, model, processor, training)

    examples = CaptionExamples.every_caption(training.photos, training.features)
    trainer = CaptionTrainer(
        model=model,
        args=arguments,
        processing_class=processor,
        data_collator=CaptionCollator(
            processor, max_caption_tokens=recipe.data.max_caption_tokens, unreadable=unreadable
        ),
        train_dataset=examples,
        eval_dataset=_validation_examples(processor, validation),
        train_sampler=_sampler(recipe, processor, examples),
        validation_numbers=_cider(recipe, model, processor, validation)
        if recipe.evaluation.metric == "cider"
        else None,
        callbacks=[
            ProgressBar(),
            LossPlot(folder.path / "loss.png"),
            _samples(recipe, model, processor, folder, validation),
        ],
    )
    trainer.remove_callback(PrinterCallback)  # the bar shows the same numbers
    started = time.perf_counter()
    _run(trainer, checkpoint)
    numbers["seconds"] = round(time.perf_counter() - started, 1)
    model.eval()
    _write(recipe, trainer, model, processor, folder, numbers, len(training.photos), len(examples))
    return folder.path


def training_arguments(recipe: Recipe, folder: Path) -> TrainingArguments:
    """The recipe in the Trainer's words."""
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
    if not recipe.data.precompute_features:
        return Split(training, None), Split(validation, None)
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
        [photo.image for photo in (*training, *validation)],
        folder.cache,
        identity=identity,
        dtype=getattr(torch, recipe.data.feature_dtype),
        unreadable=unreadable,
    )
    both = [*training, *validation]
    of_training = sum(row < len(training) for row in rows)
    photos = [both[row] for row in rows]
    return (
        Split(photos[:of_training], features[:of_training]),
        Split(photos[of_training:], features[of_training:]),
    )


def _start(
    recipe: Recipe, model: LinearVisionPrefixModel, processor: LinearVisionPrefixProcessor, training: Split
) -> float:
    """Ridge start of the linear layer; returns the share of the variance it explains."""
    photos = training.photos
    if training.features is not None:
        inputs = torch.stack([row.float().mean(0) for row in training.features])
    else:
        features, rows = encode_photos(
            model,
            processor,
            [photo.image for photo in photos],
            mean=True,
            unreadable=UnreadableImages(recipe.data.unreadable_limit),
        )
        inputs, photos = features.squeeze(1), [photos[row] for row in rows]
    targets = mean_caption_embeddings(model, processor.tokenizer, [photo.captions for photo in photos])
    said = recipe.initialisation
    explained = start_from_ridge(model, inputs, targets, ridge=said.ridge, noise=said.noise, seed=recipe.training.seed)
    logger.info("The ridge start explains %.1f %% of the variance of mean caption embeddings", 100 * explained)
    return explained


def _sampler(recipe: Recipe, processor: LinearVisionPrefixProcessor, examples: CaptionExamples) -> ShuffledExamples:
    if not recipe.training.length_grouped:
        return ShuffledExamples(len(examples), seed=recipe.training.seed)
    lengths = caption_lengths(processor.tokenizer, [caption for _, caption in examples.pairs])
    return LengthGroupedBatches(lengths, recipe.training.batch_size, seed=recipe.training.seed)


def _validation_examples(processor: LinearVisionPrefixProcessor, validation: Split) -> CaptionExamples:
    """One caption of each photo, sorted by length: the loss does not depend on the order, the padding does."""
    examples = CaptionExamples.one_caption_each(validation.photos, validation.features)
    lengths = caption_lengths(processor.tokenizer, [caption for _, caption in examples.pairs])
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    return CaptionExamples(validation.photos, [examples.pairs[i] for i in order], validation.features)


def _captions(
    recipe: Recipe, model: LinearVisionPrefixModel, processor: LinearVisionPrefixProcessor, split: Split, count: int
) -> list[str]:
    """Greedy captions of the first `count` photos of `split`."""
    model.eval()
    captions: list[str] = []
    for start in range(0, count, recipe.evaluation.batch_size):
        stop = min(start + recipe.evaluation.batch_size, count)
        if split.features is not None:
            inputs = processor(image_features=split.features[start:stop].float(), return_tensors="pt")
        else:
            pictures = [open_photo(photo.image) for photo in split.photos[start:stop]]
            inputs = processor(images=pictures, return_tensors="pt")
        generated = model.generate(
            **inputs.to(model.projector.weight.device),
            max_new_tokens=recipe.evaluation.max_new_tokens,
            do_sample=False,
            num_beams=1,
        )
        captions += processor.caption(generated)
    return captions


def _samples(
    recipe: Recipe,
    model: LinearVisionPrefixModel,
    processor: LinearVisionPrefixProcessor,
    folder: OutputFolder,
    validation: Split,
) -> SamplePage:
    shown = validation.photos[: recipe.evaluation.samples]
    return SamplePage(
        folder.path,
        [open_photo(photo.image) for photo in shown],
        [photo.captions[0] for photo in shown],
        lambda: _captions(recipe, model, processor, validation, len(shown)),
    )


def _cider(
    recipe: Recipe, model: LinearVisionPrefixModel, processor: LinearVisionPrefixProcessor, validation: Split
) -> Any:
    """CIDEr-D of greedy captions of the validation photos, as a function of the model as it then is."""
    from linmap.evaluation import cider_d

    references = [list(photo.captions) for photo in validation.photos]

    def numbers() -> dict[str, float]:
        candidates = _captions(recipe, model, processor, validation, len(references))
        return {"cider": cider_d(candidates, references, tokenizer=recipe.evaluation.tokenizer).value}

    return numbers


def _run(trainer: CaptionTrainer, checkpoint: Path | None) -> None:
    """Trains; a checkpoint of the last step is only loaded, since the Trainer would go one step too far."""
    if checkpoint is not None:
        state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        if state["global_step"] >= trainer.args.max_steps:
            trainer.state.log_history = state["log_history"]
            trainer.state.best_metric = state["best_metric"]
            trainer.state.best_global_step = state["best_global_step"]
            trainer.state.global_step = state["global_step"]
            best = checkpoint.with_name(f"checkpoint-{state['best_global_step']}")
            trainer._load_from_checkpoint(str(best))
            return
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)


def _write(
    recipe: Recipe,
    trainer: CaptionTrainer,
    model: LinearVisionPrefixModel,
    processor: LinearVisionPrefixProcessor,
    folder: OutputFolder,
    numbers: dict[str, Any],
    photos: int,
    captions: int,
) -> None:
    """The model and everything about the run; the log comes last and says that all is there."""
    model.save_pretrained(folder.path)
    processor.save_pretrained(folder.path)
    history: Sequence[dict[str, float]] = trainer.state.log_history
    plot_losses(history, folder.path / "loss.png")
    facts = {
        "steps": trainer.state.global_step,
        "best_step": trainer.state.best_global_step,
        "best_metric": {trainer.args.metric_for_best_model: trainer.state.best_metric},
        "photos": photos,
        "captions": captions,
        "epochs": round(
            trainer.state.global_step
            * recipe.training.batch_size
            * recipe.training.gradient_accumulation
            / max(captions, 1),
            2,
        ),
        **numbers,
        "device": str(trainer.args.device),
        "torch": torch.__version__,
        "history": history,
    }
    part = folder.path / "training_log.json.part"
    part.write_text(json.dumps(facts, indent=1, allow_nan=True), encoding="utf-8")
    part.replace(folder.path / "training_log.json")
    best = trainer.state.best_metric
    logger.info(
        "Kept step %s (%s)", trainer.state.best_global_step, "n/a" if best is None or math.isnan(best) else best
    )
