"""The support memory of DeCap (arXiv 2303.03032, section 3.3): captions with their latents, and what they are asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (its usual name)

from linmap.data.stored_texts import StoredTexts, Texts, encoded, joined
from linmap.decap import index, memory_files
from linmap.decap.projection import Support, block_rows, largest, weighted_mean
from linmap.decap.rows import StoredRows, checked_dtype, dtype_of, require_tensor, row_blocks, store, unit_rows
from linmap.errors import MemoryMismatchError, SupportMemoryError
from linmap.weights import Fingerprint
from linmap.weights.repositories import checkpoint_directory

__all__ = ["Support", "SupportMemory"]

GATHERED = 1 << 24
"""Numbers of rows fetched at a time by `top_k`: 64 MB in float32."""


class SupportMemory:
    """N captions with their text latents m_i, at length 1.

    Make one with `from_latents`, load one with `from_pretrained`; `linmap memory build` makes one from files. What is
    asked with latents v of photos is answered in one pass over the memory, on the CPU or where the memory was put
    (`to`), in float32; neither the memory in float32 nor the N weights of every latent are ever held.

    Example:
        >>> memory = SupportMemory.from_latents(torch.eye(3), ["a dog", "a cat", "a car"])
        >>> photo = torch.tensor([[0.9, 0.1, 0.0]])
        >>> memory.captions[memory.nearest(photo)[0]]
        'a dog'
        >>> memory.project(photo, temperature=0.1)
        tensor([[1.0000e+00, 1.4562e-04, 4.8263e-05]])
        >>> memory.support(photo, k=2, temperature=1.0)
        Support(indices=tensor([[0, 1]]), weights=tensor([[0.5607, 0.2318]]))
    """

    def __init__(
        self,
        shards: Sequence[tuple[StoredRows, StoredTexts]],
        text_tower: Fingerprint | None = None,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        self._rows = [rows for rows, _ in shards]
        self._captions = [captions for _, captions in shards]
        self.text_tower = text_tower
        self._provenance = provenance or {}
        self._index: index.LatentIndex | None = None

    @classmethod
    def from_latents(
        cls,
        latents: Tensor,
        captions: Sequence[str],
        *,
        dtype: str = "float32",
        text_tower: Fingerprint | None = None,
    ) -> Self:
        """A memory of what lies in memory already.

        Args:
            latents: (N, dim) of any floating type, at any length; they are normalised.
            captions: N texts.
            dtype: What the latents are kept as: `"float32"`, `"float16"` or `"int8"` with a scale for each row.
            text_tower: Where the latents come from, as `DualEncoderModel.text_fingerprint` says.

        Raises:
            SupportMemoryError: As many captions as latents are needed, and at least one; a latent that is zero or holds
                NaN has no direction; the latents are no tensor, or a caption no text.
            UnknownNameError: No such number format.
        """
        checked_dtype(dtype)
        count = len(latents) if require_tensor(latents).ndim else 1
        if isinstance(captions, str) or count != len(captions) or len(captions) == 0:
            raise SupportMemoryError(
                f"{count} latents and {1 if isinstance(captions, str) else len(captions)} captions; give one "
                "caption for each latent, and at least one."
            )
        return cls([(store(latents.detach(), dtype), encoded(captions, "caption", SupportMemoryError))], text_tower)

    @classmethod
    def from_pretrained(cls, name: str | Path, *, subfolder: str = "", verify: bool = False, **hub: Any) -> Self:
        """The memory in a folder, or in a repository on the Hub; mapped, so that it takes memory as it is read.

        Args:
            name: Folder that `save_pretrained` or `linmap memory build` wrote, or repository id.
            subfolder: Of the folder or repository.
            verify: Read all of it and compare every file's sha256; otherwise the sizes are compared.
            **hub: `revision`, `token`, … of the Hub.

        Raises:
            SupportMemoryError: There is no memory, it is not complete, or one of its files is missing or damaged.
            BackboneError: Neither a folder nor a repository that can be reached.
        """
        inside = f"{subfolder}/" if subfolder else ""
        files = [f"{inside}{pattern}" for pattern in ("*.safetensors", "*.json")]  # and not the model around it
        directory = checkpoint_directory(name, subfolder=subfolder, files=files, **hub)
        facts = memory_files.complete_facts(directory)
        if verify:
            memory_files.verify(directory)
        shards = [memory_files.read_shard(directory, shard, facts["dim"], facts["dtype"]) for shard in facts["shards"]]
        tower = facts.get("text_tower")
        provenance: dict[str, Any] = {key: facts[key] for key in ("build", "left_out") if key in facts}
        return cls(shards, Fingerprint.from_dict(tower) if tower else None, provenance)

    def save_pretrained(self, directory: str | Path, *, dtype: str | None = None) -> None:
        """Writes the memory; one that lies there is replaced when this one is whole, so that there is room for both.

        Args:
            directory: Folder; made if need be.
            dtype: Number format of the latents on disk; None keeps the memory's own.
        """
        dtype = checked_dtype(dtype or self.dtype)
        with memory_files.replaced(Path(directory)) as beside:
            shards: list[dict[str, Any]] = []
            for rows, captions in zip(self._rows, self._captions, strict=True):
                for start in range(0, len(rows), memory_files.SHARD_ROWS):
                    part = rows[start : start + memory_files.SHARD_ROWS]
                    if dtype != self.dtype:
                        part = store(part.dequantised(), dtype)
                    texts = captions.between(start, start + len(part))
                    shards.append(memory_files.write_shard(beside, len(shards) + 1, part, texts))
            facts = {"rows": len(self), "dim": self.dim, "dtype": dtype, "text_tower": None, "shards": shards}
            if self.text_tower is not None:
                facts["text_tower"] = self.text_tower.to_dict()
            memory_files.write_facts(beside, {"complete": True, **facts, **self._provenance_as(dtype)})

    def __len__(self) -> int:
        return sum(map(len, self._rows))

    @property
    def dim(self) -> int:
        """Width of a latent, in channels."""
        return self._rows[0].values.shape[1]

    @property
    def dtype(self) -> str:
        """What the latents are kept as."""
        return dtype_of(self._rows[0])

    @property
    def device(self) -> torch.device:
        """Where the latents lie."""
        return self._rows[0].values.device

    @property
    def captions(self) -> Texts:
        """The captions, in the order of the rows; each is decoded when it is asked for."""
        return Texts(self._captions)

    def to(self, device: torch.device | str) -> Self:
        """The same memory with its latents on another device; the captions stay where they are."""
        moved = type(self)(
            list(zip([rows.to(device) for rows in self._rows], self._captions, strict=True)),
            self.text_tower,
            self._provenance,
        )
        moved._index = self._index
        return moved

    def latents(self, rows: Sequence[int] | Tensor | None = None) -> Tensor:
        """Latents in float32.

        Args:
            rows: (n,) of the memory, each from 0 to N - 1; None gives all.

        Returns:
            (n, dim) float32, on the memory's device.
        """
        if rows is None:
            return torch.cat([shard.dequantised() for shard in self._rows])
        wanted = torch.as_tensor(rows, dtype=torch.long, device=self.device)
        if len(wanted) and not 0 <= int(wanted.min()) <= int(wanted.max()) < len(self):
            raise SupportMemoryError(f"Rows {wanted.min()} to {wanted.max()} of a memory of {len(self)} do not exist.")
        if len(self._rows) == 1:
            return self._rows[0][wanted].dequantised()
        found = torch.empty(len(wanted), self.dim, device=self.device)
        first = 0
        for shard in self._rows:
            here = (wanted >= first) & (wanted < first + len(shard))
            found[here] = shard[wanted[here] - first].dequantised()
            first += len(shard)
        return found

    @torch.no_grad()
    def project(self, latents: Tensor, temperature: float = 0.01, *, top_k: int | None = None) -> Tensor:
        """The mean of the memory as a latent sees it: softmax(v M^T / tau) M, normalised (equations 3 and 4).

        Args:
            latents: v, (B, dim), at any length.
            temperature: tau, above 0; the original code has 0.01. Towards 0 this is the nearest latent.
            top_k: Take the softmax over the k nearest alone: the approximation for memories that outgrow a full pass.
                They are found with `build_index`, and without one in a full pass.

        Returns:
            (B, dim) float32, L2-normalised, on the device of the latents.

        Raises:
            SupportMemoryError: Latents of another width, or without a direction; a temperature or `top_k` not above 0.
        """
        queries = self._queries(latents)
        if top_k is None:
            mean = weighted_mean(queries, self._blocks(queries), temperature)
        else:
            mean = self._mean_of(queries, self._nearest_rows(queries, top_k), temperature)
        return F.normalize(mean, dim=-1).to(latents.device)

    @torch.no_grad()
    def support(self, latents: Tensor, k: int = 5, temperature: float = 0.01) -> Support:
        """The rows that weigh most in the projection, and their weights in the softmax over the whole memory.

        Args:
            latents: (B, dim), at any length.
            k: Rows for each; where the memory has fewer, all.
            temperature: As in `project`.

        Returns:
            `indices` (B, k) int64 and `weights` (B, k) float32, highest first, on the device of the latents.

        Raises:
            SupportMemoryError: See `project`.
        """
        queries = self._queries(latents)
        found = largest(queries, self._blocks(queries), k, temperature)
        return Support(found.indices.to(latents.device), found.weights.to(latents.device))

    def nearest(self, latents: Tensor) -> Tensor:
        """The row of highest cosine with each latent: (B,) int64, on the device of the latents (B, dim)."""
        return self.support(latents, k=1).indices[:, 0]

    def build_index(self, kind: str = "flat", *, cells: int | None = None, probes: int | None = None) -> Self:
        """Makes a faiss index, which `project(top_k=...)` then asks; it lies in memory beside the latents.

        Args:
            kind: `"flat"` compares with every row; `"ivf"` with those in the cells nearest to a latent.
            cells: Of `"ivf"`; default: see `linmap.decap.index`.
            probes: Cells that are looked into; more find more, and take longer.

        Returns:
            This memory.

        Raises:
            MissingExtraError: faiss is not installed.
            UnknownNameError: No such kind.
            SupportMemoryError: More cells than rows, or more probes than cells.
        """
        training = min(len(self), index.training_rows(cells or index.default_cells(len(self))))
        generator = torch.Generator().manual_seed(0)
        sample = self.latents(torch.randperm(len(self), generator=generator)[: training if kind == "ivf" else 1])
        blocks = row_blocks(self._rows, block_rows(1), torch.device("cpu"))
        self._index = index.LatentIndex(blocks, sample, len(self), kind, cells=cells, probes=probes)
        return self

    def sample(self, count: int, seed: int = 0) -> SupportMemory:
        """Some of the captions, drawn at random, in their order: for measuring what the size of a memory is worth.

        Of the same seed a smaller sample lies in a larger one.

        Raises:
            SupportMemoryError: There are not so many, or none are asked for.
        """
        if not 1 <= count <= len(self):
            raise SupportMemoryError(f"{count} of {len(self)} captions cannot be drawn; ask for 1 to {len(self)}.")
        drawn = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))[:count].sort().values
        values, scales, texts, first = [], [], [], 0
        for rows, captions in zip(self._rows, self._captions, strict=True):
            here = drawn[(drawn >= first) & (drawn < first + len(rows))] - first
            part = rows[here.to(rows.values.device)]
            values.append(part.values)
            scales.append(part.scale)
            texts += captions.chosen(here.tolist())
            first += len(rows)
        scale = None if scales[0] is None else torch.cat([one for one in scales if one is not None])
        return SupportMemory([(StoredRows(torch.cat(values), scale), joined(texts))], self.text_tower)

    def require_text_tower(self, needed: Fingerprint) -> None:
        """Refuses a memory whose latents come from another text tower than the one a model uses.

        Of a memory that names none only the width can be checked, which is what a model does.

        Raises:
            MemoryMismatchError: They do.
        """
        found = self.text_tower
        if found is None:
            return
        if found.sha256 and needed.sha256:
            same = found.sha256 == needed.sha256
        else:
            same = (found.name, found.revision, found.seed) == (needed.name, needed.revision, needed.seed)
        if not same:
            raise MemoryMismatchError(_named(found), _named(needed))

    def __repr__(self) -> str:
        return f"SupportMemory({len(self):,} captions, {self.dim} channels, {self.dtype}, on {self.device})"

    def _provenance_as(self, dtype: str) -> dict[str, Any]:
        """Latents that were rounded twice are not those that a build in `dtype` gives, and do not pass for them."""
        build = self._provenance.get("build")
        if build is None or dtype == self.dtype:
            return self._provenance
        return {**self._provenance, "build": {**build, "dtype": f"{dtype} from {build.get('dtype', self.dtype)}"}}

    def _queries(self, latents: Tensor) -> Tensor:
        """Latents at length 1 in float32, where the pass is made: with the memory, or with them if it lies here."""
        if require_tensor(latents).ndim != 2 or latents.shape[1] != self.dim:
            raise SupportMemoryError(
                f"Latents of shape {tuple(latents.shape)} for a memory of {self.dim} channels; expected "
                f"(photos, {self.dim})."
            )
        return unit_rows(latents.to(self.device if self.device.type != "cpu" else latents.device))

    def _blocks(self, queries: Tensor) -> Any:
        return row_blocks(self._rows, block_rows(len(queries)), queries.device)

    def _nearest_rows(self, queries: Tensor, k: int) -> Tensor:
        if k < 1:
            raise SupportMemoryError(f"top_k is {k}; give a number of rows above 0.")
        k = min(k, len(self))
        if self._index is None:
            return largest(queries, self._blocks(queries), k, 1.0).indices
        found = self._index.search(queries, k)
        if bool((found[:, 0] < 0).any()):
            raise SupportMemoryError("The cells that the index looked into are empty; build it with more probes.")
        return found.to(queries.device)

    def _mean_of(self, queries: Tensor, rows: Tensor, temperature: float) -> Tensor:
        """The mean of some rows (B, k) for each latent; -1 stands for no row."""
        means = []
        at_once = max(1, GATHERED // (rows.shape[1] * self.dim))
        for query, chosen in zip(queries.split(at_once), rows.split(at_once), strict=True):
            latents = self.latents(chosen.clamp_min(0).flatten()).to(query.device).unflatten(0, chosen.shape)
            scores = torch.bmm(latents, query[:, :, None]) / temperature
            scores.masked_fill_(chosen[:, :, None] < 0, float("-inf"))
            means.append(torch.bmm(latents.mT, scores.softmax(dim=1))[:, :, 0])
        return torch.cat(means) if means else queries


def _named(tower: Fingerprint) -> str:
    return f"{tower.name!r} (sha256 {tower.sha256[:12]}…)" if tower.sha256 else repr(tower.name)
