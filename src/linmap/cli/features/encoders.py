"""From the words after `--recipe`, `--model` or `--encoder` to an encoder, and to whose features it gives."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from linmap.errors import FeatureStoreError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import BaseImageProcessor

    from linmap.data.feature_identity import FeatureIdentity
    from linmap.encoders import ImageEncoder

__all__ = ["Encoding", "encoding_of"]


class Encoding(NamedTuple):
    """An encoder on its device, with the preprocessing in front of it and the pooling behind it.

    Args:
        encode: From pixel values on any device to features (batch, cells, width).
        image_processor: The preprocessing.
        identity: Whose features these are.
    """

    encode: Callable[[Tensor], Tensor]
    image_processor: BaseImageProcessor
    identity: FeatureIdentity


def encoding_of(
    *, recipe: str | None, model: str | None, encoder: str | None, features: str, grid_size: int | None, device: str
) -> Encoding:
    """Loads the encoder that one of the first three names.

    Args:
        recipe: YAML file or packaged recipe of a linear vision prefix.
        model: Folder, Hub id, or `"default"` for the bundled captioner; its language model is not loaded.
        encoder: As `load_encoder` takes it.
        features: For `encoder`: `"grid"` or `"pooled"`.
        grid_size: For `encoder`: see `frozen_features`.
        device: As `device_for` takes it.

    Raises:
        FeatureStoreError: None of the three is given, or several; or features and grid size where another says them.
        LinmapError: What is named is not there, or has no frozen encoder.
    """
    named = [word for word in (recipe, model, encoder) if word is not None]
    if len(named) != 1:
        raise FeatureStoreError(
            f"{' and '.join(named) or 'Nothing'} says which encoder; give one of --recipe, --model and --encoder."
        )
    if encoder is None and (features != "grid" or grid_size is not None):
        raise FeatureStoreError("--features and --grid-size go with --encoder; a recipe or a model says them itself.")
    if features == "pooled" and grid_size is not None:
        raise FeatureStoreError("--grid-size averages a grid, and --features pooled has none. Leave one of them out.")
    if recipe is not None:
        return _of_recipe(recipe, device)
    if model is not None:
        return _of_model(model, device)
    from linmap.encoders import load_encoder

    return _encoding(load_encoder(str(encoder)), features, grid_size, device)


def _of_recipe(name: str, device: str) -> Encoding:
    from linmap.encoders import load_encoder
    from linmap.recipes.assembly import encoder_arguments
    from linmap.recipes.recipe import load_recipe
    from linmap.recipes.schema import Recipe

    recipe = load_recipe(name)
    if not isinstance(recipe, Recipe):
        raise FeatureStoreError(f"The recipe {name} trains no linear vision prefix, so it reads no stored features.")
    said = recipe.model
    if said.encoder is None:
        raise FeatureStoreError(f"The recipe {name} shows no image: there are no features to extract.")
    if said.trained_encoder:
        raise FeatureStoreError(
            f"The encoder of the recipe {name} learns, so its features change with every step and cannot be stored. "
            "Take a recipe with a frozen encoder."
        )
    return _encoding(load_encoder(said.encoder, **encoder_arguments(said)), said.features, said.grid_size, device)


def _of_model(name: str, device: str) -> Encoding:
    from linmap.cli.models import model_folder, one_line, read_config, require_processor
    from linmap.prefix.checkpoints import ENCODER_FOLDER
    from linmap.prefix.configuration import LinearVisionPrefixConfig
    from linmap.prefix.frozen_parts import named_encoder, own_encoder
    from linmap.prefix.processing import LinearVisionPrefixProcessor

    folder = model_folder(None if name == "default" else name)
    read_config(folder)
    require_processor(folder)
    with one_line(folder):
        config = LinearVisionPrefixConfig.from_pretrained(folder)
        if config.vision_config is None:
            raise FeatureStoreError(f"The model in {folder} has no image encoder: it reads features of another's.")
        if config.trained_encoder:
            raise FeatureStoreError(
                f"The encoder of the model in {folder} learned with its projection, and features are known by the name "
                "of an encoder: nobody could tell these from those before the training. Give the model photos."
            )
        if config.checkpoint_contents == "full":
            encoder = own_encoder(folder / ENCODER_FOLDER, None)
        else:
            encoder = named_encoder(config, None, str(folder), {})
        processor = LinearVisionPrefixProcessor.from_pretrained(folder).image_processor
    return _encoding(encoder, config.features, config.grid_size, device, processor)


def _encoding(
    encoder: ImageEncoder, features: str, grid_size: int | None, device: str, image_processor: Any = None
) -> Encoding:
    from linmap.cli.devices import device_for
    from linmap.encoders import image_processor_for
    from linmap.prefix.encoding import feature_identity, frozen_features

    encoder.to(device_for(device))  # type: ignore[arg-type]  # transformers' wrapper hides the signature
    encoder.config.dtype = encoder.dtype  # as a checkpoint that names it has it
    processor = image_processor or image_processor_for(encoder.config)
    return Encoding(
        partial(frozen_features, encoder, features=features, grid_size=grid_size),
        processor,
        feature_identity(encoder.config, processor, features=features, grid_size=grid_size),
    )
