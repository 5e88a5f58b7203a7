"""The parts a recipe of DeCap names: the dual encoder, the decoder behind its latents, tokenizer and processor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from transformers import GPT2Config, set_seed

from linmap.recipes.decap.model_schema import CLIP, DeCapModelRecipe
from linmap.recipes.decap.schema import DeCapRecipe

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from linmap.decap.modeling import DeCapModel
    from linmap.decap.processing import DeCapProcessor
    from linmap.dual.modeling import DualEncoderModel
    from linmap.dual.named import DualEncoder

__all__ = ["DeCapParts", "assemble_parts", "outline_model", "tokenizer_of"]


class DeCapParts(NamedTuple):
    """What a run works with.

    Args:
        model: In eval mode, without a memory.
        processor: Of the model.
        dual: The model's own dual encoder, and its processor.
    """

    model: DeCapModel
    processor: DeCapProcessor
    dual: DualEncoder

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """(texts, latent_dim) float32 on the CPU."""
        from linmap.dual.embedding import embed_texts

        return embed_texts(self.dual.model, self.dual.processor, texts)


def assemble_parts(recipe: DeCapRecipe, texts: Sequence[str]) -> DeCapParts:
    """Model and processors, on the CPU.

    The global random state is set from `training.seed` first: the starting weights depend on nothing else.

    Args:
        recipe: Names the parts.
        texts: The training text, which a vocabulary is learned from.
    """
    from linmap.decap.modeling import DeCapModel
    from linmap.decap.processing import DeCapProcessor
    from linmap.dual.named import load_dual_encoder

    said = recipe.model
    dual = load_dual_encoder(said.dual_encoder)
    dual.model.name_or_path = said.dual_encoder  # what a checkpoint finds it by; of "default" not its folder here
    tokenizer = tokenizer_of(recipe, texts)
    decoder: str | GPT2Config
    arguments: dict[str, Any] = {}
    if said.language_model is not None:
        decoder = said.language_model
        arguments = {"train_decoder": said.train_decoder, "dtype": getattr(torch, said.language_model_dtype)}
    else:
        decoder = _from_scratch(said)
    set_seed(recipe.training.seed)
    model = DeCapModel.from_backbones(
        dual.model,
        decoder,
        tokenizer=tokenizer,
        prefix_length=said.prefix_length,
        label_smoothing=said.label_smoothing,
        latent_noise=said.latent_noise,
        strategy=said.strategy,
        tau=said.tau,
        **arguments,
    )
    model.generation_config.max_new_tokens = recipe.evaluation.max_new_tokens
    return DeCapParts(model, DeCapProcessor.for_model(model, tokenizer, said.max_length), dual)


def outline_model(recipe: DeCapRecipe, dual: DualEncoderModel) -> DeCapModel:
    """The model of `assemble_parts` on the meta device, without its dual encoder and without a weight in memory.

    Args:
        recipe: Names the parts.
        dual: The dual encoder, on any device.
    """
    from linmap.decap.outline import outline
    from linmap.text_encoders.open_clip_tokens import clip_tokenizer

    said = recipe.model
    shape: dict[str, Any] = {"latent_dim": dual.config.projection_dim, "prefix_length": said.prefix_length}
    if said.language_model is not None:
        dtype = getattr(torch, said.language_model_dtype)
        return outline(said.language_model, train_decoder=said.train_decoder, dtype=dtype, **shape)
    decoder = _from_scratch(said)
    decoder.vocab_size = said.vocabulary_size or len(clip_tokenizer())
    return outline(decoder, **shape)


def _from_scratch(said: DeCapModelRecipe) -> GPT2Config:
    sizes: dict[str, Any] = {"n_layer": said.layers, "n_head": said.heads, "n_embd": said.width}
    if said.positions is not None:
        sizes["n_positions"] = said.positions
    return GPT2Config(**sizes)


def tokenizer_of(recipe: DeCapRecipe, texts: Sequence[str]) -> PreTrainedTokenizerBase | None:
    """Of a decoder from scratch; None where a language model has its own.

    Args:
        recipe: Says which.
        texts: What a vocabulary is learned from.
    """
    from linmap.decap.vocabulary import train_tokenizer
    from linmap.text_encoders.open_clip_tokens import clip_tokenizer

    if recipe.model.language_model is not None:
        return None
    if recipe.model.vocabulary == CLIP:
        return clip_tokenizer()
    assert recipe.model.vocabulary_size is not None  # a decoder from scratch has a vocabulary
    return train_tokenizer(texts, recipe.model.vocabulary_size, lowercase=recipe.model.lowercase)
