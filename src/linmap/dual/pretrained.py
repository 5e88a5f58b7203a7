"""Whole two-tower models of open_clip and transformers, taken apart into towers, heads and temperature."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoImageProcessor, PreTrainedModel

from linmap.encoders import ImageEncoder, load_encoder
from linmap.encoders.loading import encoder_of
from linmap.encoders.names import EncoderName
from linmap.encoders.preprocessing import describe
from linmap.encoders.tower import LoadedTower
from linmap.encoders.transformers_files import (
    facts_of,
    load_whole,
    model_directory,
    portable,
    read_configuration,
    weight_file,
)
from linmap.errors import EncoderError, WeightsUnavailableError
from linmap.text_encoders import TextEncoder, load_text_encoder
from linmap.text_encoders import loading as text_loading
from linmap.text_encoders.transformers_text import TransformersTextTower, text_facts, tokenizer_beside
from linmap.weights.hub import hub_file
from linmap.weights.identity import Fingerprint, sha256_of_weights

__all__ = ["TWO_TOWERS", "PretrainedPair", "open_clip_pair", "transformers_pair"]

TWO_TOWERS = ("clip", "siglip")
"""Kinds of transformers models whose towers, heads and temperature lie where these two have them."""


@dataclass(frozen=True)
class PretrainedPair:
    """A two-tower model in its parts.

    Args:
        image_encoder: Without its last matrix where that is a plain one.
        text_encoder: Likewise.
        image_projection: That matrix, (embedding, width); None where the tower has none of its own.
        text_projection: Likewise.
        logit_scale: Scalar, the logarithm of the factor on the cosines.
        logit_bias: Scalar, or None.
    """

    image_encoder: ImageEncoder
    text_encoder: TextEncoder
    image_projection: Tensor | None
    text_projection: Tensor | None
    logit_scale: Tensor
    logit_bias: Tensor | None

    @property
    def width(self) -> int:
        """Channels of the shared space."""
        if self.image_projection is not None:
            return self.image_projection.shape[0]
        return self.image_encoder.pooled_dim


def open_clip_pair(
    name: str,
    model: nn.Module | None = None,
    *,
    pretrained: bool = True,
    seed: int | None = None,
    revision: str | None = None,
) -> PretrainedPair:
    """The parts of an open_clip model.

    Args:
        name: `"ARCHITECTURE/TAG"`.
        model: The model itself, where it is loaded already; nothing is then recorded of where it came from.
        pretrained: False draws random weights.
        seed: Of the random weights.
        revision: Commit, tag or branch on the Hub.
    """
    from linmap.encoders.open_clip_encoder import loaded_tower, tower_around
    from linmap.encoders.open_clip_files import load_open_clip_model, model_arguments, model_config
    from linmap.text_encoders.open_clip_text import OpenClipTextTower, facts_of_text_tower

    parsed = EncoderName("open_clip", name.removeprefix("open_clip:"))
    if model is None and not pretrained:
        random: dict[str, Any] = {"pretrained": False, "seed": seed}
        return _taken_apart(
            load_encoder(str(parsed), **random),
            load_text_encoder(str(parsed), **random),
            *_start_of(model_config(parsed.id.partition("/")[0])),
        )
    architecture = parsed.id.partition("/")[0]
    preprocessing = None
    if model is None:
        model, model_args, fingerprint = load_open_clip_model(parsed, revision)
    else:
        config = model_config(architecture)
        model_args = model_arguments(config, {"quick_gelu": _has_quick_gelu(model)})
        fingerprint = Fingerprint(name="", library="open_clip", id=architecture)
        model = copy.deepcopy(model)  # taking it apart must not change what the user holds
        side = _side_of(model)
        if side not in (None, config["vision_cfg"].get("image_size", 224)):
            model_args["image_size"] = side
        preprocessing = getattr(model.visual, "preprocess_cfg", None)
    image_tower = tower_around(model, architecture, dict(model_args))
    text_args = {"quick_gelu": model_args["quick_gelu"]}
    text_tower = OpenClipTextTower(architecture, dict(text_args))
    text_tower.take_weights(model)
    seen = loaded_tower(parsed, image_tower, dict(model_args), fingerprint, preprocessing=preprocessing)
    images = encoder_of(seen, fingerprint)
    texts = facts_of_text_tower(text_tower, architecture, text_args, fingerprint)
    return _taken_apart(images, text_loading.encoder_of(texts, fingerprint), model.logit_scale, model.logit_bias)


def _start_of(config: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
    """Scale and bias that an architecture of open_clip starts with: CLIP's 1/0.07 (section 2.5) if it says nothing."""
    bias = config.get("init_logit_bias")
    # on the CPU also where the towers are outlined on the meta device: their values are read
    scale = torch.tensor(float(config.get("init_logit_scale", math.log(1 / 0.07))), device="cpu")
    return scale, None if bias is None else torch.tensor(float(bias), device="cpu")


