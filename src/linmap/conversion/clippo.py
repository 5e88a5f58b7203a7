"""Checkpoints of CLIPPO's original code (big_vision, one npz file) as models of linmap."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from linmap.cards import write_model_card
from linmap.clippo.configuration import ClippoConfig
from linmap.clippo.modeling import ClippoModel
from linmap.clippo.processing import ClippoProcessor
from linmap.clippo.resolution import see_images_of
from linmap.conversion.big_vision_files import parameters_saved_by_big_vision
from linmap.errors import ConfigurationError, ConversionError, OutputFolderError
from linmap.weights import sha256_of

__all__ = ["convert_clippo", "original_clippo"]

GLYPHS = (
    "the published CLIPPO models learned from text drawn with GNU Unifont 9.0.06, linmap draws with 15.0.01: a few "
    "characters look otherwise, or are drawn where they left a gap"
)

LARGEST_GRID = 256
"""Patches along a side beyond which an image size is taken for a slip; positions would fill the memory."""

ATTENTION = "MultiHeadDotProductAttention_0"
BLOCK = {
    "norm1": ("LayerNorm_0",),
    "attn.qkv": (f"{ATTENTION}/query", f"{ATTENTION}/key", f"{ATTENTION}/value"),
    "attn.proj": (f"{ATTENTION}/out",),
    "norm2": ("LayerNorm_1",),
    "mlp.fc1": ("MlpBlock_0/Dense_0",),
    "mlp.fc2": ("MlpBlock_0/Dense_1",),
}
POOLING = {
    "q": (f"{ATTENTION}/query",),
    "kv": (f"{ATTENTION}/key", f"{ATTENTION}/value"),
    "proj": (f"{ATTENTION}/out",),
    "norm": ("LayerNorm_0",),
    "mlp.fc1": ("MlpBlock_0/Dense_0",),
    "mlp.fc2": ("MlpBlock_0/Dense_1",),
}
"""Layers of timm's block and attention pooling, and what they are joined from, one under the other."""


def convert_clippo(checkpoint: str | Path, output: str | Path, *, image_size: int | None = None) -> Path:
    """Makes a folder for `from_pretrained` of `ClippoModel` and `ClippoProcessor` of the original's npz file.

    Nothing is fetched, and no code in the file is run.

    Args:
        checkpoint: `clippo_b16_yfcc100m_i21k_init.npz` and its like; every layout that big_vision writes.
        output: Folder to write, new or empty.
        image_size: Side of the images that the model shall see, in pixels, if not those it learned from: the position
            embeddings are resized as the original does it. A multiple of the patch size.

    Returns:
        The folder.

    Raises:
        ConversionError: The file is not what it must be; the message names the leaf.
        ConfigurationError: The image size is no multiple of the patch size.
        OutputFolderError: Something is in the folder.

    Example:
        >>> convert_clippo("clippo_b16_yfcc100m_i21k_init_25c4.npz", "clippo")  # doctest: +SKIP
        PosixPath('clippo')
    """
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise OutputFolderError(f"{folder} is a file; choose a folder to write the model to.")
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputFolderError(f"{folder} holds files already, which are not overwritten; choose another folder.")
    model = original_clippo(checkpoint, image_size=image_size)
    model.save_pretrained(folder)
    ClippoProcessor.for_model(model).save_pretrained(folder)
    name = Path(checkpoint).name
    resized = "" if image_size is None else f" --image-size {image_size}"
    facts = {
        "data": "not recorded in the checkpoint that these weights were converted from.",
        "converted from": f"{name}, sha256 {sha256_of(checkpoint)}, in the layout of big_vision",
        "glyphs": GLYPHS,
        "command": f"linmap convert clippo {name} --out {folder.name}{resized}",
    }
    write_model_card(folder, kind="clippo", backbones={}, training=facts)
    return folder


def original_clippo(checkpoint: str | Path, *, image_size: int | None = None) -> ClippoModel:
    """The original's weights in a `ClippoModel`, in eval mode; sizes are read from the shapes in the file.

    Args:
        checkpoint: See `convert_clippo`.
        image_size: See `convert_clippo`.

    Raises:
        ConversionError: See `convert_clippo`.
        ConfigurationError: See `convert_clippo`.
    """
    leaves = parameters_saved_by_big_vision(checkpoint)
    others = sorted({name.split("/")[0] for name in leaves} - {"img", "t"})
    if others:
        raise ConversionError(
            f"{checkpoint} is no CLIPPO, which is one tower (img) and a temperature (t): it also holds "
            f"{', '.join(others[:4])}. A tower for texts (txt) or a bias (b) make it CLIP or SigLIP, which are not "
            "converted from this format."
        )
    try:
        config = ClippoConfig(**_sizes(leaves, checkpoint))
    except ConfigurationError as error:
        raise ConversionError(f"{checkpoint}: the shapes of its leaves fit no tower. {error}") from error
    largest = LARGEST_GRID * config.patch_size
    if image_size is not None and image_size > largest:
        raise ConfigurationError(f"The image size is {image_size}; the largest is {largest}, {LARGEST_GRID} patches.")
    renamed = _renamed(leaves, config, checkpoint)
    model = ClippoModel(config)
    model.load_state_dict(renamed)
    if image_size is not None:
        see_images_of(model, image_size)
    return model.eval()


