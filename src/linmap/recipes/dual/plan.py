"""What a run of a dual encoder would do, in words: for `linmap train --dry-run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from linmap.data.images import UnreadableImages
from linmap.recipes.assembly import read_splits
from linmap.recipes.at_hand import lines_of_missing, missing_data
from linmap.recipes.dual.arguments import pace_of
from linmap.recipes.dual.assembly import outline_model
from linmap.recipes.dual.schema import TOWERS, DualRecipe
from linmap.recipes.needs import MIB, in_words, learning, mebibytes
from linmap.recipes.plan import loaded, origin_of, size_of

if TYPE_CHECKING:
    from linmap.dual.modeling import DualEncoderModel

__all__ = ["describe"]


def describe(recipe: DualRecipe) -> str:
    """What the run would freeze, train, load, read and need, from configurations and captions alone.

    No weight is loaded, no photo is opened and nothing is written. Nothing is fetched, but for the configuration of a
    tower that linmap does not know. Data that is not here is named.
    """
    model = outline_model(recipe)
    said = recipe.training
    lines = [recipe.description, ""]
    pretrained: dict[str, nn.Module] = {}
    for tower in TOWERS:
        encoder = model.image_encoder if tower == "image" else model.text_encoder
        assert encoder is not None  # a recipe names both
        name = recipe.model.image_encoder if tower == "image" else recipe.model.text_encoder
        trained = tower in recipe.model.trained_towers
        what = "photo" if tower == "image" else "caption"
        how = f"each {what} goes through it once" if recipe.precomputes(tower) else "runs at every step"
        if encoder.fingerprint.pretrained:
            pretrained[name] = encoder
        lines.append(
            f"{'trained ' if trained else 'frozen  '} {tower} tower {name}: {size_of(encoder)}, "
            f"{origin_of(encoder.fingerprint)}; {how}"
        )
    for tower, head in (("image", model.image_projection), ("text", model.text_projection)):
        assert head is not None
        lines.append(f"trained  {tower} head: {size_of(head)}, {head.in_features} -> {head.out_features}")
    lines.append(loaded(pretrained))
    needed = {"weights": mebibytes(model.parameters()), "gradients and AdamW": learning(model)}
    if missing := missing_data(recipe.data):
        lines += [
            f"loss     {recipe.model.loss} over {said.batch_size:,} pairs; no photo is its own negative",
            *lines_of_missing(missing, "photos, captions and steps"),
            f"steps    of {said.batch_size:,} pairs, {said.epochs} epochs; evaluation and checkpoint every "
            f"{recipe.evaluation.every}",
        ]
    else:
        training, validation = read_splits(recipe.data, UnreadableImages(recipe.data.unreadable_limit))
        captions = sum(len(photo.captions) for photo in training)
        pace = pace_of(recipe, captions)
        needed["precomputed features"] = _feature_mebibytes(recipe, model, len(training), captions)
        lines += [
            f"loss     {recipe.model.loss} over {pace.batch_size:,} pairs; no photo is its own negative",
            f"photos   {len(training):,} of {recipe.data.train_split!r}{', each also mirrored' * recipe.data.mirror}, "
            f"{len(validation[: recipe.evaluation.photos]):,} of {recipe.data.validation_split!r} for validation",
            f"captions {captions:,}, each shown once an epoch",
            f"steps    {pace.steps:,} of {pace.batch_size:,} pairs = {said.epochs} epochs of {pace.steps_per_epoch:,}; "
            f"evaluation and checkpoint every {recipe.evaluation.every}",
        ]
    learned = ", ".join(recipe.model.trained_towers)
    lines += [
        f"kept     the weights of the best validation {recipe.evaluation.metric}",
        f"memory   {in_words(needed)}"
        + (f"; the activations of what learns ({learned}) come on top" if learned else ""),
    ]
    return "\n".join(lines)


def _feature_mebibytes(recipe: DualRecipe, model: DualEncoderModel, photos: int, captions: int) -> float:
    values = 4 if recipe.data.feature_dtype == "float32" else 2
    views = 2 if recipe.data.mirror else 1
    images = photos * views * model.config.image_feature_dim if recipe.precomputes("image") else 0
    texts = captions * model.config.text_feature_dim if recipe.precomputes("text") else 0
    return (images + texts) * values / MIB