def _side_of(model: nn.Module) -> int | None:
    """Side of the images a whole open_clip model takes; None where it does not say, or they are not square."""
    size = getattr(model.visual, "image_size", None)
    if isinstance(size, tuple | list):
        size = size[0] if len(set(size)) == 1 else None
    return size if isinstance(size, int) else None


def _taken_apart(images: ImageEncoder, texts: TextEncoder, scale: Any, bias: Any) -> PretrainedPair:
    image_matrix, text_matrix = images.take_projection(), texts.take_projection()
    return PretrainedPair(
        image_encoder=images,
        text_encoder=texts,
        image_projection=None if image_matrix is None else image_matrix.T.contiguous(),
        text_projection=None if text_matrix is None else text_matrix.T.contiguous(),
        logit_scale=torch.as_tensor(scale, device=getattr(scale, "device", None)).detach().float().reshape(()),
        logit_bias=None if bias is None else bias.detach().float().reshape(()),
    )


def _has_quick_gelu(model: nn.Module) -> bool:
    from open_clip.transformer import QuickGELU

    return any(isinstance(module, QuickGELU) for module in model.modules())


def transformers_pair(model: str | Path | PreTrainedModel, revision: str | None = None, **hub: Any) -> PretrainedPair:
    """The parts of a CLIP or SigLIP model of transformers.

    Args:
        model: Hub id, directory, or the model itself, of which nothing is recorded about where it came from.
        revision: Commit, tag or branch on the Hub.
        **hub: As for `hub_file`.
    """
    if isinstance(model, PreTrainedModel):
        _require_two_towers(model.config, type(model).__name__)
        model = copy.deepcopy(model)  # freezing its towers must not change what the user holds
        unnamed = Fingerprint(name="", library="transformers", id=type(model).__name__)
        return _transformers_parts(model, EncoderName("hf", type(model).__name__), unnamed, {}, None)
    name = EncoderName("hf", str(model).removeprefix("hf:"))
    directory, commit = model_directory(name, revision, **hub)
    config = read_configuration(name, directory)
    _require_two_towers(config, str(name))
    weights = weight_file(name, directory, commit, **hub)
    whole, _ = load_whole(name, directory, config)
    facts = facts_of(name, directory, commit, **hub) | {"file": weights.name, "sha256": sha256_of_weights(weights)}
    preprocessing = _preprocessing(name, directory, commit, **hub)
    tokenizer = tokenizer_beside(name, directory, commit, **hub)
    return _transformers_parts(whole, name, Fingerprint(**facts), preprocessing, tokenizer)


def _require_two_towers(config: Any, name: str) -> None:
    if config.model_type not in TWO_TOWERS:
        raise EncoderError(
            f"{name} is a {config.model_type!r} model; taken as a whole are {' and '.join(TWO_TOWERS)}. Join the "
            "towers of others with from_backbones."
        )


def _transformers_parts(
    model: Any, name: EncoderName, fingerprint: Fingerprint, preprocessing: dict[str, Any], tokenizer: Any
) -> PretrainedPair:
    from linmap.encoders.transformers_encoder import TransformersTower

    vision, text = model.config.vision_config, model.config.text_config
    model_args = {"config": portable(vision), "pooler": True, "interpolate": False}
    with torch.device("meta"):
        image_tower = TransformersTower(vision.model_type, copy.deepcopy(model_args))
    image_tower.network = model.vision_model
    loaded = LoadedTower(
        tower=image_tower,
        library="transformers",
        architecture=vision.model_type,
        model_args=model_args,
        image_size=vision.image_size,
        preprocessing=preprocessing,
        fingerprint=fingerprint,
    )
    text_args: dict[str, Any] = {"config": portable(text), "pooler": True}
    with torch.device("meta"):
        text_tower = TransformersTextTower(text.model_type, copy.deepcopy(text_args))
    text_tower.network = model.text_model
    texts = text_facts(name, text_tower, text, text_args, "pooler", tokenizer, fingerprint)
    heads = [getattr(model, head, None) for head in ("visual_projection", "text_projection")]
    image_matrix, text_matrix = (None if head is None else head.weight.detach() for head in heads)
    bias = getattr(model, "logit_bias", None)
    return PretrainedPair(
        image_encoder=encoder_of(loaded, fingerprint),
        text_encoder=text_loading.encoder_of(texts, fingerprint),
        image_projection=image_matrix,
        text_projection=text_matrix,
        logit_scale=model.logit_scale.detach().float().reshape(()),
        logit_bias=None if bias is None else bias.detach().float().reshape(()),
    )


def _preprocessing(name: EncoderName, directory: Path, commit: str | None, **hub: Any) -> dict[str, Any]:
    """The image processor beside the weights; without one, whoever wants to see photos is told so."""
    files = ("preprocessor_config.json", "processor_config.json")
    if commit is not None:
        try:
            hub_file(name.id, files, commit, **hub)
        except WeightsUnavailableError:
            return {}
    if not any((directory / file).is_file() for file in files):
        return {}
    return describe(AutoImageProcessor.from_pretrained(directory))
