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

    `auto` is the one the projection was trained in (float32 where the model does not say), save that on a CPU without
    AVX-512 a half format becomes float32: with oneDNN held to AVX2, bfloat16 at batch 16 took 5 times as long.

    Raises:
        UnknownNameError: No format is called so.
    """
    import torch

    if check_dtype(name) != "auto":
        return getattr(torch, name)
    if trained_in is None:
        return torch.float32
    if device.type == "cpu" and (trained_in == torch.float16 or torch.backends.cpu.get_cpu_capability() != "AVX512"):
        return torch.float32
    return trained_in
