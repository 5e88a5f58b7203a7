"""What a run of DeCap would do, in words: for `linmap train --dry-run`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from torch import nn

from linmap.data.images import UnreadableImages
from linmap.recipes.at_hand import lines_of_missing, missing_captions
from linmap.recipes.decap.arguments import pace_of
from linmap.recipes.decap.assembly import outline_model, tokenizer_of
from linmap.recipes.decap.latents import evaluation_photos
from linmap.recipes.decap.schema import DeCapRecipe
from linmap.recipes.decap.texts import read_texts
from linmap.recipes.examples import caption_lengths
from linmap.recipes.needs import MIB, in_words, learning, mebibytes
from linmap.recipes.plan import loaded, size_of

if TYPE_CHECKING:
    from linmap.decap.modeling import DeCapModel

__all__ = ["describe"]


class Texts(NamedTuple):
    """The text of a run, where it is here."""

    train: list[str]
    validation: list[str]


def describe(recipe: DeCapRecipe) -> str:
    """What the run would freeze, train, load, read and need, from configurations and text alone.

    No weight is loaded, no photo is opened and nothing is written. Nothing is fetched, but for the configuration of a
    part that linmap does not know. Data that is not here is named.
    """
    from linmap.dual.outline import outline_named

    dual = outline_named(recipe.model.dual_encoder)
    model = outline_model(recipe, dual)
    missing = _missing_texts(recipe)
    texts = None if missing else Texts(*read_texts(recipe.data, recipe.training.seed))
    how = "each sentence goes through its text tower once" if recipe.data.precompute_latents else "runs at every step"
    of_decoder = "trained " if model.config.train_decoder else "frozen  "
    named = recipe.model.language_model or "GPT-2 from scratch"
    pretrained: dict[str, nn.Module] = {f"dual encoder {recipe.model.dual_encoder}": dual}
    if recipe.model.language_model is not None:
        pretrained[named] = model.decoder
    lines = [
        recipe.description,
        "",
        f"frozen   dual encoder {recipe.model.dual_encoder}: {size_of(dual)}; {how}",
        f"trained  projector: {size_of(model.projector)}, {model.config.latent_dim} -> "
        f"{model.config.prefix_length} x {model.config.hidden_size}",
        f"{of_decoder} decoder {named}: {size_of(model.decoder)}, {model.decoder.config.vocab_size:,} classes",
        loaded(pretrained),
        *(lines_of_missing(missing, "texts, memory and steps") if texts is None else [_texts(recipe, texts)]),
        *([] if texts is None else [f"memory   {_memory(recipe, texts)}"]),
        f"photos   {_photos(recipe)}",
        _steps(recipe, texts),
        f"kept     the weights of the best validation {recipe.evaluation.metric}",
        f"needs    {in_words(_needed(recipe, model, dual, texts))}; the activations of a batch come on top",
    ]
    return "\n".join(lines)


def _missing_texts(recipe: DeCapRecipe) -> list[str]:
    named = {"data.texts": recipe.data.texts, "data.validation_texts": recipe.data.validation_texts}
    sources = [(key, source.source) for key, several in named.items() for source in several]
    return list(dict.fromkeys(f"{key} {source}" for key, source in sources if not Path(source).exists()))


def _texts(recipe: DeCapRecipe, texts: Texts) -> str:
    lengths = _lengths(recipe, texts.train)
    if lengths is None:
        words = [len(text.split()) for text in texts.train]
        counted = f"{sum(words) / len(words):.1f} words on average, {max(words)} at most"
    else:
        cut = sum(length + 1 > recipe.model.max_length for length in lengths)
        counted = f"{sum(lengths) / len(lengths):.1f} tokens on average, {max(lengths)} at most; {cut:,} cut at "
        counted += str(recipe.model.max_length)
    return f"texts    {len(texts.train):,}, {counted}; {len(texts.validation):,} others for the loss"


def _lengths(recipe: DeCapRecipe, texts: Sequence[str]) -> list[int] | None:
    """In tokens; None where the tokenizer is not on this machine."""
    from linmap.decap.outline import tokenizer_at_hand

    tokenizer = tokenizer_of(recipe, texts)
    if tokenizer is None and recipe.model.language_model is not None:
        tokenizer = tokenizer_at_hand(recipe.model.language_model)
    return None if tokenizer is None else caption_lengths(tokenizer, texts)


def _memory_rows(recipe: DeCapRecipe, texts: Texts) -> int:
    if recipe.memory is None:
        return 0
    return recipe.memory.captions or len(set(texts.train))


def _memory(recipe: DeCapRecipe, texts: Texts) -> str:
    if recipe.memory is None:
        return "none"
    return f"{_memory_rows(recipe, texts):,} sentences, {recipe.memory.dtype}"


def _photos(recipe: DeCapRecipe) -> str:
    said = recipe.evaluation.photos
    if said is None:
        return "none"
    named = {"evaluation.photos.captions": said.captions, "evaluation.photos.images": said.images}
    missing = missing_captions({key: value for key, value in named.items() if value}, said.format)
    if missing:
        return f"not counted: {', '.join(missing)} is not here; none is learned from"
    photos = evaluation_photos(said, UnreadableImages(said.unreadable_limit))
    split = "all splits" if said.split is None else repr(said.split)
    return f"{len(photos):,} of {split} to caption and score; none is learned from"


def _steps(recipe: DeCapRecipe, texts: Texts | None) -> str:
    said = recipe.training
    if texts is None:
        many = f"of {said.batch_size:,} sentences, {said.epochs} epochs"
    else:
        pace = pace_of(recipe, len(texts.train))
        many = f"{pace.steps:,} of {pace.batch_size:,} sentences = {said.epochs} epochs of {pace.steps_per_epoch:,}"
    return f"steps    {many}; evaluation and checkpoint every {recipe.evaluation.every}"


def _needed(recipe: DeCapRecipe, model: DeCapModel, dual: nn.Module, texts: Texts | None) -> dict[str, float]:
    weights = mebibytes(model.parameters()) + mebibytes(dual.parameters())
    needed = {"weights": weights, "gradients and AdamW": learning(model)}
    if texts is None:
        return needed
    values = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}
    rows = len(texts.train) + len(texts.validation)
    kept = rows * values[recipe.data.latent_dtype] if recipe.data.precompute_latents else 0
    if recipe.memory is not None:
        kept += _memory_rows(recipe, texts) * values[recipe.memory.dtype]
    needed["latents"] = kept * (model.config.latent_dim or 0) / MIB
    return needed
