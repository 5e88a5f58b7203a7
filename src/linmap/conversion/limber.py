"""The projections that LiMBeR's authors released (`proj.ckpt`, a pickled linear layer) as models of linmap."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from linmap.conversion.torch_files import tensors_saved_by_torch
from linmap.errors import BackboneError, ConversionError, OutputFolderError
from linmap.language import load_tokenizer
from linmap.prefix.checkpoints import IMAGE_TOKEN
from linmap.prefix.modeling import LinearVisionPrefixModel
from linmap.prefix.processing import LinearVisionPrefixProcessor
from linmap.recipes.assembly import outline_model
from linmap.recipes.recipe import load_recipe
from linmap.recipes.schema import Recipe

__all__ = ["convert_limber", "original_projection"]

logger = logging.getLogger(__name__)

LAYER = ("weight", "bias")
LAYER_OF_THE_WHOLE = "image_prefix.proj."
"""Where the layer stands in a state dict of the original's whole model."""


def convert_limber(
    projection: str | Path, output: str | Path, *, recipe: str | Path, overrides: Sequence[str] = ()
) -> Path:
    """Makes a folder for `LinearVisionPrefixModel.from_pretrained` of a projection that the paper's authors released.

    Neither the language model nor the encoder is loaded: the folder names them, and loading it finds them. The
    tokenizer is fetched where it can be; without it the folder holds no processor, and a warning says how to get one.

    Args:
        projection: `proj.ckpt`, read with `weights_only=True`.
        output: Folder to write, new or empty.
        recipe: The recipe of its row in the paper, such as `limber-clip-rn50x16`, or a YAML file.
        overrides: `section.key=value`, as `linmap train --set` takes them.

    Returns:
        The folder.

    Raises:
        ConversionError: The file is not what it must be, or does not fit the recipe.
        OutputFolderError: Something is in the folder.
        RecipeError, UnknownNameError: There is no such recipe, or a value of it cannot be used.

    Example:
        >>> convert_limber("proj.ckpt", "limber-clip", recipe="limber-clip-rn50x16")  # doctest: +SKIP
        PosixPath('limber-clip')
    """
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise OutputFolderError(f"{folder} is a file; choose a folder to write the model to.")
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputFolderError(f"{folder} holds files already, which are not overwritten; choose another folder.")
    said = load_recipe(recipe, overrides)
    if not isinstance(said, Recipe) or said.model.is_blind:
        raise ConversionError(
            f"The recipe {str(recipe)!r} makes no projection of images; name the one of the projection's row in the "
            "paper, such as limber-clip-rn50x16."
        )
    if said.model.trained_encoder or said.model.adapter_downsample:
        raise ConversionError(
            f"The recipe {str(recipe)!r} learns more than a projection, and {projection} holds no more. Name the one "
            "of its row in the paper, such as limber-clip-rn50x16."
        )
    layer = original_projection(projection)
    model = _model(said, layer, projection)
    tokenizer = _tokenizer(said)
    if tokenizer is not None:
        model.config.image_token_id = tokenizer.get_vocab().get(IMAGE_TOKEN, len(tokenizer))
        processor = LinearVisionPrefixProcessor.for_model(
            model, tokenizer, prompt=said.model.prompt, add_bos_token=said.model.add_bos_token
        )
        processor.save_pretrained(folder)
    model.save_pretrained(folder)
    if not said.model.encoder_pretrained:
        logger.warning(
            "This projection was learned behind random weights that were not released: those of seed %d, which "
            "loading will draw, are others, and captions through them say nothing of a photo.",
            said.model.encoder_seed,
        )
    return folder


def original_projection(path: str | Path) -> dict[str, Tensor]:
    """Weight (vectors x width, channels) and bias of a released projection, in float32.

    Args:
        path: The state dict of the layer, or of the original's whole model, of which the layer is taken.

    Raises:
        ConversionError: The file cannot be read, or holds no linear layer, or a norm behind it.
    """
    held = tensors_saved_by_torch(path)
    if f"{LAYER_OF_THE_WHOLE}weight" in held:
        held = {name.removeprefix("image_prefix."): value for name, value in held.items() if "image_prefix." in name}
    norm = sorted(name for name in held if name.startswith("ln."))
    if norm:
        raise ConversionError(
            f"{path} holds a layer norm behind the projection ({', '.join(norm)}), which no row of the paper has: a "
            "linear vision prefix has none. Convert a projection that was trained without it."
        )
    layer = {name.removeprefix("proj."): value.float() for name, value in held.items() if not name.startswith("enc.")}
    if sorted(layer) != sorted(LAYER) or layer["weight"].ndim != 2 or layer["bias"].shape != layer["weight"].shape[:1]:
        found = ", ".join(f"{name} {tuple(value.shape)}" for name, value in list(layer.items())[:4]) or "nothing"
        raise ConversionError(
            f"{path} is no projection of LiMBeR, which is a weight (vectors x width, channels) and a bias. Found: "
            f"{found}."
        )
    return layer


def _model(recipe: Recipe, layer: dict[str, Tensor], path: str | Path) -> LinearVisionPrefixModel:
    """The projection between parts without weights, which are not saved with it."""
    model = outline_model(recipe)
    needed, found = tuple(model.projector.weight.shape), tuple(layer["weight"].shape)
    if needed != found:
        said = recipe.model
        vectors, rest = divmod(found[0], model.config.hidden_size)
        hint = (
            f" Its {found[0]} rows are {vectors} vectors: --set model.prefix_length={vectors}."
            if said.features == "pooled" and found[1] == needed[1] and not rest
            else " Name the recipe of its own row, or its language model with --set lm=…."
        )
        raise ConversionError(
            f"{path} does not fit the recipe: its weight has the shape {found}, and {said.encoder} before "
            f"{said.language_model} needs {needed}.{hint}"
        )
    model.projector.to_empty(device="cpu").load_state_dict(layer)
    model.generation_config.max_new_tokens = recipe.evaluation.max_new_tokens
    return model


def _tokenizer(recipe: Recipe) -> PreTrainedTokenizerBase | None:
    said = recipe.model
    try:
        return load_tokenizer(said.language_model, gguf_file=said.gguf_file)
    except BackboneError as error:
        logger.warning(
            "The folder holds no processor, which needs the tokenizer, as the id of its placeholder does: %s Convert "
            "again where the tokenizer can be had.",
            error,
        )
        return None
