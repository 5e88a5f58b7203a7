"""From the word after `--model` to a model and its processor, or to an error that says what the folder lacks."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from linmap.errors import LinmapError, ModelNotFoundError, UnknownNameError, first_line

if TYPE_CHECKING:
    from linmap.decap.modeling import DeCapModel
    from linmap.decap.processing import DeCapProcessor
    from linmap.prefix.modeling import LinearVisionPrefixModel
    from linmap.prefix.processing import LinearVisionPrefixProcessor

__all__ = [
    "CAPTIONER",
    "CLIPPO",
    "COMPARING",
    "DECAP",
    "DUAL_ENCODER",
    "Captioner",
    "DeCap",
    "config_in",
    "decap_folder",
    "load_captioner",
    "load_decap",
    "model_folder",
    "one_line",
    "read_config",
    "read_json",
    "require_processor",
]

CAPTIONER = "linear_vision_prefix"
DECAP = "decap"
DUAL_ENCODER = "dual_encoder"
CLIPPO = "clippo"
COMPARING = (DUAL_ENCODER, CLIPPO, "clip", "siglip")
"""Kinds of models that compare photos with texts, and write none."""

CAPTIONING = {CAPTIONER: "--model", DECAP: "--decap"}
"""Kinds of models that write captions, with the option of `linmap caption` that takes them."""


class Captioner(NamedTuple):
    """A model on its device, and its processor."""

    model: LinearVisionPrefixModel
    processor: LinearVisionPrefixProcessor


class DeCap(NamedTuple):
    """A model on its device, with its memory, and its processor."""

    model: DeCapModel
    processor: DeCapProcessor


def model_folder(name: str | None) -> Path:
    """The local folder of a model; `None` is the bundled one, and one on the Hub is downloaded (not its frozen parts).

    Raises:
        ModelNotFoundError: It looks like a path, and no such folder is there.
        BackboneError: Neither a folder nor a repository that can be reached.
        WeightsUnavailableError: This installation came without the bundled model.
    """
    if name is None:
        from linmap.hub import default_model

        return Path(default_model())
    folder = Path(name).expanduser()
    try:
        if folder.is_dir():
            return folder
        is_there = folder.exists()
    except OSError as error:
        raise ModelNotFoundError(f"{name}: cannot be looked up ({error.strerror}); check the path.") from error
    if is_there:
        raise ModelNotFoundError(f"{name} is a file. Name the folder that save_pretrained or linmap train wrote.")
    if name.startswith((".", "~", os.sep)) or name.count("/") != 1:  # the Hub's names are organisation/name
        raise ModelNotFoundError(
            f"There is no folder {name!r}. Name a folder that save_pretrained or linmap train wrote, or a model on the "
            "Hub as organisation/name; the bundled model is there without a name, that of DeCap as 'default'."
        )
    from linmap.weights.repositories import checkpoint_directory

    return checkpoint_directory(name)


def decap_folder(name: str) -> Path:
    """The local folder of a DeCap model; `"default"` is the bundled one. See `model_folder`."""
    if name != "default":
        return model_folder(name)
    from linmap.hub import default_decap

    return Path(default_decap())


def read_config(folder: Path, wanted: str = CAPTIONER) -> dict[str, Any]:
    """The facts in `config.json` of a captioning model.

    Args:
        folder: Where it lies.
        wanted: `CAPTIONER` or `DECAP`.

    Raises:
        ModelNotFoundError: There is none, it is damaged, or it belongs to another kind of model.
    """
    config = config_in(folder)
    kind = config.get("model_type")
    made_as = (config.get("architectures") or [""])[0]
    if kind == CLIPPO and made_as not in ("", "ClippoModel"):
        raise ModelNotFoundError(
            f"{folder} holds a {made_as}, which was tuned for one task and does not caption. Name a model of type "
            f"{wanted!r}."
        )
    if kind in COMPARING:
        raise ModelNotFoundError(
            f"{folder} holds a model of type {kind!r}, which compares photos with texts and does not caption. Name a "
            f"model of type {wanted!r}; what this one can do is measured by linmap evaluate retrieval --model "
            f"{folder}."
        )
    if kind != wanted and kind in CAPTIONING:
        raise ModelNotFoundError(
            f"{folder} holds a model of type {kind!r}; this takes one of type {wanted!r}. Give it to linmap caption as "
            f"{CAPTIONING[kind]}."
        )
    if kind != wanted:
        raise ModelNotFoundError(
            f"{folder} holds a model of type {kind!r}; linmap needs {wanted!r}. "
            "Name a folder that linmap train wrote; frozen parts alone cannot caption."
        )
    return config


def config_in(folder: Path) -> dict[str, Any]:
    """The facts in `config.json` of a model of any kind.

    Raises:
        ModelNotFoundError: There is none, or it is damaged.
    """
    file = folder / "config.json"
    if not file.is_file():
        names = sorted(path.name for path in folder.iterdir())
        found = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "") or "nothing"
        raise ModelNotFoundError(f"{folder} holds no config.json, so it is no model. Found: {found}.")
    return read_json(file)


def read_json(file: Path) -> dict[str, Any]:
    """The facts in a JSON file of a model's folder.

    Raises:
        ModelNotFoundError: It cannot be read, or holds something else.
    """
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise ModelNotFoundError(f"{file} is damaged: {error}. Save or fetch the model again.") from error
    if not isinstance(facts, dict):
        raise ModelNotFoundError(
            f"{file} is damaged: it holds a {type(facts).__name__} in place of names with their values. "
            "Save or fetch the model again."
        )
    return facts


def require_processor(folder: Path) -> None:
    """Checks that a model of ours has its processor beside it.

    Raises:
        ModelNotFoundError: It has not.
    """
    if not (folder / "processor_config.json").is_file():
        raise ModelNotFoundError(
            f"{folder} holds a model without its processor (processor_config.json). Save it there too: "
            f"processor.save_pretrained({str(folder)!r})."
        )


@contextlib.contextmanager
def one_line(folder: Path | str) -> Iterator[None]:
    """Turns what the libraries below say of a damaged model folder, or of too little memory, into one line of ours.

    Raises:
        ModelNotFoundError: In place of their error; errors of linmap's own stay as they are.
    """
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    try:
        yield
    except LinmapError:
        raise
    except (
        AttributeError,
        LookupError,
        OSError,
        RuntimeError,
        SafetensorError,
        StrictDataclassError,
        TypeError,
        ValueError,
    ) as error:
        raise ModelNotFoundError(
            f"The model in {folder} cannot be loaded: {first_line(error).rstrip('.:')}. If its files were changed or "
            "cut off, save or fetch it again."
        ) from error


def load_captioner(
    name: str | None, device: str = "auto", dtype: str = "auto", *, encoder: Literal[False] | None = None
) -> Captioner:
    """Loads a model with its frozen parts, and its processor.

    Args:
        name: Folder, Hub id, or `None` for the bundled model.
        device: One of `linmap.cli.devices.DEVICES`, with or without a number.
        dtype: One of `linmap.cli.devices.DTYPES`, for the language model; encoder and projection keep theirs.
        encoder: False loads none: the model takes features that were extracted before.

    Raises:
        LinmapError: The model, a frozen part, the device or the format is not to be had; the message says which.
    """
    from linmap.cli.devices import check_dtype, device_for, dtype_for

    check_dtype(dtype)
    place = device_for(device)
    folder = model_folder(name)
    read_config(folder)
    require_processor(folder)
    from linmap.prefix.configuration import LinearVisionPrefixConfig
    from linmap.prefix.modeling import LinearVisionPrefixModel
    from linmap.prefix.processing import LinearVisionPrefixProcessor

    with one_line(folder):
        config = LinearVisionPrefixConfig.from_pretrained(folder)
        number_format = dtype_for(dtype, place, getattr(config.text_config, "dtype", None))
        model = LinearVisionPrefixModel.from_pretrained(folder, config=config, dtype=number_format, encoder=encoder)
        processor = LinearVisionPrefixProcessor.from_pretrained(folder)
    model.to(place)  # type: ignore[arg-type]  # transformers' wrapper hides the signature
    return Captioner(model, processor)


def load_decap(
    name: str,
    device: str = "auto",
    dtype: str = "auto",
    *,
    memory: str | None = None,
    strategy: str | None = None,
) -> DeCap:
    """Loads a DeCap model with its dual encoder and its support memory, and its processor.

    Args:
        name: Folder, Hub id, or `"default"` for the bundled model.
        device: As `load_captioner` takes it.
        dtype: As there, for the decoder.
        memory: Folder or Hub id of another memory than the model's own.
        strategy: The one that will be used; None is the model's.

    Raises:
        LinmapError: The model, a part of it, the memory that the strategy needs, the device or the format is not to be
            had; the message says which.
    """
    from linmap.cli.devices import check_dtype, device_for, dtype_for

    check_dtype(dtype)
    place = device_for(device)
    folder = decap_folder(name)
    read_config(folder, DECAP)
    require_processor(folder)
    from linmap.decap.configuration import STRATEGIES, DeCapConfig
    from linmap.decap.modeling import DeCapModel
    from linmap.decap.processing import DeCapProcessor

    if strategy is not None and strategy not in STRATEGIES:
        raise UnknownNameError("strategy", strategy, STRATEGIES)
    with one_line(folder):
        config = DeCapConfig.from_pretrained(folder)
        number_format = dtype_for(dtype, place, getattr(config.text_config, "dtype", None))
        model = DeCapModel.from_pretrained(folder, config=config, dtype=number_format, memory=memory)
        processor = DeCapProcessor.from_pretrained(folder)
    strategy = strategy or model.config.strategy
    if model.memory is None and strategy != "visual":
        raise ModelNotFoundError(
            f"The model in {folder} has no support memory, and the strategy {strategy!r} asks one. Give it one with "
            "--memory DIR (linmap memory build makes it), or take --strategy visual."
        )
    model.to(place)  # type: ignore[arg-type]  # transformers' wrapper hides the signature
    return DeCap(model, processor)
