"""The parts a recipe names: the model, its processor, and the photos with their captions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from transformers import set_seed

from linmap.data.caption_files import Format
from linmap.data.captions import Captioned, from_dataset, load_split, read_captions
from linmap.data.feature_identity import FeatureIdentity
from linmap.data.feature_store import FeatureStore
from linmap.data.images import UnreadableImages
from linmap.data.magma import read_magma
from linmap.recipes.schema import ModelRecipe, Recipe
from linmap.recipes.sections import STORED, CaptionedPhotosRecipe

if TYPE_CHECKING:
    from linmap.prefix.modeling import LinearVisionPrefixModel
    from linmap.prefix.processing import LinearVisionPrefixProcessor

__all__ = ["assemble_model", "encoder_arguments", "outline_model", "read_photos", "read_splits"]


def assemble_model(
    recipe: Recipe, stored: FeatureIdentity | None = None
) -> tuple[LinearVisionPrefixModel, LinearVisionPrefixProcessor]:
    """The frozen parts the recipe names around a fresh linear layer, in eval mode, and the processor that goes with it.

    The global random state is set from `training.seed` first: the layer's starting weights depend on nothing else.

    Args:
        recipe: What to put together.
        stored: Whose features will be given in place of photos: the model then names that encoder and holds none.
    """
    from linmap.prefix.encoding import encoder_config
    from linmap.prefix.modeling import LinearVisionPrefixModel
    from linmap.prefix.processing import LinearVisionPrefixProcessor

    said = recipe.model
    set_seed(recipe.training.seed)
    model = LinearVisionPrefixModel.from_backbones(
        said.encoder if stored is None else None,
        said.language_model,
        **_shape(said, stored),
        encoder_kwargs=encoder_arguments(said) or None,
        dtype=getattr(torch, said.language_model_dtype),
        gguf_file=said.gguf_file,
    )
    if stored is not None:
        model.config.vision_config = encoder_config(stored)
        model.config.backbones = {"encoder": dict(stored.encoder), **(model.config.backbones or {})}
    processor = LinearVisionPrefixProcessor.for_model(model, prompt=said.prompt, add_bos_token=said.add_bos_token)
    model.generation_config.max_new_tokens = recipe.evaluation.max_new_tokens
    return model.eval(), processor


def outline_model(recipe: Recipe) -> LinearVisionPrefixModel:
    """The model of `assemble_model` on the meta device: from configurations alone, without a weight in memory."""
    from linmap.prefix.outline import outline

    said = recipe.model
    return outline(
        said.encoder,
        said.language_model,
        **_shape(said),
        encoder_kwargs=encoder_arguments(said),
        dtype=getattr(torch, said.language_model_dtype),
        gguf_file=said.gguf_file,
    )


def _shape(said: ModelRecipe, stored: FeatureIdentity | None = None) -> dict[str, Any]:
    """What `from_backbones` makes around the two frozen parts; without an encoder it has to be told its features."""
    known: dict[str, Any] = {}
    if stored is not None:
        known = {"feature_dim": stored.width} | ({"num_image_tokens": stored.cells} if said.features == "grid" else {})
    return known | {
        "features": said.features,
        "grid_size": said.grid_size,
        "prefix_length": said.prefix_length,
        "projector_dropout": said.projector_dropout,
        "trained_encoder": said.trained_encoder,
        "adapter_downsample": said.adapter_downsample,
    }


def encoder_arguments(said: ModelRecipe) -> dict[str, Any]:
    """What `load_encoder` is told beside the name."""
    arguments: dict[str, Any] = {}
    if not said.encoder_pretrained:
        arguments |= {"pretrained": False, "seed": said.encoder_seed}
    if said.image_size is not None:
        arguments["image_size"] = said.image_size
    if said.preprocessing is not None:
        arguments["preprocessing"] = said.preprocessing
    return arguments


def read_splits(recipe: CaptionedPhotosRecipe, unreadable: UnreadableImages) -> tuple[list[Captioned], list[Captioned]]:
    """The train and the validation photos, their captions cleaned as the recipe says.

    Args:
        recipe: Which files, which splits.
        unreadable: Counts the photos that are missing, and stops at too many.
    """
    train = _read(recipe, recipe.captions, recipe.images, recipe.train_split, unreadable)
    validation = _read(
        recipe,
        recipe.validation_captions or recipe.captions,
        recipe.validation_images or recipe.images,
        recipe.validation_split,
        unreadable,
    )
    return list(train[: recipe.train_photos]), list(validation)


def read_photos(
    captions: str,
    images: str | None,
    split: str | None,
    format: str,  # noqa: A002 - as read_captions has it
    *,
    image_column: str = "image",
    caption_column: str = "caption",
    unreadable: UnreadableImages,
    **cleaning: bool,
) -> Sequence[Captioned]:
    """Photos with their captions, from a file or a dataset.

    Args:
        captions: Captions file; for the format `datasets` the name or folder of a dataset, for `magma` and
            `features` a folder.
        images: Folder of the photos of a captions file.
        split: Split to read; None takes all.
        format: As a recipe says it.
        image_column: Of a dataset.
        caption_column: Of a dataset.
        unreadable: Counts the photos that are missing, and stops at too many.
        **cleaning: `lowercase` and `strip_final_period`.
    """
    if format == "datasets":
        loaded = load_split(captions, split)
        return from_dataset(loaded, image_column=image_column, caption_column=caption_column, **cleaning)
    if format == STORED:
        return FeatureStore(captions).photos(split, **cleaning)
    if format == "magma":
        return read_magma(captions, unreadable=unreadable, **cleaning)
    known = cast("Format", format)
    return read_captions(captions, images or "", split, known, unreadable=unreadable, **cleaning)


def _read(
    recipe: CaptionedPhotosRecipe, captions: str, images: str | None, split: str | None, unreadable: UnreadableImages
) -> Sequence[Captioned]:
    return read_photos(
        captions,
        images,
        split,
        recipe.format,
        image_column=recipe.image_column,
        caption_column=recipe.caption_column,
        unreadable=unreadable,
        lowercase=recipe.lower_case,
        strip_final_period=recipe.strip_final_period,
    )
