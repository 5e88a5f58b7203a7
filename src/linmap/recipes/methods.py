"""Which code runs a recipe: that of its method."""

from __future__ import annotations

from pathlib import Path

from linmap.errors import RecipeError
from linmap.recipes.clippo.schema import ClippoRecipe
from linmap.recipes.decap.schema import DeCapRecipe
from linmap.recipes.dual.schema import DualRecipe
from linmap.recipes.launcher import process_count
from linmap.recipes.outputs import OutputFolder
from linmap.recipes.recipe import AnyRecipe

__all__ = ["describe", "train"]


def train(recipe: AnyRecipe, output: str | Path, *, resume: bool = False, overwrite: bool = False) -> Path:
    """Trains what the recipe's method trains and writes the model to `output`.

    A linear vision prefix and CLIPPO may be trained by several processes (`torchrun -m linmap train …`, accelerate
    launch): each takes its part of every batch, the first one writes, and the weights are those of one process at the
    same number of captions a step.

    The folder then holds the model with its configuration and processor, the recipe as resolved (`recipe.yaml`), the
    numbers (`training_log.json`), their plots (`loss.png`; of a dual encoder and CLIPPO also `recall.png`, of DeCap
    with photos also `cider_d.png`), its card, and the kept checkpoints in folders of their own; of a prefix and CLIPPO
    also captions on the way (`samples.md`), of DeCap the support memory (`memory`). The weights are those of the best
    evaluation.

    Args:
        recipe: What to train on what.
        output: Folder of the run; made if need be.
        resume: Go on from the last complete checkpoint in `output`. On a CPU the final weights are bit-equal to
            those of a run that was never cut off.
        overwrite: Start anew in a folder that holds a run already, which is lost.

    Returns:
        The folder, ready for `from_pretrained` of `LinearVisionPrefixModel`, `DualEncoderModel`, `DeCapModel` or
        `ClippoModel`.

    Raises:
        OutputFolderError: when `output` holds a run and neither `resume` nor `overwrite` says what to do with it, or
            `resume` finds nothing to go on from.
        UnreadableImageError: for the first unreadable photo beyond `data.unreadable_limit`.
        RecipeError: Several processes were started for a method that runs in one.
    """
    if isinstance(recipe, DualRecipe | DeCapRecipe) and process_count() > 1:
        raise RecipeError(
            f"A recipe of this method runs in one process, and {process_count()} were started (WORLD_SIZE). Start it "
            "without a launcher; on several devices train the model with transformers.Trainer, whose losses take all "
            "processes into account."
        )
    with OutputFolder(Path(output)).begun(overwrite=overwrite):
        return _train(recipe, output, resume=resume, overwrite=overwrite)


def _train(recipe: AnyRecipe, output: str | Path, *, resume: bool, overwrite: bool) -> Path:
    if isinstance(recipe, DualRecipe):
        from linmap.recipes.dual.training import train as train_dual

        return train_dual(recipe, output, resume=resume, overwrite=overwrite)
    if isinstance(recipe, DeCapRecipe):
        from linmap.recipes.decap.training import train as train_decap

        return train_decap(recipe, output, resume=resume, overwrite=overwrite)
    if isinstance(recipe, ClippoRecipe):
        from linmap.recipes.clippo.training import train as train_clippo

        return train_clippo(recipe, output, resume=resume, overwrite=overwrite)
    if recipe.model.is_blind:
        raise RecipeError(
            "Nothing learns in this recipe: it shows the language model no image. Measure it beside any model of the "
            "same language model: linmap evaluate vqa --control blind."
        )
    from linmap.recipes.training import train as train_prefix

    return train_prefix(recipe, output, resume=resume, overwrite=overwrite)


def describe(recipe: AnyRecipe) -> str:
    """What a run would freeze, train, read and need, in words; no photo is opened and nothing is written."""
    if isinstance(recipe, DualRecipe):
        from linmap.recipes.dual.plan import describe as describe_dual

        return describe_dual(recipe)
    if isinstance(recipe, DeCapRecipe):
        from linmap.recipes.decap.plan import describe as describe_decap

        return describe_decap(recipe)
    if isinstance(recipe, ClippoRecipe):
        from linmap.recipes.clippo.plan import describe as describe_clippo

        return describe_clippo(recipe)
    from linmap.recipes.plan import describe as describe_prefix

    return describe_prefix(recipe)
