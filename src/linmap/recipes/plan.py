"""What a run would do, in words: for `linmap train --dry-run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from linmap.recipes.assembly import outline_model
from linmap.recipes.at_hand import Counted, count
from linmap.recipes.needs import (
    MIB,
    decoder_activations,
    encoder_activations,
    in_words,
    learning,
    mebibytes,
)
from linmap.recipes.schema import Recipe
from linmap.recipes.sections import STORED

if TYPE_CHECKING:
    from linmap.prefix.modeling import LinearVisionPrefixModel

__all__ = ["describe", "loaded", "origin_of", "size_of"]


def describe(recipe: Recipe) -> str:
    """What the run would freeze, train, load, read and need, from configurations and captions alone.

    No weight is loaded, no photo is opened and nothing is written. Nothing is fetched, but for the configuration of a
    part that linmap does not know. Data that is not here is named.
    """
    if recipe.model.is_blind:
        return _describe_blind(recipe)
    model = outline_model(recipe)
    counted = count(recipe)
    said = recipe.training
    parts = said.gradient_accumulation
    at_once = said.batch_size * parts
    epochs = "" if counted.captions is None else f" = {said.steps * at_once / max(counted.captions, 1):.1f} epochs"
    lines = [
        recipe.description,
        "",
        *_parts(recipe, model),
        *counted.lines,
        f"batch    {at_once:,} captions a step on one device: {said.batch_size} at a time, {parts} times",
        f"steps    {said.steps:,} of {at_once:,} captions{epochs}; evaluation and checkpoint every "
        f"{recipe.evaluation.every}",
        f"kept     the weights of the best validation {recipe.evaluation.metric}",
        f"memory   {in_words(_memory(recipe, model, counted))}",
    ]
    return "\n".join(lines)


def origin_of(fingerprint: object) -> str:
    """Revision and licence of a frozen part, or that its weights are random."""
    facts = [getattr(fingerprint, name) for name in ("revision", "license")]
    random = "" if getattr(fingerprint, "pretrained", True) else "random weights"
    return ", ".join(str(fact) for fact in (random, *facts) if fact) or "no licence known"


def size_of(module: nn.Module) -> str:
    """Parameters and MiB of a part, in words."""
    amount = sum(parameter.numel() for parameter in module.parameters())
    return f"{amount:,} parameters, {mebibytes(module.parameters()):,.1f} MiB"


def loaded(parts: dict[str, nn.Module]) -> str:
    """The line of a plan that says which weights a run looks for.

    Args:
        parts: Name -> the pretrained part.
    """
    amount = sum(mebibytes(part.parameters()) for part in parts.values())
    return f"loaded   {', '.join(parts)}: {amount:,.1f} MiB in memory" if parts else "loaded   nothing"


def _describe_blind(recipe: Recipe) -> str:
    from linmap.prefix.outline import outline_language_model

    said = recipe.model
    dtype = getattr(torch, said.language_model_dtype)
    language_model, fingerprint = outline_language_model(said.language_model, gguf_file=said.gguf_file, dtype=dtype)
    lines = [
        recipe.description,
        "",
        f"frozen   {said.language_model}: {size_of(language_model)}, {fingerprint.license or 'no licence known'}",
        "trained  nothing: no image is shown",
        loaded({said.language_model: language_model}),
        f"photos   none: the language model continues {said.prompt!r}, or a question, alone",
        "steps    none; it is measured beside any model of the same language model: --control blind of linmap evaluate",
        f"memory   {in_words({'weights': mebibytes(language_model.parameters())})}",
    ]
    return "\n".join(lines)


def _parts(recipe: Recipe, model: LinearVisionPrefixModel) -> list[str]:
    """What is frozen, what learns, what is loaded."""
    said = recipe.model
    lines: list[str] = []
    pretrained: dict[str, nn.Module] = {}
    if recipe.data.format == STORED:
        lines.append(f"absent   {said.encoder}: its features are read from {recipe.data.captions}")
    elif model.encoder is not None and said.encoder is not None:
        how = "trained " if said.trained_encoder else "frozen  "
        rate = f", learning rate {recipe.training.encoder_learning_rate}" if said.trained_encoder else ""
        lines.append(f"{how} {said.encoder}: {size_of(model.encoder)}, {origin_of(model.encoder.fingerprint)}{rate}")
        if said.encoder_pretrained:
            pretrained[said.encoder] = model.encoder
    record = (model.config.backbones or {})["language_model"]
    pretrained[said.language_model] = model.language_model
    lines.append(
        f"frozen   {said.language_model}: {size_of(model.language_model)}, {record['license'] or 'no licence known'}"
    )
    layer = model.projector
    lines.append(
        f"trained  projector: {size_of(layer)}, {layer.in_features} -> {layer.out_features}, "
        f"{model.config.num_image_tokens} image tokens, start: {recipe.initialisation.method}"
    )
    if model.adapters is not None:
        lines.append(
            f"trained  adapters: {size_of(model.adapters)}, one behind each of {len(model.adapters)} MLPs, "
            f"{said.adapter_downsample} times narrower"
        )
    return [*lines, loaded(pretrained)]


def _memory(recipe: Recipe, model: LinearVisionPrefixModel, counted: Counted) -> dict[str, float]:
    """A rough upper estimate, in MiB."""
    data, batch = recipe.data, recipe.training.batch_size
    held = [part for part in model.children() if part is not model.encoder or data.format != STORED]
    needed = {"weights": sum(mebibytes(part.parameters()) for part in held), "gradients and AdamW": learning(model)}
    image_tokens = model.config.num_image_tokens or 1
    if data.precompute_features and data.format != STORED and counted.photos is not None:
        cells = 1 if recipe.model.features == "pooled" else image_tokens
        photos = counted.photos + (counted.validation or 0)
        values = photos * cells * model.projector.in_features
        needed["encoded photos"] = values * (4 if data.feature_dtype == "float32" else 2) / MIB
    tokens = image_tokens + counted.longest + 1
    needed["activations of the longest batch"] = decoder_activations(
        model.language_model, rows=batch, tokens=tokens, scored=counted.longest + 1
    )
    if recipe.model.trained_encoder:
        needed["activations of the encoder"] = encoder_activations(model.encoder, images=batch)
    return needed
