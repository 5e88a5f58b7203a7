"""A feature store on disk: `index.json`, and for every shard a safetensors file and what is known of it in JSON.

    index.json                     whose features these are, of which photos, and the shards there will be
    features-00001.safetensors     features, and the keys, captions and splits of the photos
    features-00001.json            rows, bytes, sha256, unreadable photos: the shard is finished

The index is written first and says everything that decides a byte. A shard is written under another name and moved to
its own when it is whole; its JSON comes last.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from linmap.data.feature_identity import FeatureIdentity
from linmap.data.stored_files import described, put_json, settled, sha256_in, whole_file
from linmap.data.stored_texts import encoded
from linmap.data.text_files import read_json
from linmap.errors import FeatureStoreError, LinmapError

__all__ = [
    "AGAIN",
    "DTYPES",
    "INDEX_FILE",
    "begin_store",
    "check_sha256",
    "finished_shard",
    "forget_parts",
    "read_index",
    "shard_facts",
    "shard_file",
    "write_shard",
]

logger = logging.getLogger(__name__)

INDEX_FILE = "index.json"
FORMAT = "linmap.feature_store"
VERSION = 1
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
AGAIN = "Run the same linmap features extract again, which writes what is missing, or fetch the folder anew"
SAID = {"identity": dict, "dtype": str, "source": dict, "batch_size": int, "shards": list}
SAID_OF_SHARD = {
    "file": str,
    "bytes": int,
    "sha256": str,
    "rows": int,
    "captions": int,
    "splits": list,
    "unreadable": list,
}


def shard_file(directory: Path, name: str) -> Path:
    """Where the shard of that name keeps its features."""
    return directory / f"features-{name}.safetensors"


def facts_file(directory: Path, name: str) -> Path:
    """Where it says that it is finished, and what it holds."""
    return directory / f"features-{name}.json"


def begin_store(directory: Path, plan: Mapping[str, Any]) -> None:
    """Writes the index of a store, or checks that the one that is there says the same.

    Several processes may begin the same store at once.

    Args:
        directory: Made if need be.
        plan: What decides every byte: `identity`, `dtype`, `source`, `batch_size`, `shards`; ready for JSON.

    Raises:
        FeatureStoreError: The folder holds another store, or files that are of none.
    """
    if directory.exists() and not directory.is_dir():
        raise FeatureStoreError(f"{directory} is a file; choose a folder as --output.")
    index = {"format": FORMAT, "version": VERSION, **json.loads(json.dumps(plan))}
    file = directory / INDEX_FILE
    if not file.is_file():
        foreign = directory.is_dir() and any(not path.name.startswith(INDEX_FILE) for path in directory.iterdir())
        if foreign and not file.is_file():  # another process may have begun the store just now
            raise FeatureStoreError(
                f"{directory} holds files that are not of a feature store; choose another --output."
            )
        directory.mkdir(parents=True, exist_ok=True)
        put_json(file, index, part=f"{INDEX_FILE}.{os.getpid()}.part")
    there = read_index(directory)
    if there != index:
        changed = [name for name in SAID if there.get(name) != index[name]]
        if changed == ["shards"]:
            changed = ["source"]  # whose shards they are
        raise FeatureStoreError(
            f"{directory} holds features that were extracted with other values of {', '.join(changed)}. Choose another "
            "--output, or delete that folder."
        )


def read_index(directory: Path) -> dict[str, Any]:
    """What `index.json` says, whether all shards are there or not.

    Raises:
        FeatureStoreError: There is none, or it is damaged, or of a later linmap.
    """
    file = directory / INDEX_FILE
    if not file.is_file():
        raise FeatureStoreError(
            f"{directory} holds no {INDEX_FILE}, so it is no feature store. Name a folder that linmap features extract "
            "wrote."
        )
    again = "extract the features again, to another folder"
    index = read_json(file, "index of a feature store", FeatureStoreError, again)
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise FeatureStoreError(f"{file} is not that of a feature store; {again}.")
    if index.get("version") != VERSION:
        raise FeatureStoreError(
            f"{file} is of version {index.get('version')!r}, and this linmap reads version {VERSION}. Install a newer "
            "linmap, or extract the features again."
        )
    wrong = _wrong_in(index, SAID)
    try:
        FeatureIdentity.from_dict(index["identity"]).cells  # noqa: B018 - that it can be told is what is asked
    except (KeyError, TypeError, ValueError):
        wrong = wrong or "identity"
    if not wrong and index["dtype"] not in DTYPES:
        wrong = "dtype"
    if not wrong and not all(isinstance(shard, dict) and shard.get("name") for shard in index["shards"] or [None]):
        wrong = "shards"
    if wrong:
        raise FeatureStoreError(f"{file} is damaged: {wrong} is not as it must be; {again}.")
    return index


def write_shard(
    directory: Path,
    name: str,
    features: Tensor,
    keys: Sequence[str],
    captions: Sequence[Sequence[str]],
    splits: Sequence[str | None],
    unreadable: Sequence[tuple[str, str]],
) -> dict[str, Any]:
    """Writes a shard and what is known of it, each in one move; returns the latter.

    Args:
        directory: The folder of the store.
        name: Of the shard.
        features: (rows, cells, width) in the number type of the store; may lie in a file of its own.
        keys: What the source calls each photo.
        captions: Of each photo.
        splits: Of each photo, or None.
        unreadable: Photos that are left out, each with the reason.
    """
    named = sorted({split for split in splits if split is not None})
    numbers = {split: number for number, split in enumerate(named)}
    stored_keys = encoded(keys, "key", FeatureStoreError)
    stored_captions = encoded([text for texts in captions for text in texts], "caption", FeatureStoreError)
    tensors = {
        "features": features.contiguous(),
        "keys.text": stored_keys.text,
        "keys.ends": stored_keys.ends,
        "captions.text": stored_captions.text,
        "captions.ends": stored_captions.ends,
        "captions.of_row": torch.tensor([len(texts) for texts in captions]).long().cumsum(0),
        "splits": torch.tensor([-1 if split is None else numbers[split] for split in splits], dtype=torch.int16),
    }
    file = shard_file(directory, name)
    part = file.with_name(f"{file.name}.part")
    save_file(tensors, part)
    shutil.copymode(directory / INDEX_FILE, part)  # safetensors writes files that others may not read
    settled(part, file)
    facts = {
        **described(file),
        "rows": len(keys),
        "captions": len(stored_captions),
        "splits": named,
        "unreadable": [list(one) for one in unreadable],
    }
    put_json(facts_file(directory, name), facts)
    return facts


def shard_facts(directory: Path, name: str) -> dict[str, Any] | None:
    """What is known of a finished shard; None of one that is not finished.

    Raises:
        FeatureStoreError: Its JSON is damaged, or its features are missing or cut off.
    """
    file = facts_file(directory, name)
    if not file.is_file():
        return None
    facts = read_json(file, "facts of a shard", FeatureStoreError, f"delete it. {AGAIN}")
    wrong = _wrong_in(facts, SAID_OF_SHARD) if isinstance(facts, dict) else "what it holds"
    if wrong:
        raise FeatureStoreError(f"{file} is damaged: {wrong} is not as it must be; delete it. {AGAIN}.")
    if facts["file"] != shard_file(directory, name).name:
        raise FeatureStoreError(f"{file} speaks of {facts['file']!r}, which is another shard; delete it. {AGAIN}.")
    whole_file(directory, facts, AGAIN, FeatureStoreError)
    return facts


def check_sha256(directory: Path, facts: Mapping[str, Any]) -> None:
    """Reads the features of a shard and compares their sha256 with the one that was written down.

    Raises:
        FeatureStoreError: They are not those that were written.
    """
    file = directory / facts["file"]
    if (found := sha256_in(file)) != facts["sha256"]:
        raise FeatureStoreError(
            f"{file} is damaged or another file: its sha256 is {found}, expected {facts['sha256']}. {AGAIN}."
        )


def finished_shard(directory: Path, name: str) -> dict[str, Any] | None:
    """What is known of a shard that need not be written again; one that is damaged is named, and does not count."""
    try:
        facts = shard_facts(directory, name)
        if facts is not None:
            check_sha256(directory, facts)
    except LinmapError as error:
        logger.warning("Shard %s is extracted again: %s", name, error)
        facts_file(directory, name).unlink(missing_ok=True)
        return None
    return facts


def forget_parts(directory: Path, name: str) -> None:
    """Takes away what is left of a shard that was cut off on the way."""
    for part in directory.glob(f"features-{name}.*.part"):
        part.unlink()


def _wrong_in(facts: Mapping[str, Any], said: Mapping[str, type]) -> str | None:
    """The first entry that is missing or of another type."""
    return next((name for name, kind in said.items() if not isinstance(facts.get(name), kind)), None)
