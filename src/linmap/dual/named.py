"""From a name to a dual encoder and its processor: ours, open_clip's, CLIP or SigLIP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from linmap.dual.configuration import DualEncoderConfig
from linmap.dual.modeling import DualEncoderModel
from linmap.dual.reading import kind_of
from linmap.hub import default_dual_encoder
from linmap.weights.repositories import checkpoint_directory

if TYPE_CHECKING:
    from linmap.dual.processing import DualEncoderProcessor

__all__ = ["DEFAULT", "OPEN_CLIP", "DualEncoder", "load_dual_encoder", "load_dual_model", "name_of"]

DEFAULT = "default"
OPEN_CLIP = "open_clip:"


class DualEncoder(NamedTuple):
    """A model and its processor."""

    model: DualEncoderModel
    processor: DualEncoderProcessor


def load_dual_encoder(name: str = DEFAULT, *, revision: str | None = None) -> DualEncoder:
    """A dual encoder with its towers, in eval mode on the CPU, and its processor.

    Args:
        name: `"default"` (the bundled one), `"open_clip:NAME/TAG"`, or the folder or Hub id of a dual encoder of ours,
            or of a CLIP or SigLIP model of transformers.
        revision: Commit, tag or branch on the Hub.

    Raises:
        BackboneError: There is none under that name, or a tower of it cannot be found.
        WeightsUnavailableError: Weights it names cannot be had here.
    """
    # not with this module: models import it while the Auto classes, which the processor needs, are being imported
    from linmap.dual.processing import DualEncoderProcessor

    model = load_dual_model(name, revision=revision)
    if not name.startswith(OPEN_CLIP):
        folder = _folder(name, revision)
        if kind_of(folder) == DualEncoderConfig.model_type:
            return DualEncoder(model, DualEncoderProcessor.from_pretrained(folder))
    return DualEncoder(model, DualEncoderProcessor.for_model(model))


def load_dual_model(name: str = DEFAULT, *, revision: str | None = None) -> DualEncoderModel:
    """The model of `load_dual_encoder` alone; its folder needs to hold no processor."""
    if name.startswith(OPEN_CLIP):
        model = DualEncoderModel.from_open_clip(name.removeprefix(OPEN_CLIP), revision=revision)
        model.name_or_path = name  # what `name_of` gives
        return model
    return DualEncoderModel.from_pretrained(_folder(name, revision))


def name_of(model: DualEncoderModel) -> str:
    """What `load_dual_encoder` finds a loaded model by; empty for one that was made here."""
    place = str(model.name_or_path)
    return DEFAULT if place and place == default_dual_encoder() else place


def _folder(name: str, revision: str | None) -> Path:
    return Path(default_dual_encoder()) if name == DEFAULT else checkpoint_directory(name, revision=revision)
