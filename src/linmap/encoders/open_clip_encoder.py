"""Image towers of open_clip; the only place that builds them."""

from __future__ import annotations

import difflib
import posixpath
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.pretrained import download_pretrained_from_url
from torch import Tensor

from linmap.encoders.names import EncoderName
from linmap.encoders.preprocessing import resize_and_crop
from linmap.encoders.tower import LoadedTower, Tower
from linmap.errors import EncoderError
from linmap.weights.hub import commit_of, hub_file, hub_license, safetensors_first
from linmap.weights.identity import Fingerprint, sha256_of

__all__ = ["OpenClipTower", "load_open_clip"]

# The text tower is not wanted: the smallest one that open_clip builds takes its place.
NO_TEXT = {"context_length": 1, "vocab_size": 1, "width": 64, "heads": 1, "layers": 1}


class OpenClipTower(Tower):
    """The image tower of an open_clip model.

    Grid features are the last block's output, before the final norm and before attention pooling; pooled features are
    the image embedding, projected but not normalised.

    Args:
        architecture: Name of an open_clip model configuration.
        model_args: `quick_gelu`, and `image_size` where it is not the configuration's own.
    """

    def __init__(self, architecture: str, model_args: dict[str, Any]) -> None:
        super().__init__(architecture, model_args)
        config = _model_config(architecture)
        vision = {**config["vision_cfg"], "timm_model_pretrained": False}
        if "image_size" in model_args:
            vision["image_size"] = model_args["image_size"]
        self.network: Any = open_clip.CustomTextCLIP(
            embed_dim=config["embed_dim"],
            vision_cfg=vision,
            text_cfg=NO_TEXT,
            quick_gelu=model_args.get("quick_gelu", config.get("quick_gelu", False)),
        ).visual

    def grid_features(self, pixel_values: Tensor) -> Tensor:
        """As `Tower.grid_features`; the class token is dropped."""
        blocks = self.network.forward_intermediates(pixel_values, indices=1, intermediates_only=True)
        return blocks["image_intermediates"][-1].permute(0, 2, 3, 1)

    def pooled_features(self, pixel_values: Tensor) -> Tensor:
        """As `Tower.pooled_features`."""
        pooled = self.network(pixel_values)
        return pooled[0] if isinstance(pooled, tuple) else pooled  # CoCa's tower gives its tokens as well


def load_open_clip(name: EncoderName, *, pretrained: bool, revision: str | None, image_size: int | None) -> LoadedTower:
    """An open_clip image tower by `NAME/TAG`; without pretrained weights `NAME` is enough."""
    architecture, _, tag = name.id.partition("/")
    config = _model_config(architecture)
    entry = _pretrained_entry(architecture, tag, pretrained)
    model_args: dict[str, Any] = {
        # OpenAI's weights and some others were trained with another GELU than the plain configurations have.
        "quick_gelu": bool(config.get("quick_gelu") or entry.get("quick_gelu"))
    }
    if image_size is not None:
        model_args["image_size"] = image_size
    side = _side(name, image_size or config["vision_cfg"].get("image_size", 224))
    fingerprint = Fingerprint(name=str(name), library="open_clip", id=name.id, pretrained=False)
    if not pretrained:
        tower = OpenClipTower(architecture, model_args)
    else:
        with torch.device("meta"):
            tower = OpenClipTower(architecture, model_args)
        path, license_ = _weights(entry, revision)
        tower.network = open_clip.create_model(
            architecture,
            pretrained=str(path),
            require_pretrained=True,
            force_quick_gelu=model_args["quick_gelu"],
            force_image_size=image_size,
        ).visual
        fingerprint = Fingerprint(
            name=str(name),
            library="open_clip",
            id=name.id,
            revision=commit_of(path),
            file=path.name,
            sha256=sha256_of(path),
            license=license_,
        )
    return LoadedTower(
        tower=tower,
        library="open_clip",
        architecture=architecture,
        model_args=model_args,
        image_size=side,
        preprocessing=_preprocessing(name, entry, side),
        fingerprint=fingerprint,
    )


def _model_config(architecture: str) -> dict[str, Any]:
    config = open_clip.get_model_config(architecture)
    if config is None:
        close = difflib.get_close_matches(architecture, open_clip.list_models(), n=3)
        hint = f" Did you mean {', '.join(f'open_clip:{match}' for match in close)}?" if close else ""
        raise EncoderError(
            f"open_clip {open_clip.__version__} has no model {architecture!r}.{hint} "
            "List them with open_clip.list_models()."
        )
    return dict(config)


def _pretrained_entry(architecture: str, tag: str, pretrained: bool) -> dict[str, Any]:
    """open_clip's own record of the weights: where they are and how images are preprocessed for them."""
    entry = open_clip.get_pretrained_cfg(architecture, tag) if tag else {}
    if not entry and (tag or pretrained):
        known = ", ".join(sorted(open_clip.list_pretrained_tags_by_model(architecture))) or "none"
        asked = f"no weights {tag!r} for" if tag else "to be told which weights to take for"
        verb = "has" if tag else "needs"
        raise EncoderError(
            f"open_clip {open_clip.__version__} {verb} {asked} {architecture!r}. Write open_clip:{architecture}/TAG; "
            f"known tags: {known}."
        )
    return dict(entry)


def _side(name: EncoderName, image_size: int | tuple[int, int]) -> int:
    if isinstance(image_size, int):
        return image_size
    height, width = image_size
    if height != width:
        raise EncoderError(f"{name} takes images of {height}x{width} pixels; only square ones are supported.")
    return int(height)


def _preprocessing(name: EncoderName, entry: dict[str, Any], side: int) -> dict[str, Any]:
    """open_clip's evaluation transform: resized to exactly the input size, the rest cut off or squashed."""
    settings = open_clip.transform.merge_preprocess_dict(open_clip.transform.PreprocessCfg(), entry)
    if settings["resize_mode"] not in {"shortest", "squash"}:
        raise EncoderError(f"{name} is preprocessed with resize mode {settings['resize_mode']!r}: not supported.")
    return resize_and_crop(
        side,
        crop_fraction=1.0,
        squash=settings["resize_mode"] == "squash",
        interpolation="bilinear" if settings["interpolation"] == "bilinear" else "bicubic",
        mean=settings["mean"],
        std=settings["std"],
    )


def _weights(entry: dict[str, Any], revision: str | None) -> tuple[Path, str | None]:
    """The weight file, and its licence where the hub's card states one."""
    if not entry.get("hf_hub"):
        return Path(download_pretrained_from_url(entry["url"])), None
    repo_id, file = posixpath.split(entry["hf_hub"])
    path = hub_file(repo_id, safetensors_first(file or "open_clip_pytorch_model.bin"), revision)
    return path, hub_license(repo_id, commit_of(path))
