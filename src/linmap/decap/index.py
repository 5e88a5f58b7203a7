"""Approximate search in a memory with faiss: which rows to look at when looking at all of them takes too long."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from linmap.errors import MissingExtraError, SupportMemoryError, UnknownNameError

__all__ = ["INDEXES", "LatentIndex"]

INDEXES = ("flat", "ivf")
TRAINING_ROWS = 64  # for each cell; faiss asks for 39 and takes at most 256


class LatentIndex:
    """The rows of a memory, ready to be searched by inner product.

    `"flat"` compares with every row, and is exact. `"ivf"` divides the rows into cells around k-means centres and looks
    into the few cells nearest to a latent (Sivic and Zisserman 2003; Jégou et al., arXiv 1102.3828 for what faiss makes
    of it).

    Args:
        blocks: (rows, dim) float32 each, in the order of the memory.
        sample: (some rows, dim) float32, drawn at random: what the cells are made from.
        rows: Of the memory.
        kind: One of `INDEXES`.
        cells: Of `"ivf"`; default: four times the square root of the number of rows, as faiss advises for up to a
            million. Many small cells found more in the same time than few large ones.
        probes: Cells that are looked into; default: a sixteenth of them, and at least 8. Latents of photos lie apart
            from those of texts, so what they are near to is spread over more cells than for a text that looks for
            texts: of real captions and photos a sixteenth gave the exact projection to a cosine of 0.997 on average, a
            sixty-fourth 0.986.

    Raises:
        MissingExtraError: faiss is not installed.
        UnknownNameError: No such kind.
        SupportMemoryError: More cells than rows, or more probes than cells.
    """

    def __init__(
        self,
        blocks: Iterable[Tensor],
        sample: Tensor,
        rows: int,
        kind: str = "flat",
        *,
        cells: int | None = None,
        probes: int | None = None,
    ) -> None:
        if kind not in INDEXES:
            raise UnknownNameError("index", kind, INDEXES)
        faiss = _faiss()
        dim = sample.shape[1]
        self.kind = kind
        self._index: Any = faiss.IndexFlatIP(dim)
        if kind == "ivf":
            cells = cells or default_cells(rows)
            probes = probes or default_probes(cells)
            if not 1 <= probes <= cells <= rows:
                raise SupportMemoryError(
                    f"{probes} of {cells} cells cannot be looked into in a memory of {rows} rows; give at least 1 "
                    "probe, no more probes than cells, and no more cells than rows."
                )
            self._centres = self._index
            self._index = faiss.IndexIVFScalarQuantizer(
                self._centres, dim, cells, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
            )
            self._index.cp.spherical = True
            self._index.cp.min_points_per_centroid = 1  # a small memory is no reason to complain
            self._index.cp.niter = 10
            self._index.train(_array(sample))
            self._index.nprobe = probes
        for block in blocks:
            self._index.add(_array(block))

    def search(self, latents: Tensor, k: int) -> Tensor:
        """The k rows of largest inner product with each latent, as far as the index sees.

        Args:
            latents: (latents, dim) float32.
            k: At most the number of rows.

        Returns:
            (latents, k) int64 on the CPU, nearest first; -1 where the cells that were looked into hold fewer.
        """
        _, rows = self._index.search(_array(latents), k)
        return torch.from_numpy(rows)


def default_cells(rows: int) -> int:
    """Cells of `"ivf"` for so many rows."""
    return max(1, min(rows, int(4 * math.sqrt(rows))))


def default_probes(cells: int) -> int:
    """Cells that are looked into, of so many."""
    return min(cells, max(8, cells // 16))


def training_rows(cells: int) -> int:
    """Rows that the cells are made from."""
    return TRAINING_ROWS * cells


def _array(rows: Tensor) -> np.ndarray:
    return np.ascontiguousarray(rows.detach().cpu().numpy())


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError("faiss", extra="faiss") from error
    return faiss
