"""`linmap info`: what a model is made of, read from its configuration and the headers of its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linmap.errors import ProjectionError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from linmap.prefix.configuration import LinearVisionPrefixConfig

__all__ = ["register"]

DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""What safetensors calls the number formats, and what torch does."""

FINGERPRINT_FACTS = ("name", "library", "id", "revision", "file", "sha256", "license", "pretrained", "seed")


def register(app: typer.Typer) -> None:
    """Adds the command to the program."""
    app.command(name="info")(info)


def info(
    model: Annotated[
        str | None,
        typer.Argument(metavar="[MODEL]", help="Folder, or a model on the Hub.", show_default="the bundled model"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Show what a model is made of: what is frozen, from where, how big, and what was trained.

    The frozen parts are named by library, id, revision, licence and the sha256 of their weight file; they are neither
    loaded nor fetched.

    [bold]Examples[/bold]

      linmap info

      linmap info runs/mine --json
    """
    from linmap.cli.messages import quiet_libraries
    from linmap.cli.models import model_folder, one_line, read_config

    folder = model_folder(model)
    written = read_config(folder)
    quiet_libraries()
    with one_line(folder):
        facts = {"model": model or "the bundled model", **_facts(folder, written)}
    if as_json:
        typer.echo(json.dumps(facts, indent=1))
    else:
        from linmap.cli.tables import print_facts

        print_facts(facts)


def _facts(folder: Path, written: dict[str, Any]) -> dict[str, Any]:
    """Everything `linmap info` tells; sizes are in bytes."""
    from linmap.prefix.configuration import LinearVisionPrefixConfig

    config = LinearVisionPrefixConfig.from_dict(written)
    recorded = config.backbones or {}
    inside = config.checkpoint_contents == "full"
    frozen = {}
    if config.vision_config is not None:
        frozen["encoder"] = _frozen(recorded.get("encoder"), inside, *_encoder_size(config))
    frozen["language_model"] = _frozen(recorded.get("language_model"), inside, *_language_model_size(config))
    return {
        "folder": str(folder),
        "trained": {"projector": _projector(folder)},
        "frozen": frozen,
        "prefix": {
            "features": config.features,
            "grid_size": config.grid_size,
            "feature_dim": config.feature_dim,
            "hidden_size": config.hidden_size,
            "tokens_per_image": config.num_image_tokens,
            "prompt": _json(folder / "processor_config.json").get("prompt"),
        },
        "generation": {
            name: value
            for name, value in _json(folder / "generation_config.json").items()
            if name in ("max_new_tokens", "num_beams", "do_sample", "length_penalty", "repetition_penalty")
        },
        "files": {file.relative_to(folder).as_posix(): file.stat().st_size for file in _files(folder)},
    }


def _files(folder: Path) -> list[Path]:
    """The model's own files; a run leaves checkpoints and samples beside them, which are not the model."""
    places = (folder, folder / "encoder", folder / "language_model")
    return [file for place in places if place.is_dir() for file in sorted(place.iterdir()) if file.is_file()]


def _projector(folder: Path) -> dict[str, Any]:
    """Shapes and size of the projection, from the header of its file alone."""
    from safetensors import SafetensorError, safe_open

    file = folder / "model.safetensors"
    if not file.is_file():
        raise ProjectionError(f"{folder} holds no {file.name} with a projection. Train one, or fetch the model again.")
    try:
        with safe_open(file, framework="numpy") as opened:
            names = [name for name in opened.keys() if name.startswith("projector.")]  # noqa: SIM118 - not a mapping
            tensors = {name: opened.get_slice(name) for name in names}
            shapes = {name: list(tensor.get_shape()) for name, tensor in tensors.items()}
            dtypes = {DTYPES.get(tensor.get_dtype(), tensor.get_dtype()) for tensor in tensors.values()}
    except SafetensorError as error:
        raise ProjectionError(f"{file} is damaged or cut off ({error}). Save or fetch the model again.") from error
    if "projector.weight" not in shapes:
        raise ProjectionError(f"{file} holds no projector.weight. Train a projection, or fetch the model again.")
    outputs, inputs = shapes["projector.weight"]
    bias = shapes.get("projector.bias", [0])[0]
    return {
        "inputs": inputs,
        "outputs": outputs,
        "parameters": outputs * inputs + bias,
        "bytes": file.stat().st_size,
        "dtype": ", ".join(sorted(dtypes)),
    }


def _frozen(recorded: dict[str, Any] | None, inside: bool, parameters: int, size: int, dtype: str) -> dict[str, Any]:
    known = {name: (recorded or {}).get(name) for name in FINGERPRINT_FACTS}
    return {**known, "parameters": parameters, "bytes": size, "dtype": dtype, "in_folder": inside}


def _encoder_size(config: LinearVisionPrefixConfig) -> tuple[int, int, str]:
    import torch

    from linmap.encoders import ImageEncoder, ImageEncoderConfig

    vision_config = config.vision_config
    assert isinstance(vision_config, ImageEncoderConfig)
    with torch.device("meta"):  # shapes without storage: nothing is read, nothing is allocated
        return _size(ImageEncoder(vision_config))


def _language_model_size(config: LinearVisionPrefixConfig) -> tuple[int, int, str]:
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return _size(AutoModelForCausalLM.from_config(config.text_config))


def _size(part: PreTrainedModel) -> tuple[int, int, str]:
    """Parameters (tied ones once), bytes in the recorded number format, and that format."""
    import torch

    dtype = getattr(torch, str(part.config.dtype or "float32").removeprefix("torch."))
    parameters = sum(parameter.numel() for parameter in part.parameters())
    return parameters, parameters * dtype.itemsize, str(dtype).removeprefix("torch.")


def _json(file: Path) -> dict[str, Any]:
    from linmap.cli.models import read_json

    return read_json(file) if file.is_file() else {}