def _sizes(leaves: dict[str, Tensor], path: str | Path) -> dict[str, Any]:
    """What a configuration says of sizes, from shapes."""

    def shape(name: str, *axes: str) -> tuple[int, ...]:
        if name not in leaves:
            raise ConversionError(_missing(name, leaves, path))
        found = tuple(leaves[name].shape)
        if len(found) != len(axes):
            raise ConversionError(f"{path}: the leaf {name} is {found}; it must be ({', '.join(axes)}).")
        return found

    high, across, colours, width = shape("img/embedding/kernel", "patch", "patch", "3", "width")
    if high != across or colours != 3:
        raise ConversionError(
            f"{path}: its patches (img/embedding/kernel) are {high} x {across} pixels of {colours} colours; linmap's "
            "tower reads square patches of 3 colours."
        )
    positions = shape("img/pos_embedding", "1", "patches", "width")[1]
    grid = math.isqrt(positions)
    if grid * grid != positions:
        raise ConversionError(
            f"{path}: img/pos_embedding holds {positions} positions, which are no square of patches. A class token has "
            "one of its own; CLIPPO has none."
        )
    blocks = {int(found[1]) for name in leaves if (found := re.match(r"img/Transformer/encoderblock_(\d{1,9})/", name))}
    if blocks != set(range(len(blocks))):
        missing = next(number for number in range(len(blocks)) if number not in blocks)
        raise ConversionError(_missing(f"img/Transformer/encoderblock_{missing}", leaves, path))
    block = "img/Transformer/encoderblock_0"
    heads = shape(f"{block}/{ATTENTION}/query/kernel", "width", "heads", "channels of a head")[1]
    return {
        "image_size": grid * high,
        "patch_size": high,
        "hidden_size": width,
        "num_hidden_layers": len(blocks),
        "num_attention_heads": heads,
        "intermediate_size": shape(f"{block}/MlpBlock_0/Dense_0/kernel", "width", "channels of the MLP")[1],
        "projection_dim": shape("img/head/kernel", "width", "channels of the space")[1],
    }


def _renamed(leaves: dict[str, Tensor], config: ClippoConfig, path: str | Path) -> dict[str, Tensor]:
    """Every leaf under the name and in the shape that `ClippoModel` has for it; all are there and none is left."""
    left = dict(leaves)

    def take(name: str, shape: tuple[int, ...]) -> Tensor:
        if name not in left:
            raise ConversionError(_missing(name, leaves, path))
        leaf = left.pop(name)
        if tuple(leaf.shape) != shape:
            raise ConversionError(
                f"{path}: the leaf {name} is {tuple(leaf.shape)}; beside the others it must be {shape}."
            )
        return leaf

    width, side = config.hidden_size, config.patch_size
    renamed = {
        "logit_scale": take("t", (1,)).reshape(()),
        "tower.pos_embed": take("img/pos_embedding", (1, config.num_patches, width)),
        "tower.attn_pool.latent": take("img/MAPHead_0/probe", (1, 1, width)),
        # height, width, colour, channel -> channel, colour, height, width
        "tower.patch_embed.proj.weight": take("img/embedding/kernel", (side, side, 3, width)).permute(3, 2, 0, 1),
        "tower.patch_embed.proj.bias": take("img/embedding/bias", (width,)),
    }
    for layer, sources in _layers(config.num_hidden_layers).items():
        weights, biases = [], []
        for source in sources:
            shape, inputs = _shape(source, config)
            # inputs first, outputs behind, heads apart -> outputs, inputs; a norm's scale has no inputs
            weight = take(f"{source}/{'kernel' if inputs else 'scale'}", shape)
            weights.append(weight.reshape(math.prod(shape[:inputs]), -1).T if inputs else weight)
            biases.append(take(f"{source}/bias", shape[inputs:]).flatten())
        renamed |= {f"{layer}.weight": torch.cat(weights), f"{layer}.bias": torch.cat(biases)}
    if left:
        raise ConversionError(
            f"{path} is no CLIPPO: it holds {len(left)} leaves that CLIPPO has not, such as {next(iter(left))}."
        )
    return {name: leaf.contiguous() for name, leaf in renamed.items()}


def _layers(depth: int) -> dict[str, tuple[str, ...]]:
    """Our layers, and the original's that they are joined from."""
    layers: dict[str, tuple[str, ...]] = {"tower.norm": ("img/Transformer/encoder_norm",), "projection": ("img/head",)}
    parts = [(f"tower.blocks.{number}", f"img/Transformer/encoderblock_{number}", BLOCK) for number in range(depth)]
    for ours, theirs, renamed in [*parts, ("tower.attn_pool", "img/MAPHead_0", POOLING)]:
        for layer, sources in renamed.items():
            layers[f"{ours}.{layer}"] = tuple(f"{theirs}/{source}" for source in sources)
    return layers


def _shape(source: str, config: ClippoConfig) -> tuple[tuple[int, ...], int]:
    """Shape of an original layer's kernel or scale, and how many of its axes are inputs."""
    width, heads, hidden = config.hidden_size, config.num_attention_heads, config.intermediate_size
    match source.rsplit("/", 1)[1]:
        case "query" | "key" | "value":
            return (width, heads, width // heads), 1
        case "out":
            return (heads, width // heads, width), 2
        case "Dense_0":
            return (width, hidden), 1
        case "Dense_1":
            return (hidden, width), 1
        case "head":
            return (width, config.projection_dim), 1
        case _:
            return (width,), 0


def _missing(name: str, leaves: dict[str, Tensor], path: str | Path) -> str:
    found = ", ".join(list(leaves)[:4]) or "nothing"
    return (
        f"{path} is no CLIPPO, or part of it is lost: the leaf {name} is missing. Found {len(leaves)} leaves ({found}"
        f"{', …' if len(leaves) > 4 else ''})."
    )
