"""Which models are measured: the words after `--model` and `--clippo`, each checked before the work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from linmap.errors import ModelNotFoundError

if TYPE_CHECKING:
    from linmap.cli.dual_encoders import Comparing

__all__ = ["ComparedModel", "compared_models", "one_model", "parameters_of"]


class ComparedModel(NamedTuple):
    """A model as a table names it.

    Args:
        name: What it is called in the table.
        word: What `load_comparing` takes.
        shown: What a report says it is.
    """

    name: str
    word: str | None
    shown: str


def compared_models(model: Sequence[str] | None, clippo: Sequence[str] | None, device: str) -> list[ComparedModel]:
    """The models after `--model`, and behind them those after `--clippo`; none at all is the bundled dual encoder.

    Raises:
        ModelNotFoundError: A name is none, or two models have the same; one is not there, or compares no photos with
            texts; one after `--clippo` is of another kind.
        LinmapError: No device is called so.
    """
    from linmap.cli.dual_encoders import announce
    from linmap.cli.model_names import named_words
    from linmap.data.text_files import is_folder

    words = [*(model or []), *(clippo or [])]
    if not words:
        return [ComparedModel("bundled", None, announce(None, device))]
    if len(words) == 1 and ("=" not in words[0] or is_folder(Path(words[0]).expanduser())):
        named = [(words[0], words[0])]  # one model needs no name
    else:
        named = named_words(words, "model")
    found = [ComparedModel(name, word, announce(word, device)) for name, word in named]
    for one in found[len(model or []) :]:
        _require_clippo(one.word)
    return found


def one_model(model: str | None, clippo: str | None, device: str) -> ComparedModel:
    """The model after `--model` or `--clippo`; see `compared_models`.

    Raises:
        BadParameter: Both are given.
    """
    if model is not None and clippo is not None:
        raise typer.BadParameter("--model and --clippo name one model each, and one is measured; give one of them.")
    from linmap.cli.dual_encoders import announce

    word = model if clippo is None else clippo
    shown = announce(word, device)
    if clippo is not None:
        _require_clippo(clippo)
    return ComparedModel(shown, word, shown)


def parameters_of(comparing: Comparing) -> int:
    """All weights of a model, towers that are frozen among them."""
    return sum(parameter.numel() for parameter in comparing.model.parameters())


def _require_clippo(word: str | None) -> None:
    from linmap.cli.dual_encoders import is_clippo

    if not is_clippo(word):
        raise ModelNotFoundError(f"--clippo {word} names no CLIPPO model; give it as --model {word}.")
