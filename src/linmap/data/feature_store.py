"""Features of photos that were encoded once, read from disk as they are asked for, beside their keys and captions."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from linmap.data.captions import Captioned, normalise_caption
from linmap.data.feature_identity import FeatureIdentity
from linmap.data.feature_store_files import AGAIN, DTYPES, check_sha256, read_index, shard_facts, shard_file
from linmap.data.stored_files import mapped_tensors
from linmap.data.stored_texts import StoredTexts
from linmap.errors import FeatureStoreError, UnknownNameError

__all__ = ["FeatureStore", "StoredFeatures", "StoredPhotos"]

NEEDED = ("features", "keys.text", "keys.ends", "captions.text", "captions.ends", "captions.of_row", "splits")


class FeatureStore:
    """Features that `linmap features extract` wrote. They stay on disk: what is not asked for is not read.

    Args:
        directory: Folder of the store, all of whose shards are finished.

    Raises:
        FeatureStoreError: It is no store, is not complete, or a file is damaged or cut off.

    Example:
        ```python
        store = FeatureStore("features/flickr8k")
        photos, features = store.photos("val"), store.features("val")
        photos[0].captions, features[0].shape  # (cells, feature_dim)
        ```
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.index = read_index(self.directory)
        self.identity = FeatureIdentity.from_dict(self.index["identity"])
        self.dtype: torch.dtype = DTYPES[self.index["dtype"]]
        self.shards = finished_shards(self.directory, self.index)
        self._ends = np.cumsum([facts["rows"] for facts in self.shards])
        if not self._ends[-1]:
            raise FeatureStoreError(f"{self.directory} holds no features: none of its photos could be read.")
        self._opened: dict[int, dict[str, Tensor]] = {}

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __reduce__(self) -> tuple[type[FeatureStore], tuple[Path]]:
        return FeatureStore, (self.directory,)  # a worker process opens the files itself

    def __repr__(self) -> str:
        cells, width = self.identity.cells, self.identity.width
        return f"<features of {len(self):,} photos, {cells} x {width} {self.index['dtype']}, by {self.identity.name}>"

    @property
    def splits(self) -> list[str]:
        """The splits that the source named, sorted."""
        return sorted({split for facts in self.shards for split in facts["splits"]})

    @property
    def unreadable(self) -> list[tuple[str, str]]:
        """The photos that could not be read, each with the reason."""
        return [(key, reason) for facts in self.shards for key, reason in facts["unreadable"]]

    def photos(self, split: str | None = None, **cleaning: bool) -> StoredPhotos:
        """Keys and captions, each read when it is asked for.

        Args:
            split: Only photos of this split; None takes all.
            **cleaning: `lowercase` and `strip_final_period`, as in `normalise_caption`.

        Raises:
            UnknownNameError: No such split.
            FeatureStoreError: The source named no splits.
        """
        return StoredPhotos(self, self._rows(split), cleaning)

    def features(self, split: str | None = None) -> StoredFeatures:
        """Features of the same photos, in the same order; see `photos`."""
        return StoredFeatures(self, self._rows(split))

    def verify(self) -> int:
        """Reads every shard and compares its sha256 with the one that was written down.

        Returns:
            Bytes of the shards.

        Raises:
            FeatureStoreError: A shard is not the one that was written; the first is named.
        """
        for facts in self.shards:
            check_sha256(self.directory, facts)
        return self.bytes

    @property
    def bytes(self) -> int:
        """Of all shards together."""
        return sum(facts["bytes"] for facts in self.shards)

    def row(self, number: int) -> tuple[dict[str, Tensor], int]:
        """The tensors of the shard that holds a row, and its place in them."""
        shard = int(np.searchsorted(self._ends, number, side="right"))
        return self._shard(shard), number - (int(self._ends[shard - 1]) if shard else 0)

    def split_of(self, number: int) -> str | None:
        """The split of a row."""
        tensors, place = self.row(number)
        code = int(tensors["splits"][place])
        return None if code < 0 else self.shards[int(np.searchsorted(self._ends, number, side="right"))]["splits"][code]

    def caption_counts(self) -> np.ndarray:
        """Captions of every row, (rows,) int64."""
        counts = [np.diff(self._shard(number)["captions.of_row"].numpy(), prepend=0) for number in self._filled()]
        return np.concatenate(counts)

    def _rows(self, split: str | None) -> np.ndarray:
        if split is None:
            return np.arange(len(self))
        if not self.splits:
            raise FeatureStoreError(
                f"The photos in {self.directory} have no splits, so there is no {split!r}; leave the split out (null)."
            )
        if split not in self.splits:
            raise UnknownNameError("split", split, self.splits)
        codes = []
        for number in self._filled():
            named = self.shards[number]["splits"]
            wanted = named.index(split) if split in named else -2
            codes.append(self._shard(number)["splits"].numpy() == wanted)
        return np.flatnonzero(np.concatenate(codes))

    def _filled(self) -> list[int]:
        return [number for number, facts in enumerate(self.shards) if facts["rows"]]

    def _shard(self, number: int) -> dict[str, Tensor]:
        if number not in self._opened:
            self._opened[number] = self._open(number)
        return self._opened[number]

    def _open(self, number: int) -> dict[str, Tensor]:
        facts, identity = self.shards[number], self.identity
        file = self.directory / facts["file"]
        tensors = mapped_tensors(file, AGAIN, FeatureStoreError)
        if lacking := set(NEEDED) - tensors.keys():
            raise FeatureStoreError(f"{file} is damaged: it lacks {', '.join(sorted(lacking))}. {AGAIN}.")
        held = tensors["features"]
        wanted = (facts["rows"], identity.cells, identity.width)
        if tuple(held.shape) != wanted or held.dtype != self.dtype:
            raise FeatureStoreError(
                f"{file} holds features {tuple(held.shape)} {held.dtype}, and the index says {wanted} {self.dtype}. "
                f"{AGAIN}."
            )
        rows = (len(tensors["keys.ends"]), len(tensors["captions.of_row"]), len(tensors["splits"]))
        if set(rows) != {facts["rows"]} or int(tensors["captions.of_row"][-1]) != len(tensors["captions.ends"]):
            raise FeatureStoreError(f"{file} is damaged: keys or captions are not those of its rows. {AGAIN}.")
        return tensors


