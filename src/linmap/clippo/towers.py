"""The tower of CLIPPO: a plain ViT of timm with attention pooling (MAP), and the embedding of tokens beside it."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from linmap.clippo.configuration import ClippoConfig
from linmap.errors import ConfigurationError, EncoderError

__all__ = [
    "TokenEmbedding",
    "build_tower",
    "embed_patches",
    "pooled",
    "resized_positions",
    "sizes_of_vit",
    "start_from_vit",
]


class TokenEmbedding(nn.Module):
    """Token ids as vectors, with learned positions: how a tower reads tokenised text (1T-CLIP).

    Args:
        vocab_size: Tokens.
        length: Most tokens of a text.
        width: Channels.
    """

    def __init__(self, vocab_size: int, length: int, width: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocab_size, width)
        self.positions = nn.Parameter(torch.zeros(1, length, width))

    def forward(self, input_ids: Tensor) -> Tensor:
        """Ids (texts, length) int64 -> (texts, length, width)."""
        return self.tokens(input_ids) + self.positions[:, : input_ids.shape[1]]


def build_tower(config: ClippoConfig, *, patches: bool = True) -> VisionTransformer:
    """A ViT with random weights: GELU in its tanh form, no class token, attention pooling, no head.

    Args:
        config: Its sizes.
        patches: False leaves patch embedding and positions out, for a tower that reads tokens alone.
    """
    tower = VisionTransformer(
        img_size=config.image_size,
        patch_size=config.patch_size,
        embed_dim=config.hidden_size,
        depth=config.num_hidden_layers,
        num_heads=config.num_attention_heads,
        mlp_ratio=(config.intermediate_size + 0.5) / config.hidden_size,  # timm rounds the product down
        num_classes=0,
        global_pool="map",
        class_token=False,
        norm_layer=cast("type[nn.Module]", partial(nn.LayerNorm, eps=config.layer_norm_eps)),
        act_layer="gelu_tanh",
    )
    if not patches:
        tower.patch_embed = None
        tower.pos_embed = None
    return tower


def embed_patches(tower: VisionTransformer, pixel_values: Tensor, patch_embedding: nn.Module | None = None) -> Tensor:
    """Pixels (images, 3, S, S) -> (images, patches, width), positions added."""
    assert tower.pos_embed is not None  # a tower that reads pixels
    return (patch_embedding or tower.patch_embed)(pixel_values) + tower.pos_embed


def pooled(tower: VisionTransformer, embedded: Tensor, attention_mask: Tensor | None = None) -> Tensor:
    """Blocks, norm and attention pooling.

    Args:
        tower: The tower.
        embedded: (rows, length, width).
        attention_mask: (rows, length), 0 on padding, which is then attended to by nothing.

    Returns:
        (rows, width).
    """
    mask = None
    if attention_mask is not None:  # to be added to the scores, which timm's attention does where it is not fused
        hidden = attention_mask.bool().logical_not()[:, None, None]
        mask = torch.zeros_like(hidden, dtype=embedded.dtype).masked_fill(hidden, torch.finfo(embedded.dtype).min)
    for block in tower.blocks:
        embedded = block(embedded, attn_mask=mask)
    return cast("nn.Module", tower.attn_pool)(tower.norm(embedded), attn_mask=mask)


def resized_positions(positions: Tensor, grid: int) -> Tensor:
    """Position embeddings for another number of patches: bilinear with the corners aligned, as the original does.

    Args:
        positions: (1, old grid squared, width).
        grid: Patches along a side.

    Returns:
        (1, grid squared, width), the same tensor where the grid is that already.

    Raises:
        ConfigurationError: The old positions do not form a square.

    Example:
        >>> resized_positions(torch.zeros(1, 16, 8), 6).shape
        torch.Size([1, 36, 8])
    """
    _, count, width = positions.shape
    old = round(count**0.5)
    if old * old != count:
        raise ConfigurationError(f"There are {count} position embeddings, which is no square grid of patches.")
    if old == grid:
        return positions
    square = positions.reshape(1, old, old, width).permute(0, 3, 1, 2)
    resized = F.interpolate(square.double(), (grid, grid), mode="bilinear", align_corners=True)
    return resized.permute(0, 2, 3, 1).reshape(1, grid * grid, width).to(positions.dtype)


def sizes_of_vit(vit: nn.Module | None) -> dict[str, int]:
    """What a `ClippoConfig` says of the shape of a ViT of timm.

    Raises:
        EncoderError: It is another kind of network.
    """
    plain = _plain(vit)
    block: Any = plain.blocks[0]
    patch_size = plain.patch_embed.patch_size[0]
    return {
        "image_size": plain.patch_embed.grid_size[0] * patch_size,
        "patch_size": patch_size,
        "hidden_size": plain.embed_dim,
        "num_hidden_layers": len(plain.blocks),
        "num_attention_heads": block.attn.num_heads,
        "intermediate_size": block.mlp.fc1.out_features,
    }


@torch.no_grad()
def start_from_vit(tower: VisionTransformer, vit: nn.Module | None) -> None:
    """Fills patch embedding, positions, blocks and last norm with those of another ViT; the pooling stays as it is.

    Args:
        tower: Of `build_tower`.
        vit: A `VisionTransformer` of timm of the same width, depth and patch size; its class token is left out, its
            positions are resized.

    Raises:
        EncoderError: It is another kind of network, or of another shape.
    """
    vit = _plain(vit)
    learned = vit.pos_embed
    assert learned is not None  # _plain refuses others
    positions = learned[:, learned.shape[1] - vit.patch_embed.num_patches :]
    given = {
        key: value for key, value in vit.state_dict().items() if key.split(".")[0] in ("patch_embed", "blocks", "norm")
    } | {"pos_embed": resized_positions(positions, tower.patch_embed.grid_size[0])}
    own = {key: value for key, value in tower.state_dict().items() if not key.startswith("attn_pool.")}
    shapes = [{key: tuple(value.shape) for key, value in held.items()} for held in (given, own)]
    odd = sorted({key for key, _ in shapes[0].items() ^ shapes[1].items()})
    if odd:
        there, here = (held.get(odd[0], "nothing") for held in shapes)
        raise EncoderError(
            f"That ViT has another shape: {odd[0]} is {there} there and {here} here ({len(odd)} such "
            "weights). Give the model its hidden_size, num_hidden_layers, intermediate_size and patch_size."
        )
    tower.load_state_dict(given, strict=False)


def _plain(vit: nn.Module | None) -> VisionTransformer:
    if not isinstance(vit, VisionTransformer) or vit.pos_embed is None:
        raise EncoderError(
            f"A tower can start from a plain ViT of timm with learned positions; this is a {type(vit).__name__}. Name "
            "one such as timm:vit_base_patch16_224.augreg_in21k."
        )
    return vit
