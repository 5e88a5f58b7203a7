"""The model a recipe of CLIPPO names, and the processor that goes with it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from transformers import set_seed

from linmap.errors import RecipeError
from linmap.recipes.clippo.schema import ClippoModelRecipe, ClippoRecipe

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from linmap.clippo.modeling import ClippoModel
    from linmap.clippo.processing import ClippoProcessor

__all__ = ["assemble_model", "outline_model", "tokenizer_of"]

VIT = "timm:"
MAY_CHANGE = ("image_size", "text_renderer", "mini_batch_size")
"""What a model that goes on learning need not have in common with its start."""
NOT_OF_THE_CONFIGURATION = ("tokenizer", "initial_weights")


def assemble_model(recipe: ClippoRecipe) -> tuple[ClippoModel, ClippoProcessor]:
    """The model, in eval mode, and its processor.

    The global random state is set from `training.seed` first: the starting weights depend on nothing else.
    """
    from linmap.clippo.configuration import ClippoConfig
    from linmap.clippo.modeling import ClippoModel
    from linmap.clippo.processing import ClippoProcessor

    said = recipe.model
    set_seed(recipe.training.seed)
    tokenizer = tokenizer_of(said)
    words = _words(said, tokenizer)
    if said.initial_weights is None:
        model = ClippoModel(ClippoConfig(**words))
    elif said.initial_weights.startswith(VIT):
        model = ClippoModel.from_vit(said.initial_weights, **words)
    else:
        model = _going_on(said.initial_weights, words)
    return model.eval(), ClippoProcessor.for_model(model, tokenizer=tokenizer)


def _going_on(name: str, words: dict[str, Any]) -> ClippoModel:
    """A model that has learned before, with all its weights, for images of the size that `words` say.

    Raises:
        BackboneError: There is none under that name.
        RecipeError: It has another shape than the recipe's.
    """
    from linmap.clippo.modeling import ClippoModel
    from linmap.clippo.resolution import see_images_of

    model = ClippoModel.from_pretrained(name)
    for key, value in words.items():
        found = getattr(model.config, key)
        if key not in MAY_CHANGE and found != value:
            raise RecipeError(
                f"model.{key} is {value!r}, and the model in {name}, which model.initial_weights names, has {found!r}. "
                f"Set model.{key} to that, or start from another."
            )
    see_images_of(model, words["image_size"])
    model.config.text_renderer, model.config.mini_batch_size = words["text_renderer"], words["mini_batch_size"]
    return model


def outline_model(recipe: ClippoRecipe) -> ClippoModel:
    """The model of `assemble_model` on the meta device: from its configuration alone, without a weight in memory."""
    from linmap.clippo.configuration import ClippoConfig
    from linmap.clippo.modeling import ClippoModel

    words = _words(recipe.model, tokenizer_of(recipe.model))
    with torch.device("meta"):
        return ClippoModel(ClippoConfig(**words))


def tokenizer_of(said: ClippoModelRecipe) -> PreTrainedTokenizerBase | None:
    """The tokenizer of a model that reads tokens, which cuts texts at `max_text_tokens`; None for drawn texts.

    Raises:
        BackboneError: There is no tokenizer under that name.
    """
    if said.tokenizer is None:
        return None
    from linmap.text_encoders.outline import outline_text_encoder
    from linmap.text_encoders.tokenizers import tokenizer_for

    tokenizer: Any = tokenizer_for(outline_text_encoder(said.tokenizer).config)
    tokenizer.model_max_length = said.max_text_tokens
    return tokenizer


def _words(said: ClippoModelRecipe, tokenizer: PreTrainedTokenizerBase | None) -> dict[str, Any]:
    """What `ClippoConfig` is told."""
    words = {key: value for key, value in asdict(said).items() if key not in NOT_OF_THE_CONFIGURATION}
    if tokenizer is not None:
        words |= {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    return words
