"""From the word after `--model` to a dual encoder and its processor: ours, open_clip's, CLIP or SigLIP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from linmap.cli.models import (
    CAPTIONER,
    COMPARING,
    DUAL_ENCODER,
    config_in,
    model_folder,
    one_line,
    require_processor,
)
from linmap.errors import EvaluationError, ModelNotFoundError

if TYPE_CHECKING:
    from linmap.dual.modeling import DualEncoderModel
    from linmap.dual.processing import DualEncoderProcessor

__all__ = ["DualEncoder", "announce", "dual_encoder_folder", "load_dual_encoder"]

OPEN_CLIP = "open_clip:"


class DualEncoder(NamedTuple):
    """A model on its device, and its processor."""

    model: DualEncoderModel
    processor: DualEncoderProcessor


def announce(name: str | None, device: str) -> str:
    """What reports call the model; a wrong name is said here, before torch is imported, which takes seconds.

    From here on libraries are quiet, and there are progress bars on terminals only.

    Raises:
        LinmapError: The model is no dual encoder or is not there; no device is called so.
    """
    from linmap.cli.devices import check_device
    from linmap.cli.messages import no_bars_off_terminals, quiet_libraries

    check_device(device)
    if name is None or not name.startswith(OPEN_CLIP):
        _checked_config(dual_encoder_folder(name))
    quiet_libraries()
    no_bars_off_terminals()
    return name or "the bundled dual encoder"


def dual_encoder_folder(name: str | None) -> Path:
    """The local folder of a dual encoder; `None` is the bundled one. See `model_folder`."""
    if name is None:
        from linmap.hub import default_dual_encoder

        return Path(default_dual_encoder())
    return model_folder(name)


def load_dual_encoder(name: str | None, device: str = "auto", *, texts: bool = True) -> DualEncoder:
    """Loads a model with its towers, and its processor.

    Args:
        name: Folder, Hub id, `"open_clip:NAME/TAG"`, or `None` for the bundled model.
        device: One of `linmap.cli.devices.DEVICES`, with or without a number.
        texts: Whether a text encoder is needed; an image encoder always is.

    Raises:
        LinmapError: The model, a tower or the device is not to be had; the message says which.
    """
    from linmap.cli.devices import device_for

    place = device_for(device)
    dual = _open_clip(name) if name is not None and name.startswith(OPEN_CLIP) else _from_folder(name)
    for part, encoder, needed in (
        ("image", dual.model.image_encoder, True),
        ("text", dual.model.text_encoder, texts),
    ):
        if encoder is None and needed:
            raise EvaluationError(f"This model holds no {part} encoder: it reads features. Name one that does.")
    dual.model.to(place)  # type: ignore[arg-type]  # transformers' wrapper hides the signature
    return dual


def _open_clip(name: str) -> DualEncoder:
    from linmap.dual.modeling import DualEncoderModel
    from linmap.dual.processing import DualEncoderProcessor

    with one_line(name):
        model = DualEncoderModel.from_open_clip(name.removeprefix(OPEN_CLIP))
        return DualEncoder(model, DualEncoderProcessor.for_model(model))


def _from_folder(name: str | None) -> DualEncoder:
    folder = dual_encoder_folder(name)
    ours = _checked_config(folder)["model_type"] == DUAL_ENCODER
    if ours:
        require_processor(folder)
    from linmap.dual.modeling import DualEncoderModel
    from linmap.dual.processing import DualEncoderProcessor

    with one_line(folder):
        model = DualEncoderModel.from_pretrained(folder)
        processor = DualEncoderProcessor.from_pretrained(folder) if ours else DualEncoderProcessor.for_model(model)
    return DualEncoder(model, processor)


def _checked_config(folder: Path) -> dict[str, Any]:
    """The facts in `config.json` of a model that compares photos with texts."""
    config = config_in(folder)
    kind = config.get("model_type")
    if kind == CAPTIONER:
        raise ModelNotFoundError(
            f"{folder} holds a model of type {kind!r}, which writes captions and has no space that photos and texts "
            "share. Measure it with linmap evaluate caption, or name a dual encoder; without --model the bundled one "
            "is used."
        )
    if kind not in COMPARING:
        raise ModelNotFoundError(
            f"{folder} holds a model of type {kind!r}; comparing photos with texts needs one of "
            f"{', '.join(COMPARING)}, or open_clip:NAME/TAG."
        )
    return config
