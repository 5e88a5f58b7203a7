"""What a run would do, in words: for `linmap train --dry-run`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from torch import nn

from linmap.data.images import UnreadableImages
from linmap.recipes.assembly import assemble_model, read_splits
from linmap.recipes.examples import CaptionExamples, caption_lengths
from linmap.recipes.schema import Recipe

if TYPE_CHECKING:
    from linmap.prefix.modeling import LinearVisionPrefixModel

__all__ = ["MIB", "describe", "mebibytes", "origin_of", "size_of"]

MIB = 2**20
SAVED_VALUES_PER_HIDDEN = 17
"""Activations a transformer layer keeps for the backward pass, in values a token and hidden unit: 34 bytes at 2 bytes
a value (arXiv 2205.05198, section 4.1, without the attention scores, which fused attention does not keep)."""


def describe(recipe: Recipe) -> str:
    """Loads the frozen parts, reads the captions, and says what the run would freeze, train, read and need.

    No photo is opened and nothing is written.
    """
    model, processor = assemble_model(recipe)
    training, validation = read_splits(recipe.data, UnreadableImages(recipe.data.unreadable_limit))
    looked_at = validation[: recipe.evaluation.photos]
    examples = CaptionExamples.every_caption(training)
    lengths = caption_lengths(processor.tokenizer, [caption for _, caption in examples.pairs])
    said = recipe.training
    drawn = said.steps * said.batch_size * said.gradient_accumulation
    lines = [recipe.description, ""]
    if model.encoder is not None:
        origin = origin_of(model.encoder.fingerprint)
        lines.append(f"frozen   {recipe.model.encoder}: {size_of(model.encoder)}, {origin}")
    language_model = (model.config.backbones or {}).get("language_model", {})
    layer = model.projector
    lines += [
        f"frozen   {recipe.model.language_model}: {size_of(model.language_model)}, {language_model.get('license')}",
        f"trained  projector: {size_of(layer)}, {layer.in_features} -> {layer.out_features}, "
        f"{model.config.num_image_tokens} image tokens, start: {recipe.initialisation.method}",
        f"photos   {len(training):,} of {recipe.data.train_split!r}, {len(looked_at):,} of "
        f"{recipe.data.validation_split!r} for validation",
        f"captions {len(examples):,}, {sum(lengths) / len(lengths):.1f} tokens on average, {max(lengths)} at most; "
        f"prompt {recipe.model.prompt!r}",
        f"steps    {said.steps:,} of {said.batch_size * said.gradient_accumulation} captions = "
        f"{drawn / max(len(examples), 1):.1f} epochs; evaluation and checkpoint every {recipe.evaluation.every}",
        f"kept     the weights of the best validation {recipe.evaluation.metric}",
        f"memory   about {_memory(recipe, model, len(training) + len(looked_at), max(lengths)) / 1024:.1f} GiB: "
        "weights, gradients, AdamW, encoded photos, and the activations of the longest batch",
    ]
    return "\n".join(lines)


def origin_of(fingerprint: object) -> str:
    """Revision and licence of a frozen part, or that its weights are random."""
    facts = [getattr(fingerprint, name) for name in ("revision", "license")]
    random = "" if getattr(fingerprint, "pretrained", True) else "random weights"
    return ", ".join(str(fact) for fact in (random, *facts) if fact) or "no licence known"


def size_of(module: nn.Module) -> str:
    """Parameters and MiB of a part, in words."""
    count = sum(parameter.numel() for parameter in module.parameters())
    return f"{count:,} parameters, {mebibytes(module.parameters()):,.1f} MiB"


def mebibytes(parameters: Iterable[nn.Parameter]) -> float:
    """Memory of weights."""
    return sum(parameter.numel() * parameter.element_size() for parameter in parameters) / MIB


def _memory(recipe: Recipe, model: LinearVisionPrefixModel, photos: int, longest: int) -> float:
    """A rough upper estimate, in MiB."""
    weights = mebibytes(model.parameters())
    learning = 3 * mebibytes(model.projector.parameters())  # gradient and AdamW's two averages
    values = 4 if recipe.data.feature_dtype == "float32" else 2
    image_tokens = model.config.num_image_tokens or 1
    cells = 1 if recipe.model.features == "pooled" else image_tokens
    features = photos * cells * model.projector.in_features * values / MIB if recipe.data.precompute_features else 0.0
    text = model.language_model.config
    bytes_each = next(model.language_model.parameters()).element_size()
    tokens = recipe.training.batch_size * (image_tokens + longest + 1)
    layers = tokens * text.hidden_size * text.num_hidden_layers * SAVED_VALUES_PER_HIDDEN * bytes_each / MIB
    scored = recipe.training.batch_size * (longest + 1)
    logits = scored * text.vocab_size * (bytes_each + 2 * 4) / MIB  # logits, their float32 copy, and its gradient
    return weights + learning + features + layers + logits
