"""What a model's configuration says for its card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["facts_of"]

TASKS = {
    "ClippoForSequenceClassification": "clippo_sequence_classification",
    "ClippoForQuestionAnswering": "clippo_question_answering",
}


def facts_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `write_model_card` that stand in a model's `config.json`.

    Args:
        config: The file's content.

    Example:
        >>> facts_of({"model_type": "decap", "train_decoder": False, "backbones": {}})["kind"]
        'decap'
    """
    kind = str(config.get("model_type"))
    backbones = dict(config.get("backbones") or {})
    trained = []
    if kind == "clippo":
        kind = TASKS.get((config.get("architectures") or [""])[0], kind)
        if config.get("initialised_from") is not None:
            backbones, trained = {"tower": config["initialised_from"]}, ["tower"]
    if config.get("trained_encoder"):
        trained.append("encoder")
    if config.get("adapter_downsample") is not None:
        trained.append("adapters")
    if config.get("train_decoder"):
        trained.append("decoder")
    trained += [f"{tower}_encoder" for tower in config.get("trained_towers") or []]
    complete = config.get("checkpoint_contents") == "full"
    return {"kind": kind, "backbones": backbones, "trained": trained, "complete": complete}
