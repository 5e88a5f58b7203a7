"""Features on disk, for the run that resumes: what was encoded once by the same encoder is not encoded again."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from linmap.data.encoding import EncodedPhotos
from linmap.data.images import EncodedPhoto, Photo, UnreadableImages
from linmap.errors import UnreadableImageError

__all__ = ["kept_or_encoded", "kept_or_encoded_texts", "photo_fact"]

logger = logging.getLogger(__name__)

FEATURES_SUFFIX = ".safetensors"
FACTS_SUFFIX = ".json"

TextEncoder: TypeAlias = Callable[[Sequence[str]], Tensor]


def kept_or_encoded(
    folder: Path,
    name: str,
    facts: dict[str, Any],
    encode: Callable[[], EncodedPhotos],
    unreadable: UnreadableImages | None = None,
) -> EncodedPhotos:
    """What `encode` gives, read from `folder` when it was put there under the same facts.

    The folder then holds `NAME.safetensors` and `NAME.json`.

    Args:
        folder: Where the two files lie.
        name: Their name.
        facts: JSON-able: what was encoded, by which encoder, to which number type. Other facts, and it counts as
            something else.
        encode: Encodes; counts what cannot be read by itself.
        unreadable: Counts what could not be read when the kept features were made, and stops at too many.
    """
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    kept = _read(folder, name, key)
    if kept is None:
        encoded = encode()
        _write(folder, name, key, facts.get("identity", {}), encoded)
        return encoded
    if unreadable is not None:
        unreadable.leave_out(*kept.errors)
    logger.info("Features of %d %s read from %s", len(kept.features), name, folder)
    return kept


def kept_or_encoded_texts(
    folder: Path, name: str, identity: dict[str, Any], texts: Sequence[str], dtype: torch.dtype, encode: TextEncoder
) -> Tensor:
    """What `encode` gives for `texts`, in `dtype`, kept as `kept_or_encoded` keeps it.

    Args:
        folder: Where the two files lie.
        name: Their name.
        identity: JSON-able facts that say which encoder this is.
        texts: The texts.
        dtype: Number type of the features.
        encode: From the texts to (texts, …).
    """
    kept = kept_or_encoded(
        folder,
        name,
        {"identity": identity, "dtype": str(dtype), "texts": list(texts)},
        lambda: EncodedPhotos(encode(texts).to(dtype), list(range(len(texts))), []),
    )
    return kept.features


def photo_fact(photo: Photo) -> list[Any]:
    """What tells a photo from another without decoding it: path, size and time of a file, else a digest."""
    if isinstance(photo, EncodedPhoto):
        return [photo.name, hashlib.sha256(photo.data).hexdigest()]
    if isinstance(photo, Image.Image):
        return [photo.mode, list(photo.size), hashlib.sha256(photo.tobytes()).hexdigest()]
    path = Path(photo)
    if not path.exists():
        return [str(path)]
    stat = path.stat()
    return [str(path), stat.st_size, stat.st_mtime_ns]


def _read(folder: Path, name: str, key: str) -> EncodedPhotos | None:
    """The kept features, or None when there are none or they are of something else."""
    facts_file, features_file = folder / f"{name}{FACTS_SUFFIX}", folder / f"{name}{FEATURES_SUFFIX}"
    if not (facts_file.is_file() and features_file.is_file()):
        return None
    try:
        facts = json.loads(facts_file.read_text(encoding="utf-8"))
        if facts["key"] != key:
            logger.warning("%s holds the %s of other data or another encoder; encoding anew", folder, name)
            return None
        errors = [UnreadableImageError(image, reason) for image, reason in facts["unreadable"]]
        return EncodedPhotos(load_file(features_file)["features"], facts["rows"], errors)
    except (ValueError, KeyError, SafetensorError) as error:
        logger.warning("%s cannot be read (%s); encoding anew", features_file, error)
        return None


def _write(folder: Path, name: str, key: str, identity: dict[str, Any], encoded: EncodedPhotos) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    facts_file, features_file = folder / f"{name}{FACTS_SUFFIX}", folder / f"{name}{FEATURES_SUFFIX}"
    facts_file.unlink(missing_ok=True)  # the facts come last: without them the features do not count
    part = features_file.with_suffix(".part")
    save_file({"features": encoded.features.contiguous()}, part)
    part.replace(features_file)
    facts = {
        "key": key,
        "identity": identity,
        "shape": list(encoded.features.shape),
        "rows": encoded.rows,
        "unreadable": [(error.image, error.reason) for error in encoded.errors],
    }
    part = facts_file.with_suffix(".part")
    part.write_text(json.dumps(facts), encoding="utf-8")
    part.replace(facts_file)
