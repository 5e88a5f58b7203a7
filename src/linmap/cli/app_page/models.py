"""The choice of models: lists of what is offered, and the models in memory, one of each kind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from linmap.cli.dual_encoders import Comparing, dual_encoder_folder, is_clippo, load_comparing
from linmap.cli.model_names import BUNDLED, OPEN_CLIP
from linmap.cli.models import (
    CAPTIONER,
    COMPARING,
    DECAP,
    Captioner,
    DeCap,
    config_in,
    load_captioner,
    load_decap,
    model_folder,
    read_config,
)
from linmap.errors import ModelNotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    import gradio as gr

__all__ = ["MATCHER", "Models", "clippo_folder", "named"]

MATCHER = "matcher"
"""The kind of all models that compare photos with texts."""

BUNDLED_AS = {
    CAPTIONER: "the bundled captioner",
    DECAP: "the bundled DeCap model",
    MATCHER: "the bundled dual encoder",
}

Loaded = TypeVar("Loaded")


class Models:
    """What can be chosen on the page, and what is in memory.

    Of each kind (captioners, DeCap, models that compare photos with texts) the last one used is kept. Another one takes
    its place, and is loaded after the old one is gone.

    Args:
        given: Folders and Hub ids to offer beside the bundled models.
        device: As `linmap caption` takes it.
        dtype: As there, for language models.

    Raises:
        LinmapError: One of `given` is no model of ours, or not there.
    """

    def __init__(self, given: Sequence[str] = (), *, device: str = "auto", dtype: str = "auto") -> None:
        self._device, self._dtype = device, dtype
        self._held: dict[str, tuple[str, Any]] = {}
        self._lock = threading.Lock()
        self._given = [(_kind_of(word), word) for word in dict.fromkeys(given)]

    def offered(self, kind: str) -> list[tuple[str, str]]:
        """Labels and words of the models of a kind, the bundled one first."""
        return [(BUNDLED_AS[kind], BUNDLED), *((word, word) for of, word in self._given if of == kind)]

    def captioner(self, word: str | None) -> Captioner:
        """The captioner called `word`.

        Raises:
            LinmapError: It is not to be had; the message says why.
        """
        return self._load(
            CAPTIONER, word, lambda name: load_captioner(None if name == BUNDLED else name, self._device, self._dtype)
        )

    def decap(self, word: str | None) -> DeCap:
        """The DeCap model called `word`; raises as `captioner`."""
        return self._load(DECAP, word, lambda name: load_decap(name, self._device, self._dtype))

    def matcher(self, word: str | None) -> Comparing:
        """The model called `word` that compares photos with texts; raises as `captioner`."""
        return self._load(MATCHER, word, lambda name: load_comparing(name, self._device))

    def choice(self, kind: str, info: str) -> gr.Dropdown:
        """A list of the models of a kind, into which another may be typed."""
        import gradio as gr

        return gr.Dropdown(
            self.offered(kind), value=BUNDLED, label="Model", info=info, allow_custom_value=True, interactive=True
        )

    def _load(self, kind: str, word: str | None, load: Callable[[str], Loaded]) -> Loaded:
        word = named(word)
        with self._lock:
            if self._held.get(kind, ("", None))[0] != word:
                self._held.pop(kind, None)
                self._held[kind] = (word, load(word))
            return self._held[kind][1]


def named(word: str | None) -> str:
    """The word in a list of models.

    Raises:
        ModelNotFoundError: There is none.
    """
    if not (word or "").strip():
        raise ModelNotFoundError("No model is named. Choose one from the list, or type a folder or a Hub id.")
    return str(word).strip()


def clippo_folder(word: str | None) -> Path | None:
    """The folder of the model if it is one of CLIPPO's; None for any other that compares photos with texts.

    Raises:
        LinmapError: It compares no photos with texts, or is not there.
    """
    name = named(word)
    return dual_encoder_folder(name) if is_clippo(name) else None


def _kind_of(word: str) -> str:
    """Which list a model belongs in.

    Raises:
        LinmapError: In none.
    """
    if word.startswith(OPEN_CLIP):
        return MATCHER
    folder = model_folder(word)
    kind = config_in(folder).get("model_type")
    if kind in COMPARING:
        is_clippo(word)  # refuses what was tuned for one task
        return MATCHER
    read_config(folder, DECAP if kind == DECAP else CAPTIONER)
    return DECAP if kind == DECAP else CAPTIONER
