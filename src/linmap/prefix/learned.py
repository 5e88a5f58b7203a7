"""What of a linear vision prefix is learned: that is what its checkpoint holds, and what is read back from one."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers.utils import SAFE_WEIGHTS_NAME

from linmap.errors import ProjectionError
from linmap.prefix.configuration import LinearVisionPrefixConfig

__all__ = ["learned_prefixes", "load_learned_parts"]


def learned_prefixes(config: LinearVisionPrefixConfig) -> tuple[str, ...]:
    """How the names of the weights that learn begin.

    Example:
        >>> from transformers import GPT2Config
        >>> learned_prefixes(LinearVisionPrefixConfig(text_config=GPT2Config(), adapter_downsample=4))
        ('projector.', 'adapters.')
    """
    parts = {
        "projector.": True,
        "adapters.": config.adapter_downsample is not None,
        "encoder.": config.trained_encoder,
    }
    return tuple(prefix for prefix, learns in parts.items() if learns)


def load_learned_parts(model: nn.Module, config: LinearVisionPrefixConfig, directory: Path) -> set[str]:
    """Fills what learns from a checkpoint; returns the names of what else is in the file.

    Args:
        model: The model; a part that it was loaded without is passed over.
        config: Its configuration.
        directory: Holds `model.safetensors`.

    Raises:
        ProjectionError: The file is not there, or what it holds does not fit the model.
    """
    file = directory / SAFE_WEIGHTS_NAME
    if not file.is_file():
        found = ", ".join(sorted(path.name for path in directory.iterdir())) or "nothing"
        raise ProjectionError(f"{directory} holds no {SAFE_WEIGHTS_NAME} with a projection. Found: {found}.")
    held = load_file(file)
    parts = [(prefix, getattr(model, prefix.removesuffix("."))) for prefix in learned_prefixes(config)]
    taken: set[str] = set()
    for prefix, part in parts:
        if part is None:
            continue
        loaded = {key.removeprefix(prefix): value for key, value in held.items() if key.startswith(prefix)}
        _require_fit(prefix, part, loaded, config, file)
        nn.Module.to(part, torch.float32)
        part.load_state_dict(loaded)
        taken |= {f"{prefix}{key}" for key in loaded}
    return held.keys() - taken


def _require_fit(
    prefix: str, part: nn.Module, loaded: dict[str, Tensor], config: LinearVisionPrefixConfig, file: Path
) -> None:
    wanted = {key: tuple(value.shape) for key, value in part.state_dict().items()}
    given = {key: tuple(value.shape) for key, value in loaded.items()}
    if wanted == given:
        return
    if prefix == "projector.":
        raise ProjectionError(
            f"The projection in {file} does not fit: found {given}, needed {wanted} "
            f"({config.feature_dim} feature channels to {config.hidden_size} of the language model, "
            f"features={config.features!r}, prefix_length={config.prefix_length}). Use the encoder and "
            "language model it was trained with, or train it again."
        )
    key = next(key for key in sorted({*wanted, *given}) if wanted.get(key) != given.get(key))
    part_name, found = prefix.removesuffix("."), given.get(key, "missing")
    raise ProjectionError(
        f"The part {part_name} in {file} does not fit: {prefix}{key} is {found} there, needed "
        f"{wanted.get(key, 'none')}. Use the language model and the configuration it was trained with."
    )
