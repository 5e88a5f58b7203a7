"""What a run of DeCap would do, in words: for `linmap train --dry-run`."""

from __future__ import annotations

from linmap.data.images import UnreadableImages
from linmap.recipes.decap.arguments import pace_of
from linmap.recipes.decap.assembly import DeCapParts, assemble_parts
from linmap.recipes.decap.latents import evaluation_photos
from linmap.recipes.decap.schema import DeCapRecipe
from linmap.recipes.decap.texts import read_texts
from linmap.recipes.examples import caption_lengths
from linmap.recipes.needs import MIB, mebibytes
from linmap.recipes.plan import size_of

__all__ = ["describe"]


def describe(recipe: DeCapRecipe) -> str:
    """Loads the parts, reads the text, and says what the run would freeze, train, read and need.

    No photo is opened and nothing is written.
    """
    texts, validation_texts = read_texts(recipe.data, recipe.training.seed)
    parts = assemble_parts(recipe, texts)
    model, processor, dual = parts
    lengths = caption_lengths(processor.tokenizer, texts)
    cut = sum(length + 1 > recipe.model.max_length for length in lengths)
    pace = pace_of(recipe, len(texts))
    said = recipe.training
    how = "each sentence goes through its text tower once" if recipe.data.precompute_latents else "runs at every step"
    of_decoder = "trained " if model.config.train_decoder else "frozen  "
    named = recipe.model.language_model or "GPT-2 from scratch"
    memory = _memory_rows(recipe, texts)
    lines = [
        recipe.description,
        "",
        f"frozen   dual encoder {recipe.model.dual_encoder}: {size_of(dual.model)}; {how}",
        f"trained  projector: {size_of(model.projector)}, {model.config.latent_dim} -> "
        f"{model.config.prefix_length} x {model.config.hidden_size}",
        f"{of_decoder} decoder {named}: {size_of(model.decoder)}, {len(processor.tokenizer):,} tokens",
        f"texts    {len(texts):,}, {sum(lengths) / len(lengths):.1f} tokens on average, {max(lengths)} at most; "
        f"{cut:,} cut at {recipe.model.max_length}; {len(validation_texts):,} others for the loss",
        f"memory   {f'{memory:,} sentences, {recipe.memory.dtype}' if recipe.memory else 'none'}",
        f"photos   {_photos(recipe)}",
        f"steps    {pace.steps:,} of {pace.batch_size:,} sentences = {said.epochs} epochs of {pace.steps_per_epoch:,}; "
        f"evaluation and checkpoint every {recipe.evaluation.every}",
        f"kept     the weights of the best validation {recipe.evaluation.metric}",
        f"needs    about {_mebibytes(recipe, parts, len(texts) + len(validation_texts), memory) / 1024:.1f} GiB: "
        "weights, gradients, AdamW, latents; the activations of a batch come on top",
    ]
    return "\n".join(lines)


def _memory_rows(recipe: DeCapRecipe, texts: list[str]) -> int:
    if recipe.memory is None:
        return 0
    return recipe.memory.captions or len(set(texts))


def _photos(recipe: DeCapRecipe) -> str:
    said = recipe.evaluation.photos
    if said is None:
        return "none"
    photos = evaluation_photos(said, UnreadableImages(said.unreadable_limit))
    split = "all splits" if said.split is None else repr(said.split)
    return f"{len(photos):,} of {split} to caption and score; none is learned from"


def _mebibytes(recipe: DeCapRecipe, parts: DeCapParts, texts: int, memory: int) -> float:
    model = parts.model
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    values = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}
    kept = texts * values[recipe.data.latent_dtype] if recipe.data.precompute_latents else 0
    if recipe.memory is not None:
        kept += memory * values[recipe.memory.dtype]
    latents = kept * model.config.latent_dim / MIB
    return mebibytes(model.parameters()) + 3 * mebibytes(learned) + latents  # 3: gradient, AdamW's two averages
