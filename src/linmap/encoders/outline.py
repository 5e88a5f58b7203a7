"""An image encoder without its weights: what a plan needs to know of it."""

from __future__ import annotations

from dataclasses import replace

import torch
from transformers import CONFIG_MAPPING

from linmap.encoders.loading import encoder_of, load_encoder
from linmap.encoders.modeling import ImageEncoder
from linmap.encoders.names import EncoderName, parse_name
from linmap.encoders.preprocessing import resize_and_crop
from linmap.encoders.tower import LoadedTower
from linmap.weights import WHEELS, Fingerprint
from linmap.weights.known import KnownConfiguration, known_configuration

__all__ = ["outline_encoder"]


def outline_encoder(
    name: str,
    *,
    pretrained: bool = True,
    seed: int | None = None,
    image_size: int | None = None,
    preprocessing: str | None = None,
) -> ImageEncoder:
    """An image encoder on the meta device: its parts, their sizes and its features' shape, and no memory for them.

    The architecture comes from its library, the configuration of a model of transformers from linmap itself, from the
    directory, or from the Hub and its cache; weights are not read.

    Args:
        name: As `load_encoder` takes it, as the next four.
        pretrained: As there.
        seed: As there.
        image_size: As there.
        preprocessing: As there.

    Raises:
        EncoderError: The name or the arguments cannot be understood, or the encoder does not fit the contract.
        WeightsUnavailableError: Its configuration cannot be had here.

    Example:
        >>> encoder = outline_encoder("open_clip:RN50x16/openai")
        >>> encoder.grid, encoder.feature_dim, encoder.device.type
        ((12, 12), 3072, 'meta')
    """
    parsed = parse_name(name)
    known = known_configuration(parsed.id) if parsed.source == "hf" else None
    with torch.device("meta"):
        if known is not None and known.preprocessing is not None and image_size is None and preprocessing is None:
            encoder = _of_transformers(parsed, known)
        else:
            encoder = load_encoder(name, pretrained=False, image_size=image_size, preprocessing=preprocessing)
    if pretrained:
        facts = _described(encoder.fingerprint, parsed, known)
    else:  # of random weights there is no file, no digest and no licence
        facts = replace(encoder.fingerprint, name=str(parsed), pretrained=False, seed=seed or 0)
    encoder.config.fingerprint = facts.to_dict()
    return encoder


def _of_transformers(name: EncoderName, known: KnownConfiguration) -> ImageEncoder:
    from linmap.encoders.transformers_encoder import TransformersTower
    from linmap.encoders.transformers_files import portable

    config = CONFIG_MAPPING[known.config["model_type"]].from_dict(dict(known.config))
    model_args = {"config": portable(config), "pooler": True, "interpolate": False}
    said = dict(known.preprocessing or {})
    side = said.pop("image_size")
    fingerprint = Fingerprint(name=str(name), library="transformers", id=name.id)
    loaded = LoadedTower(
        tower=TransformersTower(config.model_type, model_args),
        library="transformers",
        architecture=config.model_type,
        model_args=model_args,
        image_size=side,
        preprocessing=resize_and_crop(side, crop_fraction=1.0, squash=True, **said),
        fingerprint=fingerprint,
    )
    return encoder_of(loaded, fingerprint)


def _described(found: Fingerprint, name: EncoderName, known: KnownConfiguration | None) -> Fingerprint:
    """What can be said of the weights that would be loaded."""
    facts = replace(found, name=str(name), pretrained=True, seed=None)
    if name.source == "wheel" and name.id in WHEELS:
        return WHEELS[name.id].fingerprint(str(name))
    if name.source == "timm":
        from linmap.encoders.timm_encoder import license_of

        return replace(facts, license=license_of(name.id))
    return facts if known is None else replace(facts, license=known.license)
