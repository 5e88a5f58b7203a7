"""Building a support memory from a stream of sentences, shard by shard, so that a build that is cut off goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch
from huggingface_hub.utils import tqdm
from torch import Tensor

from linmap.data.stored_texts import encoded
from linmap.data.text_files import is_file, is_folder
from linmap.decap import memory_files
from linmap.decap.rows import checked_dtype, store
from linmap.errors import SupportMemoryError
from linmap.weights import Fingerprint, sha256_of

__all__ = ["BAR", "build_memory", "require_room", "source_facts"]

EMBEDDED_AT_ONCE = 4096
"""Captions given to the text tower at a time: enough that those of a length find each other."""

BAR = "linmap.memory"
"""Name of the progress bar, for those who turn others off."""


class Placed(Protocol):
    """A text and where it stood, as `linmap.data.sentences.Sentence`."""

    @property
    def text(self) -> str: ...

    @property
    def place(self) -> str: ...


class Counts(Protocol):
    """What counts that which is left out, as `linmap.data.left_out.LeftOut`."""

    counts: dict[str, int]

    def add(self, reason: str, place: str) -> None: ...


def require_room(directory: Path, plan: Mapping[str, Any], *, overwrite: bool = False) -> bool:
    """Checks that a build may go into a folder, and changes nothing.

    Args:
        directory: Need not exist.
        plan: What decides every byte of the memory: sources, settings, text tower; ready for JSON.
        overwrite: Whether another memory there may be lost.

    Returns:
        Whether the memory is there already, complete.

    Raises:
        SupportMemoryError: The folder holds another memory or another build, or files that are of none.
    """
    if directory.exists() and not directory.is_dir():
        raise SupportMemoryError(f"{directory} is a file; choose a folder as --output.")
    if not directory.is_dir() or not any(directory.iterdir()):
        return False
    begun = (directory / memory_files.FACTS_FILE).is_file()
    if not begun and not memory_files.holds_no_other_files(directory):
        raise SupportMemoryError(f"{directory} holds files that are not of a support memory; choose another --output.")
    if overwrite or not (begun or memory_files.waits_beside(directory)):
        return False
    facts = memory_files.read_facts(directory)
    before = facts.get("build")
    if before != plan:
        before = before if isinstance(before, dict) else {}
        changed = [name for name in sorted({*before, *plan}) if before.get(name) != plan.get(name)]
        state = "a memory" if facts.get("complete") else "the beginning of a memory"
        raise SupportMemoryError(
            f"{directory} holds {state} that was built with other values of {', '.join(changed)}. Choose another "
            "--output, or --overwrite to lose it."
        )
    return bool(facts.get("complete"))


def source_facts(source: str | Path) -> dict[str, Any]:
    """What tells a source from another: its name without its folder, and of a file size and sha256.

    Of a folder the names and sizes of its files stand for their content; a dataset on the Hub has its name alone.
    """
    path = Path(source)
    if is_file(path):
        return {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)}
    if not is_folder(path):
        return {"name": str(source)}
    files = sorted((str(file.relative_to(path)), file.stat().st_size) for file in path.rglob("*") if file.is_file())
    return {"name": path.name, "sha256": hashlib.sha256(json.dumps(files).encode()).hexdigest()}


def build_memory(
    sentences: Iterable[Placed],
    embed: Callable[[list[str]], Tensor],
    directory: str | Path,
    *,
    text_tower: Fingerprint,
    left_out: Counts,
    plan: Mapping[str, Any] | None = None,
    dtype: str = "float16",
    limit: int | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Embeds every different sentence and writes a memory that `SupportMemory.from_pretrained` loads.

    A build that was cut off goes on when it is called again with the same arguments: the sentences are read again,
    shards that are there are not embedded again, and every file ends with the bytes it would have had. Memory is needed
    for one shard and for a digest of each sentence (about 100 bytes). Shards without a `memory.json` are what is left
    of a memory that was being removed; the build starts anew.

    Args:
        sentences: In an order that is the same each time.
        embed: Gives (sentences, dim) latents of at most 4,096 sentences at a time, at any length.
        directory: Of the memory; made if need be.
        text_tower: What `embed` embeds with.
        left_out: Counts duplicates here, beside what the stream left out.
        plan: What decides the outcome besides; ready for JSON, and kept in `memory.json`.
        dtype: `"float32"`, `"float16"` or `"int8"`.
        limit: At most so many captions.
        overwrite: Lose another memory that lies there.

    Returns:
        What `memory.json` says.

    Raises:
        SupportMemoryError: See `require_room`; or no sentence is left; or those of a shard that was written have
            changed; or the text tower gives latents without a direction.
    """
    directory = Path(directory)
    checked_dtype(dtype)
    whole_plan = {**(plan or {}), "dtype": dtype, "limit": limit, "text_tower": text_tower.sha256 or text_tower.name}
    if require_room(directory, whole_plan, overwrite=overwrite):
        return memory_files.complete_facts(directory)
    if directory.is_dir() and (overwrite or not (directory / memory_files.FACTS_FILE).is_file()):
        memory_files.remove_memory(directory)  # or what is left of one: no memory.json says what it was made of
    started = {"complete": False, "build": whole_plan}
    memory_files.write_facts(directory, started)
    shards: list[dict[str, Any]] = []
    with tqdm(total=limit, desc="Building the memory", unit="caption", name=BAR) as bar:
        for texts in _in_shards(islice(_different(sentences, left_out), limit)):
            number, captions = len(shards) + 1, encoded(texts, "caption", SupportMemoryError)
            if memory_files.holds_shard(directory, number, captions):
                shards.append(memory_files.shard_facts(directory, number, len(texts)))
                bar.update(len(texts))
            else:
                rows = store(_embedded(texts, embed, bar), dtype)
                shards.append(memory_files.write_shard(directory, number, rows, captions))
    if not shards:
        memory_files.remove_memory(directory)
        raise SupportMemoryError("No sentence is left to build a memory of; name sources that hold some.")
    facts = {
        "complete": True,
        "rows": sum(shard["rows"] for shard in shards),
        "dim": memory_files.dim_of(directory, shards[0]),
        "dtype": dtype,
        "text_tower": text_tower.to_dict(),
        "shards": shards,
        "build": whole_plan,
        "left_out": dict(left_out.counts),
    }
    memory_files.write_facts(directory, facts)
    return memory_files.complete_facts(directory)


def _different(sentences: Iterable[Placed], left_out: Counts) -> Iterator[str]:
    """Each text once; known by 128 bits of its digest, which no two of 10^12 texts share by chance."""
    known: set[bytes] = set()
    for sentence in sentences:
        digest = hashlib.blake2b(sentence.text.encode(), digest_size=16).digest()
        if digest in known:
            left_out.add("duplicate", sentence.place)
        else:
            known.add(digest)
            yield sentence.text


def _in_shards(texts: Iterator[str]) -> Iterator[list[str]]:
    while shard := list(islice(texts, memory_files.SHARD_ROWS)):
        yield shard


def _embedded(texts: list[str], embed: Callable[[list[str]], Tensor], bar: tqdm) -> Tensor:
    """(texts, dim): always in the same portions, as the last digits of a latent depend on what is beside it."""
    latents = []
    for first in range(0, len(texts), EMBEDDED_AT_ONCE):
        portion = texts[first : first + EMBEDDED_AT_ONCE]
        latents.append(embed(portion))
        bar.update(len(portion))
    return torch.cat(latents)
