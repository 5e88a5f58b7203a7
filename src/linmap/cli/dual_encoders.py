"""From a word to a model that compares photos with texts, with its processor: of linmap, open_clip, CLIP, SigLIP."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from linmap.cli.models import (
    CAPTIONER,
    CLIPPO,
    COMPARING,
    DUAL_ENCODER,
    config_in,
    model_folder,
    one_line,
    require_processor,
)
from linmap.errors import EvaluationError, ModelNotFoundError

if TYPE_CHECKING:
    from torch import Tensor

    from linmap.clippo.modeling import ClippoModel
    from linmap.clippo.processing import ClippoProcessor
    from linmap.dual.named import DualEncoder

__all__ = [
    "Clippo",
    "Comparing",
    "announce",
    "dual_encoder_folder",
    "embed_texts",
    "is_clippo",
    "load_comparing",
    "load_dual_encoder",
    "reads_texts",
]

BUNDLED = (None, "default")
OPEN_CLIP = "open_clip:"


class Clippo(NamedTuple):
    """A CLIPPO model, or one of those the paper compares it with, and its processor."""

    model: ClippoModel
    processor: ClippoProcessor


Comparing: TypeAlias = "DualEncoder | Clippo"
"""What compares photos with texts: a model and its processor."""


def announce(name: str | None, device: str, *, drawing: bool = True) -> str:
    """What reports call the model; a wrong name is said here, before torch is imported, which takes seconds.

    From here on libraries are quiet, and there are progress bars on terminals only.

    Args:
        name: See `load_comparing`.
        device: See there.
        drawing: Whether a CLIPPO model will do; False: a text tower is needed that has an identity of its own.

    Raises:
        LinmapError: The model compares no photos with texts or is not there; no device is called so.
    """
    from linmap.cli.devices import check_device
    from linmap.cli.messages import no_bars_off_terminals, quiet_libraries

    check_device(device)
    if name is None or not name.startswith(OPEN_CLIP):
        folder = dual_encoder_folder(name)
        if _checked_config(folder)["model_type"] == CLIPPO and not drawing:
            raise ModelNotFoundError(
                f"{folder} holds a model of type {CLIPPO!r}; this needs a dual encoder, whose text tower a memory can "
                "be known to belong to. Name one; without --model the bundled one is used."
            )
    quiet_libraries()
    no_bars_off_terminals()
    return "the bundled dual encoder" if name in BUNDLED else str(name)


def dual_encoder_folder(name: str | None) -> Path:
    """The local folder of such a model; `None` and `"default"` are the bundled one. See `model_folder`."""
    if name in BUNDLED:
        from linmap.hub import default_dual_encoder

        return Path(default_dual_encoder())
    return model_folder(name)


def is_clippo(name: str | None) -> bool:
    """Whether the word names a CLIPPO model.

    Raises:
        LinmapError: It names nothing that compares photos with texts.
    """
    if name in BUNDLED or str(name).startswith(OPEN_CLIP):
        return False
    return _checked_config(dual_encoder_folder(name))["model_type"] == CLIPPO


def load_comparing(name: str | None, device: str = "auto", *, texts: bool = True) -> Comparing:
    """Loads a model with its towers, and its processor.

    Args:
        name: Folder, Hub id, `"open_clip:NAME/TAG"`, `None` or `"default"` for the bundled model.
        device: One of `linmap.cli.devices.DEVICES`, with or without a number.
        texts: Whether texts will be read; photos always will.

    Raises:
        LinmapError: The model, a tower or the device is not to be had; the message says which.
    """
    from linmap.cli.devices import device_for

    place = device_for(device)
    if is_clippo(name):
        clippo = _loaded_clippo(dual_encoder_folder(name))
        clippo.model.to(place)  # type: ignore[arg-type]  # transformers' wrapper hides the signature
        return clippo
    return load_dual_encoder(name, device, texts=texts)


def load_dual_encoder(name: str | None, device: str = "auto", *, texts: bool = True) -> DualEncoder:
    """`load_comparing` of what has an image tower and a text tower of its own; CLIPPO is none of these."""
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


def embed_texts(comparing: Comparing, texts: Sequence[str]) -> Tensor:
    """Texts in the shared space, (texts, channels) float32 on the CPU, L2-normalised, in their order."""
    if isinstance(comparing, Clippo):
        from linmap.clippo.embedding import embed_texts as embed_drawn

        return embed_drawn(*comparing, texts)
    from linmap.dual.embedding import embed_texts as embed

    return embed(*comparing, texts)


def reads_texts(comparing: Comparing) -> bool:
    """Whether the model can embed texts."""
    return isinstance(comparing, Clippo) or comparing.model.text_encoder is not None


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


def _loaded_clippo(folder: Path) -> Clippo:
    require_processor(folder)
    from linmap.clippo.modeling import ClippoModel
    from linmap.clippo.processing import ClippoProcessor

    with one_line(folder):
        return Clippo(ClippoModel.from_pretrained(folder), ClippoProcessor.from_pretrained(folder))


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
    made_as = config.get("architectures") or ["ClippoModel"]
    if kind == CLIPPO and made_as[0] != "ClippoModel":
        raise ModelNotFoundError(
            f"{folder} holds a {made_as[0]}, which was tuned for one task and compares nothing any more. Name the "
            "CLIPPO model it was made from."
        )
    return config
