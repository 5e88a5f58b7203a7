"""Training recipes: the settings of a run as data, and the loader that turns one into a `transformers.Trainer` run.

Example:
    >>> recipe = load_recipe("efficientnet-lite0-smollm2-135m", ["training.steps=100"])
    >>> train(recipe, "runs/trial")  # doctest: +SKIP
    PosixPath('runs/trial')
"""

from linmap.recipes.clippo.schema import ClippoRecipe
from linmap.recipes.decap.schema import DeCapRecipe
from linmap.recipes.dual.schema import DualRecipe
from linmap.recipes.recipe import load_recipe, packaged_recipes
from linmap.recipes.schema import Recipe

__all__ = ["ClippoRecipe", "DeCapRecipe", "DualRecipe", "Recipe", "load_recipe", "packaged_recipes", "train"]


def __getattr__(name: str) -> object:
    """Imports torch and transformers only when training is asked for."""
    if name == "train":
        from linmap.recipes.methods import train

        return train
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
