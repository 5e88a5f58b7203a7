"""The photos that captioners are measured on: from a captions file, or from features that were extracted before."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from linmap.errors import CaptionDataError

if TYPE_CHECKING:
    from torch import Tensor

    from linmap.data.captions import Captioned
    from linmap.data.feature_store import FeatureStore
    from linmap.data.images import UnreadableImages

__all__ = ["Measured", "measured_photos", "require_source"]

logger = logging.getLogger(__name__)


class Measured(NamedTuple):
    """Photos to caption, with what people wrote about them.

    Args:
        records: The photos; of features the image is a key, or a path where there is a folder of photos.
        names: What each is called.
        digest: Of the names, the sizes of the files and the captions.
        store: Where the features come from, if they were extracted before.
        features: Of every photo, then.
        seen: What a model sees them through: its own encoder, or which features.
    """

    records: Sequence[Captioned]
    names: Sequence[str]
    digest: str
    store: FeatureStore | None = None
    features: Sequence[Tensor] | None = None
    seen: str = "its own"


def require_source(data: Path | None, images: Path | None, features: Path | None) -> Path:
    """The captions file or the folder of features, whichever is given.

    Raises:
        BadParameter: Neither is, or both, or a captions file without its photos.
    """
    if data is not None and features is not None:
        raise typer.BadParameter("Give --data or --features, not both: features come with their captions.")
    if features is not None:
        return features
    if data is None or images is None:
        raise typer.BadParameter("Give captions and their photos, --data FILE --images DIR, or --features DIR.")
    return data


def measured_photos(
    source: Path,
    images: Path | None,
    split: str | None,
    limit: int | None,
    unreadable: UnreadableImages,
    *,
    extracted: bool,
) -> Measured:
    """Reads the captions, and finds the photos or their features.

    Args:
        source: A captions file, or the folder of features.
        images: Folder of the photos; of features only what draws them needs it.
        split: Only photos of this split; None takes all.
        limit: Only the first so many.
        unreadable: Counts the photos that are missing.
        extracted: Whether `source` is a folder of features.

    Raises:
        CaptionDataError: There are fewer than two photos; and see `read_captions`.
        FeatureStoreError: The folder holds no complete features.
        UnknownNameError: No such split.
    """
    found = _stored(source, images, split, limit) if extracted else _read(source, images, split, limit, unreadable)
    if len(found.records) < 2:
        raise CaptionDataError(
            f"Captions of {len(found.records)} photos cannot be measured: CIDEr-D and every control need at least two."
        )
    return found


def _read(
    source: Path, images: Path | None, split: str | None, limit: int | None, unreadable: UnreadableImages
) -> Measured:
    from linmap.data.captions import read_captions

    assert images is not None  # `require_source` says so
    records = read_captions(source, images, split, unreadable=unreadable)[:limit]
    paths = [Path(str(record.image)) for record in records]
    names = [(path.relative_to(images) if path.is_relative_to(images) else path).as_posix() for path in paths]
    return Measured(records, names, _digest(records, names))


def _stored(source: Path, images: Path | None, split: str | None, limit: int | None) -> Measured:
    from dataclasses import replace

    from linmap.data.feature_store import FeatureStore

    store = FeatureStore(source)
    if store.unreadable:
        logger.warning(
            "%s: %d photos could not be read when the features were extracted, and are not measured.",
            source,
            len(store.unreadable),
        )
    records: list[Captioned] = list(store.photos(split)[:limit])
    names = [str(record.image) for record in records]
    digest = _digest(records, names)
    shards = hashlib.sha256("".join(facts["sha256"] for facts in store.shards).encode()).hexdigest()
    if images is not None:
        records = [replace(record, image=images / name) for record, name in zip(records, names, strict=True)]
    return Measured(records, names, digest, store, store.features(split).first(len(records)), f"features {shards}")


def _digest(records: Sequence[Captioned], names: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for record, name in zip(records, names, strict=True):
        size = record.image.stat().st_size if isinstance(record.image, Path) else 0
        digest.update(json.dumps([name, size, record.captions]).encode())
    return digest.hexdigest()
