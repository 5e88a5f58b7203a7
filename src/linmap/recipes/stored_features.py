"""Training from features that were extracted beforehand: both splits from disk, and no encoder in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from linmap.data.captions import Captioned
from linmap.data.feature_identity import FeatureIdentity
from linmap.data.feature_store import FeatureStore
from linmap.data.text_files import is_file
from linmap.errors import RecipeError
from linmap.recipes.assembly import encoder_arguments
from linmap.recipes.validation import Split

if TYPE_CHECKING:
    from linmap.recipes.schema import Recipe

__all__ = ["stored_splits"]


def stored_splits(recipe: Recipe) -> tuple[Split, Split, FeatureIdentity]:
    """The train and the validation split of a recipe with `data.format: features`, and whose features they are.

    Args:
        recipe: Which folders, which splits, which encoder.

    Raises:
        FeatureMismatchError: The features are of another encoder, preprocessing or pooling than the recipe's.
        FeatureStoreError: A folder holds no complete store.
        UnknownNameError: No such split.
        RecipeError: No photo is left in a split.
    """
    said = recipe.data
    train = FeatureStore(said.captions)
    validation = train if said.validation_captions is None else FeatureStore(said.validation_captions)
    wanted = _identity_of(recipe)
    train.identity.require(wanted, str(train.directory), outlined=True)
    validation.identity.require(train.identity, str(validation.directory))
    splits = (
        _split(train, said.train_split, said.train_photos, said.images, recipe),
        _split(validation, said.validation_split, None, said.validation_images or said.images, recipe),
    )
    return *splits, train.identity


def _identity_of(recipe: Recipe) -> FeatureIdentity:
    from linmap.prefix.encoding import outlined_identity

    said = recipe.model
    assert said.encoder is not None  # else nothing is trained
    return outlined_identity(said.encoder, features=said.features, grid_size=said.grid_size, **encoder_arguments(said))


def _split(store: FeatureStore, split: str | None, photos: int | None, images: str | None, recipe: Recipe) -> Split:
    said = recipe.data
    kept = store.photos(split, lowercase=said.lower_case, strip_final_period=said.strip_final_period)[:photos]
    if not len(kept):
        raise RecipeError(f"{store.directory} holds no photo of the split {split!r}; name another split or folder.")
    return Split(kept, store.features(split).first(len(kept)), _in_folder(images))


def _in_folder(images: str | None) -> Callable[[Captioned], Path | None]:
    def shown(photo: Captioned) -> Path | None:
        place = None if images is None else Path(images) / str(photo.image)
        return place if place is not None and is_file(place) else None

    return shown
