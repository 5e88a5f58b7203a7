"""Rows of a support memory as they are stored: float32, float16, or int8 with a scale of its own for each row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (its usual name)

from linmap.errors import SupportMemoryError, UnknownNameError

__all__ = ["DTYPES", "StoredRows", "checked_dtype", "dtype_of", "require_tensor", "row_blocks", "store", "unit_rows"]

DTYPES = {"float32": torch.float32, "float16": torch.float16, "int8": torch.int8}
LEVELS = 127  # of int8, either side of 0


@dataclass(frozen=True, slots=True)
class StoredRows:
    """Rows of length 1 in the number format they are kept in.

    Args:
        values: (rows, dim) float32, float16 or int8.
        scale: (rows,) float32, what the int8 values of a row are multiplied with; None for the other formats.
    """

    values: Tensor
    scale: Tensor | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice | Tensor) -> StoredRows:
        return StoredRows(self.values[rows], None if self.scale is None else self.scale[rows])

    def to(self, device: torch.device | str) -> StoredRows:
        """The same rows there."""
        return StoredRows(self.values.to(device), None if self.scale is None else self.scale.to(device))

    def dequantised(self, into: Tensor | None = None) -> Tensor:
        """(rows, dim) float32; written `into` a tensor of that shape where one is given."""
        if self.values.dtype == torch.float32:
            return self.values
        rows = self.values.float() if into is None else into.copy_(self.values)
        return rows if self.scale is None else rows.mul_(self.scale[:, None].to(rows.device))


def checked_dtype(name: str) -> str:
    """`name` if rows can be kept in that number format.

    Raises:
        UnknownNameError: They cannot.
    """
    if name not in DTYPES:
        raise UnknownNameError("dtype", name, DTYPES)
    return name


def dtype_of(rows: StoredRows) -> str:
    """The name of the number format."""
    return str(rows.values.dtype).removeprefix("torch.")


def require_tensor(latents: Tensor) -> Tensor:
    """Latents, if they are a tensor.

    Raises:
        SupportMemoryError: They are not.
    """
    if not isinstance(latents, Tensor):
        raise SupportMemoryError(f"Latents are of type {type(latents).__name__}; give a tensor: torch.tensor(latents).")
    return latents


def unit_rows(latents: Tensor) -> Tensor:
    """Latents at length 1, in float32.

    Raises:
        SupportMemoryError: They are no (rows, dim) of numbers, or a row is zero or not finite; the first is named.
    """
    if latents.ndim != 2 or latents.shape[1] == 0:
        raise SupportMemoryError(f"Latents have the shape {tuple(latents.shape)}; expected (rows, dim).")
    lengths = torch.linalg.vector_norm(latents.float(), dim=1)
    bad = ~torch.isfinite(lengths) | (lengths == 0)
    if bad.any():
        row, count = int(bad.nonzero()[0]), int(bad.sum())
        what = "is zero" if lengths[row] == 0 else "holds NaN or infinity"
        others = f" ({count - 1} more like it)" if count > 1 else ""
        raise SupportMemoryError(f"Latent {row} {what}, so it has no direction{others}. Leave it out.")
    return F.normalize(latents.float(), dim=1)


def store(latents: Tensor, dtype: str) -> StoredRows:
    """Normalises latents and brings them into a number format.

    int8 keeps each row as whole numbers from -127 to 127 and one float32, chosen so that the row's length is 1 again:
    a quarter of float32 in size. float16 latents that stay float16 are normalised in float16, as the original code
    does it; their length is then 1 to within 5e-4. Where float16 cannot hold the length of a latent, that row is
    normalised in float32.

    Args:
        latents: (rows, dim) of any floating type, at any length.
        dtype: One of `DTYPES`.

    Raises:
        SupportMemoryError: See `unit_rows`.
        UnknownNameError: No such number format.

    Example:
        >>> rows = store(torch.tensor([[3.0, 4.0]]), "int8")
        >>> rows.values.tolist(), rows.dequantised()
        ([[95, 127]], tensor([[0.5990, 0.8008]]))
    """
    checked_dtype(dtype)
    rows = unit_rows(latents)
    if dtype == "int8":
        values = (rows * (LEVELS / rows.abs().amax(dim=1, keepdim=True))).round_()
        return StoredRows(values.to(torch.int8), 1 / torch.linalg.vector_norm(values, dim=1))
    if dtype == "float16" and latents.dtype == torch.float16:
        lengths = latents.norm(dim=1, keepdim=True)
        values = latents / lengths
        beyond = (~torch.isfinite(lengths) | (lengths < torch.finfo(torch.float16).tiny))[:, 0]
        values[beyond] = rows[beyond].half()
        return StoredRows(values)
    return StoredRows(rows.to(DTYPES[dtype]))


def row_blocks(shards: Sequence[StoredRows], size: int, device: torch.device) -> Iterator[Tensor]:
    """All rows in order, `size` or fewer at a time, as (rows, dim) float32 on `device`.

    A block is overwritten by the next one: one buffer serves them all.
    """
    buffer: Tensor | None = None
    for shard in shards:
        for start in range(0, len(shard), size):
            block = shard[start : start + size]
            if block.values.dtype == torch.float32:
                yield block.values.to(device)
                continue
            if buffer is None:
                buffer = torch.empty(size, block.values.shape[1], device=device)
            yield block.dequantised(into=buffer[: len(block)])
