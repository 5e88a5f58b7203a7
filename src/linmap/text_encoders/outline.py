"""A text encoder without its weights: what a plan needs to know of it."""

from __future__ import annotations

from dataclasses import replace

import torch
from transformers import CONFIG_MAPPING

from linmap.encoders.names import EncoderName, parse_name
from linmap.text_encoders.loading import FORMS, encoder_of, load_text_encoder
from linmap.text_encoders.modeling import TextEncoder
from linmap.weights import WHEELS
from linmap.weights.known import KnownConfiguration, known_configuration

__all__ = ["outline_text_encoder"]


def outline_text_encoder(
    name: str, *, pretrained: bool = True, seed: int | None = None, pooling: str | None = None
) -> TextEncoder:
    """A text encoder on the meta device: its parts and their sizes, and no memory for them.

    The architecture comes from its library, the configuration of a model of transformers from linmap itself, from the
    directory, or from the Hub and its cache; weights are not read.

    Args:
        name: As `load_text_encoder` takes it, as the next three.
        pretrained: As there.
        seed: As there.
        pooling: As there.

    Raises:
        EncoderError: The name or the arguments cannot be understood, or the pooling must be said.
        WeightsUnavailableError: Its configuration cannot be had here.

    Example:
        >>> outline_text_encoder("wheel:all-minilm-l6-v2").feature_dim
        384
    """
    parsed = parse_name(name, FORMS, "text encoder")
    known = known_configuration(name) if parsed.source == "wheel" else None
    with torch.device("meta"):
        if known is None:
            encoder = load_text_encoder(name, pretrained=False, pooling=pooling)
        else:
            encoder = _of_wheel(parsed, known, pooling)
    facts = replace(encoder.fingerprint, name=name, pretrained=True, seed=None)
    if parsed.source == "wheel":
        facts = WHEELS[parsed.id].fingerprint(name)
    if not pretrained:
        facts = replace(facts, pretrained=False, seed=seed or 0)
    encoder.config.fingerprint = facts.to_dict()
    return encoder


def _of_wheel(name: EncoderName, known: KnownConfiguration, pooling: str | None) -> TextEncoder:
    from linmap.encoders.transformers_files import portable
    from linmap.text_encoders.transformers_text import MINILM_POOLING, TransformersTextTower, text_facts

    config = CONFIG_MAPPING[known.config["model_type"]].from_dict(dict(known.config))
    model_args = {"config": portable(config), "pooler": True}
    tower = TransformersTextTower(config.model_type, model_args)
    fingerprint = WHEELS[name.id].fingerprint(str(name))
    facts = text_facts(name, tower, config, model_args, pooling or MINILM_POOLING, None, fingerprint)
    return encoder_of(facts, fingerprint)
