"""The parts a recipe of a dual encoder names: the towers under fresh heads, and the processor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import set_seed

from linmap.recipes.dual.schema import DualModelRecipe, DualRecipe

if TYPE_CHECKING:
    from linmap.dual.modeling import DualEncoderModel
    from linmap.dual.processing import DualEncoderProcessor

__all__ = ["assemble_model", "outline_model"]


def assemble_model(recipe: DualRecipe) -> tuple[DualEncoderModel, DualEncoderProcessor]:
    """The model, in eval mode, and the processor that goes with it.

    The global random state is set from `training.seed` first: the heads' starting weights depend on nothing else.
    """
    from linmap.dual.modeling import DualEncoderModel
    from linmap.dual.processing import DualEncoderProcessor

    said = recipe.model
    set_seed(recipe.training.seed)
    model = DualEncoderModel.from_backbones(said.image_encoder, said.text_encoder, **_arguments(said))
    return model.eval(), DualEncoderProcessor.for_model(model)


def outline_model(recipe: DualRecipe) -> DualEncoderModel:
    """The model of `assemble_model` on the meta device: from configurations alone, without a weight in memory."""
    from linmap.dual.outline import outline

    return outline(recipe.model.image_encoder, recipe.model.text_encoder, **_arguments(recipe.model))


def _arguments(said: DualModelRecipe) -> dict[str, Any]:
    """What `from_backbones` is told beside the names of the towers."""
    image_arguments: dict[str, Any] = {} if said.image_size is None else {"image_size": said.image_size}
    if not said.image_encoder_pretrained:
        image_arguments |= {"pretrained": False, "seed": said.image_encoder_seed}
    text_arguments: dict[str, Any] = {}
    if not said.text_encoder_pretrained:
        text_arguments |= {"pretrained": False, "seed": said.text_encoder_seed}
    return {
        "projection_dim": said.projection_dim,
        "text_pooling": said.text_pooling,
        "mirror": said.mirror,
        "trained_towers": said.trained_towers,
        "loss": said.loss,
        "image_dropout": said.image_dropout,
        "text_dropout": said.text_dropout,
        "mini_batch_size": said.mini_batch_size,
        "image_encoder_kwargs": image_arguments,
        "text_encoder_kwargs": text_arguments,
    }
