"""Tensors out of a file that `torch.save` wrote, and nothing else: such a file may hold code, which is never run."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor

from linmap.errors import ConversionError, first_line

__all__ = ["tensors_saved_by_torch"]


def tensors_saved_by_torch(path: str | Path) -> dict[str, Tensor]:
    """A state dict, on the CPU, read with `torch.load(weights_only=True)`.

    Raises:
        ConversionError: There is no such file, it is not torch's, is damaged, or holds anything but named tensors.
    """
    try:
        held = torch.load(Path(path), map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ConversionError(f"{path}: there is no such file; check the path.") from error
    except OSError as error:
        raise ConversionError(f"{path}: it cannot be read ({error.strerror or first_line(error)}).") from error
    except pickle.UnpicklingError as error:
        if "nsupported" in str(error):  # torch's word for what would have to be run
            raise ConversionError(
                f"{path} holds code beside its tensors, which is not run here. Save the state dict alone: "
                "torch.save(model.state_dict(), FILE)."
            ) from error
        raise ConversionError(_not_torchs(path)) from error
    except (RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConversionError(_not_torchs(path)) from error
    if not isinstance(held, dict) or not all(isinstance(value, Tensor) for value in held.values()):
        raise ConversionError(
            f"{path} holds no state dict, which is tensors under their names; found {_described(held)}. Save it with "
            "torch.save(model.state_dict(), FILE)."
        )
    return {str(name): tensor for name, tensor in held.items()}


def _not_torchs(path: str | Path) -> str:
    return f"{path} is no file that torch.save wrote, or it is damaged or cut off; fetch it again."


def _described(held: object) -> str:
    if isinstance(held, dict):
        names = ", ".join(str(name) for name in list(held)[:4])
        return f"a dict of {len(held)} entries ({names}{', …' if len(held) > 4 else ''})"
    return f"a {type(held).__name__}"
