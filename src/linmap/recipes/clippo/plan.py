"""What a run of CLIPPO would do, in words: for `linmap train --dry-run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from linmap.data.images import UnreadableImages
from linmap.data.shards import caption_shards
from linmap.recipes.assembly import read_splits
from linmap.recipes.at_hand import lines_of_missing, missing_captions, missing_data
from linmap.recipes.clippo.assembly import outline_model
from linmap.recipes.clippo.schema import ClippoRecipe
from linmap.recipes.needs import MIB, in_words, kept_for_backward, learning, mebibytes
from linmap.recipes.plan import size_of
from linmap.recipes.sections import STREAMED

if TYPE_CHECKING:
    from linmap.clippo.modeling import ClippoModel

__all__ = ["describe"]

LENGTH = 16
"""Tokens of a text, for the estimate of memory alone."""


def describe(recipe: ClippoRecipe) -> str:
    """What the run would train, load, read and need, from configurations and captions alone.

    No weight is loaded, no photo is opened and nothing is written. Nothing is fetched. Data that is not here is named.
    """
    model, said, shape = outline_model(recipe), recipe.training, recipe.model
    drawn = shape.text_input == "pixels"
    lines = [
        recipe.description,
        "",
        f"trained  tower: {size_of(model.tower)}, {shape.num_hidden_layers} blocks of {shape.hidden_size}, "
        f"{shape.image_size} px in patches of {shape.patch_size}, start: {shape.initial_weights or 'random'}",
    ]
    for name, part in (
        ("text tower", model.text_tower),
        ("text patch embedding", model.text_patch_embedding),
        (f"text embedding of {shape.tokenizer}", model.text_embedding),
        ("head", model.projection),
        ("text head", model.text_projection),
    ):
        if part is not None:
            lines.append(f"trained  {name}: {size_of(part)}")
    reading = "drawn, in pictures of the same size" if drawn else f"as at most {shape.max_text_tokens} tokens"
    lines += [
        f"in all   {model.num_parameters():,} parameters; texts are read {reading}",
        f"loaded   {shape.initial_weights or 'nothing'}",
        f"loss     softmax over {said.batch_size:,} pairs of all processes; captions of a photo are never negatives",
        *_batch(recipe),
        *_photos(recipe),
        f"steps    {said.steps:,} of {said.batch_size:,} pairs; evaluation and checkpoint every "
        f"{recipe.evaluation.every}",
        f"rate     {said.learning_rate:g} with {said.optimizer}, {said.schedule} after {said.warmup_steps:,} steps of "
        f"warm-up" + (f", cooldown of {said.cooldown_steps:,}" if said.cooldown_steps else ""),
        f"kept     the weights of the best validation {recipe.evaluation.metric}",
        f"memory   {in_words(_memory(recipe, model))}",
    ]
    return "\n".join(lines)


def _batch(recipe: ClippoRecipe) -> list[str]:
    """What a batch is made of."""
    shown = ", each as it is or mirrored" if recipe.data.mirror and recipe.photo_rows else ""
    if recipe.data.crop < 1 and recipe.photo_rows:
        shown += f", cropped to {100 * recipe.data.crop:g} % of its sides or more"
    lines = [f"batch    {recipe.photo_rows:,} photos with a caption{shown}"]
    for said, rows in zip(recipe.data.text_pairs, recipe.text_rows, strict=True):
        lines.append(f"         {rows:,} {said.kind.replace('_', ' ')} of {said.source or 'the training photos'}")
    return lines


def _photos(recipe: ClippoRecipe) -> list[str]:
    """Those that are here, counted; what is not here is named."""
    said = recipe.data
    missing = missing_data(said)
    for number, pairs in enumerate(said.text_pairs):
        if pairs.source is not None:
            missing += missing_captions({f"data.text_pairs[{number}].source": pairs.source}, "text")
    if missing:
        return lines_of_missing(missing, "photos and epochs")
    if said.format == STREAMED:
        return [f"photos   {len(caption_shards(said.captions)):,} shards"]
    training, validation = read_splits(said, UnreadableImages(said.unreadable_limit))
    captions = sum(len(photo.captions) for photo in training)
    epochs = recipe.training.steps * recipe.photo_rows / max(captions, 1)
    return [
        f"photos   {len(training):,} of {said.train_split!r}, {len(validation[: recipe.evaluation.photos]):,} of "
        f"{said.validation_split!r} for validation",
        f"captions {captions:,}, each shown {epochs:.1f} times",
    ]


def _memory(recipe: ClippoRecipe, model: ClippoModel) -> dict[str, float]:
    """A rough estimate for one process, in MiB; the whole batch in it."""
    rows = recipe.training.batch_size
    at_once = min(recipe.model.mini_batch_size or rows, rows)
    side = recipe.model.image_size
    pixels = torch.empty(1, 3, side, side, device="meta")
    texts = torch.empty(1, LENGTH, dtype=torch.int64, device="meta")
    model.train()
    image = kept_for_backward(lambda: model.encode_images(pixels), model) or 0
    text = kept_for_backward(lambda: model.encode_texts(None, texts), model) or 0 if model.text_embedding else image
    model.eval()
    values = 0.5 if recipe.training.dtype == "bfloat16" else 1.0
    held = 2 if recipe.model.mini_batch_size is None else 1  # both sides at once, or one part after another
    both = (image + text) / 2 * held
    moments = 2 / 3 if recipe.training.optimizer == "adafactor" else 1.0  # a momentum, and rows and columns
    return {
        "weights": mebibytes(model.parameters()),
        f"gradients and {recipe.training.optimizer}": learning(model) * moments,
        "activations": both * at_once * values / MIB,
        "a batch of pixels": 2 * rows * 3 * side * side * 4 / MIB,
    }
