"""From the word after `--model` to a dual encoder and its processor: ours, open_clip's, CLIP or SigLIP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from linmap.dual.named import DualEncoder

__all__ = ["announce", "dual_encoder_folder", "load_dual_encoder"]

BUNDLED = (None, "default")
OPEN_CLIP = "open_clip:"


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
    return "the bundled dual encoder" if name in BUNDLED else str(name)


def dual_encoder_folder(name: str | None) -> Path:
    """The local folder of a dual encoder; `None` and `"default"` are the bundled one. See `model_folder`."""
    if name in BUNDLED:
        from linmap.hub import default_dual_encoder

        return Path(default_dual_encoder())
    return model_folder(name)


def load_dual_encoder(name: str | None, device: str = "auto", *, texts: bool = True) -> DualEncoder:
    """Loads a model with its towers, and its processor.

    Args:
        name: Folder, Hub id, `"open_clip:NAME/TAG"`, `None` or `"default"` for the bundled model.
        device: One of `linmap.cli.devices.DEVICES`, with or without a number.
        texts: Whether a text encoder is needed; an image encoder always is.

    Raises:
        LinmapError: The model, a tower or the device is not to be had; the message says which.
    """
    from linmap.cli.devices import device_for

    place = device_for(device)
    dual = _loaded(name)
    for part, encoder, needed in (
        ("image", dual.model.image_encoder, True),
        ("text", dual.model.text_encoder, texts),
    ):
        if encoder is None and needed:
            raise EvaluationError(f"This model holds no {part} encoder: it reads features. Name one that does.")
    dual.model.to(place)  # type: ignore[arg-type]  # transformers' wrapper hides the signature
    return dual


def _loaded(name: str | None) -> DualEncoder:
    if name is not None and name.startswith(OPEN_CLIP):
        place = name
    else:
        folder = dual_encoder_folder(name)
        if _checked_config(folder)["model_type"] == DUAL_ENCODER:
            require_processor(folder)
        place = str(folder)
    from linmap.dual import named

    with one_line(place):
        return named.load_dual_encoder(place)


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
