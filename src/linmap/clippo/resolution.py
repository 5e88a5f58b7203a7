"""A tower that saw images of one size, made to see another."""

from __future__ import annotations

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from linmap.clippo.modeling import ClippoModel
from linmap.clippo.towers import resized_positions
from linmap.errors import ConfigurationError

__all__ = ["see_images_of"]


@torch.no_grad()
def see_images_of(model: ClippoModel, image_size: int) -> None:
    """Resizes the position embeddings of every tower of `model` that reads pixels, as the original does, in place.

    Fine-tuning at a larger size than the pretraining's shows small things of a photo better. Build the processor anew
    afterwards: `ClippoProcessor.for_model(model)`.

    Args:
        model: The model; its configuration follows.
        image_size: Side of the square, in pixels; whole patches.

    Raises:
        ConfigurationError: It is no whole number of patches.
    """
    config = model.config
    if image_size < config.patch_size or image_size % config.patch_size:
        raise ConfigurationError(
            f"image_size is {image_size} and patch_size {config.patch_size}: an image is cut into whole patches. Take "
            f"a multiple, such as {max(1, round(image_size / config.patch_size)) * config.patch_size}."
        )
    grid = image_size // config.patch_size
    for tower in (model.tower, model.text_tower):
        if isinstance(tower, VisionTransformer) and tower.pos_embed is not None:
            learns = tower.pos_embed.requires_grad
            tower.pos_embed = nn.Parameter(resized_positions(tower.pos_embed, grid), requires_grad=learns)
            tower.patch_embed.set_input_size(image_size)
    if model.text_patch_embedding is not None:
        model.text_patch_embedding.set_input_size(image_size)
    config.image_size = image_size
