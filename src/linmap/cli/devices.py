"""From the words for a device and a number format to torch's own, for the machine the program runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linmap.errors import UnavailableDeviceError, UnknownNameError

if TYPE_CHECKING:
    import torch

__all__ = ["DEVICES", "DTYPES", "check_device", "check_dtype", "device_for", "dtype_for"]

DEVICES = ("auto", "cpu", "cuda", "mps")
DTYPES = ("auto", "bfloat16", "float16", "float32")


def check_device(name: str) -> str:
    """`name` if it is a device word, with or without a number (`cuda:1`); needs no torch.

    Raises:
        UnknownNameError: It is none.
    """
    kind, _, number = name.partition(":")
    if kind not in DEVICES or (":" in name and not (number.isdecimal() and kind in ("cuda", "mps"))):
        raise UnknownNameError("device", name, (*DEVICES, "cuda:0"))
    return name


def check_dtype(name: str) -> str:
    """`name` if it is a number format; needs no torch.

    Raises:
        UnknownNameError: It is none.
    """
    if name not in DTYPES:
        raise UnknownNameError("dtype", name, DTYPES)
    return name


def device_for(name: str) -> torch.device:
    """The device called `name`; `auto` is the first of cuda, mps, cpu that this machine has.

    Raises:
        UnknownNameError: No device is called so.
        UnavailableDeviceError: This machine does not have it.
    """
    import torch

    there = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    there += ["mps:0"] if torch.backends.mps.is_available() else []
    there += ["cpu"]
    kind, _, number = check_device(name).partition(":")
    if kind == "auto":
        return torch.device(there[0])
    wanted = kind if kind == "cpu" else f"{kind}:{int(number or 0)}"
    if wanted not in there:
        raise UnavailableDeviceError(f"This machine has no device {name!r}. It has: {', '.join(there)}.")
    return torch.device(wanted)


def dtype_for(name: str, device: torch.device, trained_in: torch.dtype | None) -> torch.dtype:
    """The number format of the language model.

    `auto` on a CPU is float32, elsewhere the one the projection was trained in (float32 where the model does not say).
    In float32 a caption is the same at any batch size and on any machine. In bfloat16 it is not: with a projection of
    the bundled kind, 8 of 32 captions changed between batches of 1 and of 16 (float32: none of 32), and without
    AVX-512 bfloat16 is slower besides. Where speed counts for more, and the CPU has it, bfloat16 is there by name.

    Raises:
        UnknownNameError: No format is called so.
    """
    import torch

    if check_dtype(name) != "auto":
        return getattr(torch, name)
    return torch.float32 if device.type == "cpu" or trained_in is None else trained_in
