"""From the word after `--decap` to a model, its processor and its memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from linmap.cli.models import config_in, model_folder, one_line, require_processor
from linmap.errors import ModelNotFoundError

if TYPE_CHECKING:
    from linmap.decap.memory import SupportMemory
    from linmap.decap.modeling import DeCapModel
    from linmap.decap.processing import DeCapProcessor

__all__ = ["DECAP", "DeCap", "decap_folder", "load_decap", "load_memory"]

DECAP = "decap"
DEFAULT = "default"


class DeCap(NamedTuple):
    """A model on its device, and its processor."""

    model: DeCapModel
    processor: DeCapProcessor


def decap_folder(name: str) -> Path:
    """The local folder of a DeCap model; `"default"` is the bundled one.

    Raises:
        ModelNotFoundError: It is not there, or is another kind of model.
    """
    if name == DEFAULT:
        from linmap.hub import default_decap

        folder = Path(default_decap())
    else:
        folder = model_folder(name)
    kind = config_in(folder).get("model_type")
    if kind != DECAP:
        raise ModelNotFoundError(
            f"{folder} holds a model of type {kind!r}; this needs one of type {DECAP!r}. Train one: linmap train "
            "decap-flickr8k --output DIR."
        )
    require_processor(folder)
    return folder


def load_decap(name: str, device: str, memory: Path | None = None) -> DeCap:
    """Loads a model with its dual encoder and its memory.

    Args:
        name: See `decap_folder`.
        device: One of `linmap.cli.devices.DEVICES`, with or without a number.
        memory: Another memory than the model's own.

    Raises:
        LinmapError: The model, a part of it or the device is not to be had, or it cannot read photos.
    """
    from linmap.cli.devices import device_for

    place = device_for(device)
    folder = decap_folder(name)
    from linmap.decap.modeling import DeCapModel
    from linmap.decap.processing import DeCapProcessor

    with one_line(folder):
        model = DeCapModel.from_pretrained(folder, memory=memory)
        processor = DeCapProcessor.from_pretrained(folder)
    if model.dual_encoder is None or model.dual_encoder.image_encoder is None:
        raise ModelNotFoundError(f"{folder} holds no image encoder: it takes latents, not photos. Name one that does.")
    model.to(place)  # type: ignore[arg-type]  # transformers' wrapper hides the signature
    return DeCap(model, processor)


def load_memory(directory: Path) -> SupportMemory:
    """The memory in a folder."""
    from linmap.decap.memory import SupportMemory

    return SupportMemory.from_pretrained(directory)