def finished_shards(directory: Path, index: dict[str, Any]) -> list[dict[str, Any]]:
    """What is known of every shard.

    Raises:
        FeatureStoreError: A shard is not finished, or its file is missing or cut off.
    """
    found = {shard["name"]: shard_facts(directory, shard["name"]) for shard in index["shards"]}
    missing = [name for name, facts in found.items() if facts is None]
    if missing:
        raise FeatureStoreError(
            f"The features in {directory} are not complete: {len(missing)} of {len(found)} shards are missing, the "
            f"first is {shard_file(directory, missing[0]).name}. Run the same linmap features extract again and it "
            "goes on."
        )
    return [facts for facts in found.values() if facts is not None]


class StoredPhotos(Sequence[Captioned]):
    """Keys and captions of some rows of a store; `image` of each is its key, and no file."""

    def __init__(self, store: FeatureStore, rows: np.ndarray, cleaning: dict[str, bool]) -> None:
        self.store = store
        self.rows = rows
        self.cleaning = cleaning

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Captioned: ...

    @overload
    def __getitem__(self, index: slice) -> StoredPhotos: ...

    def __getitem__(self, index: int | slice) -> Captioned | StoredPhotos:
        if isinstance(index, slice):
            return StoredPhotos(self.store, self.rows[index], self.cleaning)
        number = int(self.rows[operator.index(index)])
        tensors, row = self.store.row(number)
        first = int(tensors["captions.of_row"][row - 1]) if row else 0
        texts = StoredTexts(tensors["captions.text"], tensors["captions.ends"])
        captions = [texts[place] for place in range(first, int(tensors["captions.of_row"][row]))]
        key = StoredTexts(tensors["keys.text"], tensors["keys.ends"])[row]
        cleaned = tuple(normalise_caption(caption, **self.cleaning) for caption in captions)
        return Captioned(key, cleaned, self.store.split_of(number))

    def __iter__(self) -> Iterator[Captioned]:
        return (self[index] for index in range(len(self)))

    def caption_counts(self) -> np.ndarray:
        """Captions of each photo, (photos,) int64; no caption is read."""
        return self.store.caption_counts()[self.rows]


class StoredFeatures(Sequence[Tensor]):
    """Features of some rows of a store: one is (cells, width), a slice (photos, cells, width), in the store's dtype."""

    def __init__(self, store: FeatureStore, rows: np.ndarray) -> None:
        self.store = store
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int | slice) -> Tensor:  # type: ignore[override]  # as a tensor does
        if isinstance(index, slice):
            return torch.stack([self._row(number) for number in self.rows[index]])
        return self._row(self.rows[operator.index(index)])

    def __iter__(self) -> Iterator[Tensor]:
        return (self[index] for index in range(len(self)))

    def first(self, count: int | None) -> StoredFeatures:
        """Those of the first photos; None: all."""
        return StoredFeatures(self.store, self.rows[:count])

    def _row(self, number: int) -> Tensor:
        tensors, place = self.store.row(int(number))
        return tensors["features"][place]
