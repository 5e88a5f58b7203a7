"""What `linmap info` tells of a DeCap model: projection, decoder, dual encoder, support memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from linmap.cli.info.files import files_in, frozen_part, header_of, json_in, size_of
from linmap.errors import ProjectionError

if TYPE_CHECKING:
    from linmap.decap.configuration import DeCapConfig

__all__ = ["decap_facts"]


def decap_facts(folder: Path, written: dict[str, Any]) -> dict[str, Any]:
    """Everything `linmap info` tells of it; sizes are in bytes.

    Args:
        folder: Of the model.
        written: Its `config.json`.
    """
    from linmap.decap.configuration import DeCapConfig
    from linmap.decap.parts import DECODER_FOLDER, DUAL_ENCODER_FOLDER, MEMORY_FOLDER

    config = DeCapConfig.from_dict(written)
    recorded = config.backbones or {}
    inside = config.checkpoint_contents == "full"
    header = header_of(folder, "a projection")
    projector = header.under("projector.")
    if "projector.weight" not in projector.shapes:
        raise ProjectionError(
            f"{folder / 'model.safetensors'} holds no projector.weight. Train the model, or fetch it again."
        )
    outputs, inputs = projector.shapes["projector.weight"]
    trained = {"projector": {"inputs": inputs, "outputs": outputs, **projector.facts()}}
    frozen: dict[str, Any] = {}
    if config.train_decoder:
        trained["decoder"] = header.under("decoder.").facts()
    else:
        frozen["decoder"] = frozen_part(recorded.get("decoder"), inside, *_decoder_size(config))
    if "dual_encoder" in recorded:
        place = _dual_encoder_folder(recorded["dual_encoder"], folder / DUAL_ENCODER_FOLDER if inside else None)
        frozen["dual_encoder"] = frozen_part(recorded["dual_encoder"], inside, *_dual_encoder_size(place))
    places = [folder, *(folder / name for name in (MEMORY_FOLDER, DECODER_FOLDER, DUAL_ENCODER_FOLDER))]
    return {
        "folder": str(folder),
        "kind": "decap",
        "trained": trained,
        "frozen": frozen,
        "decap": {
            "latent_dim": config.latent_dim,
            "prefix_length": config.prefix_length,
            "decoder": config.text_config.model_type,
            "hidden_size": config.hidden_size,
            "vocabulary": config.text_config.get_text_config(decoder=True).vocab_size,
            "strategy": config.strategy,
            "tau": config.tau,
            "label_smoothing": config.label_smoothing,
            "latent_noise": config.latent_noise,
            "text_tower": config.text_tower,
            "max_length": json_in(folder / "processor_config.json").get("max_length"),
        },
        "memory": _memory(folder / MEMORY_FOLDER),
        "generation": {
            name: value
            for name, value in json_in(folder / "generation_config.json").items()
            if name in ("max_new_tokens", "num_beams", "do_sample", "length_penalty", "repetition_penalty")
        },
        "files": {file.relative_to(folder).as_posix(): file.stat().st_size for file in files_in(*places)},
    }


def _memory(folder: Path) -> dict[str, Any] | None:
    """What `memory.json` says of the memory in a checkpoint; None where it has none."""
    from linmap.decap.memory_files import complete_facts, total_bytes

    if not folder.is_dir():
        return None
    facts = complete_facts(folder)
    return {
        "captions": facts["rows"],
        "latent_dim": facts["dim"],
        "dtype": facts["dtype"],
        "bytes": total_bytes(facts),
        "shards": len(facts["shards"]),
        "text_tower": facts.get("text_tower"),
    }


def _dual_encoder_folder(recorded: dict[str, Any], own: Path | None) -> Path | None:
    """Where the dual encoder lies, if that is here: nothing is fetched."""
    from linmap.dual.named import DEFAULT
    from linmap.hub import default_dual_encoder

    if own is not None:
        return own
    name = str(recorded.get("name"))
    place = Path(default_dual_encoder() if name == DEFAULT else name)
    return place if place.is_dir() else None


def _dual_encoder_size(place: Path | None) -> tuple[int | None, int | None, str | None]:
    """Parameters, bytes and number formats of all its parts; None for one that is not here, or not of linmap."""
    from linmap.cli.info.dual_encoder import dual_encoder_facts
    from linmap.cli.models import DUAL_ENCODER

    written = json_in(place / "config.json") if place is not None else {}
    if place is None or written.get("model_type") != DUAL_ENCODER:
        return None, None, None
    facts = dual_encoder_facts(place, written)
    parts = [*facts["trained"].values(), *facts["frozen"].values()]
    formats = sorted({one for part in parts for one in part["dtype"].split(", ")})
    return sum(part["parameters"] for part in parts), sum(part["bytes"] for part in parts), ", ".join(formats)


def _decoder_size(config: DeCapConfig) -> tuple[int, int, str]:
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):  # shapes without storage: nothing is read, nothing is allocated
        return size_of(AutoModelForCausalLM.from_config(config.text_config))
