"""A support memory on disk: `memory.json`, and for every shard a file of latents and one of captions.

A shard is written under another name and moved to its own when it is whole, and `memory.json` says last that there is
no more to come: what is cut off never passes for a whole memory.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save

from linmap.data.stored_files import described, mapped_tensors, put, put_json, whole_file
from linmap.data.stored_texts import StoredTexts
from linmap.decap.rows import DTYPES, StoredRows
from linmap.errors import SupportMemoryError
from linmap.weights import sha256_of

__all__ = [
    "FACTS_FILE",
    "SHARD_ROWS",
    "complete_facts",
    "dim_of",
    "holds_no_other_files",
    "holds_shard",
    "read_facts",
    "read_shard",
    "remove_memory",
    "replaced",
    "shard_facts",
    "total_bytes",
    "verify",
    "waits_beside",
    "write_facts",
    "write_shard",
]

FACTS_FILE = "memory.json"
VERSION = 1
SHARD_ROWS = 65_536
"""Captions in a shard: 67 MB of float16 latents 512 wide. A build that is cut off loses at most one."""

BESIDE = "memory.part"
"""Folder inside that of a memory, where another one is written that will take its place."""

NAMES = re.compile(r"((latents|captions)-\d{5,}\.safetensors|memory\.json)(\.part)?")

AGAIN = "Fetch the memory again, or build it again: linmap memory build … --overwrite"


def shard_files(directory: Path, number: int) -> dict[str, Path]:
    """Where the shard of that number, from 1, keeps its latents and its captions."""
    return {kind: directory / f"{kind}-{number:05d}.safetensors" for kind in ("latents", "captions")}


def write_shard(directory: Path, number: int, rows: StoredRows, captions: StoredTexts) -> dict[str, Any]:
    """Writes a shard, each of its files in one move, and returns what `memory.json` says of it."""
    files = shard_files(directory, number)
    put(files["captions"], _captions_bytes(captions))
    tensors = {"latents": rows.values} if rows.scale is None else {"latents": rows.values, "scale": rows.scale}
    put(files["latents"], save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))
    return shard_facts(directory, number, len(rows))


def shard_facts(directory: Path, number: int, rows: int) -> dict[str, Any]:
    """What `memory.json` says of a shard that is written: rows, and name, bytes and sha256 of its files."""
    return {"rows": rows, **{kind: described(file) for kind, file in shard_files(directory, number).items()}}


def holds_shard(directory: Path, number: int, captions: StoredTexts) -> bool:
    """Whether the shard of that number is written already.

    Raises:
        SupportMemoryError: It is, with other captions.
    """
    files = shard_files(directory, number)
    if not files["latents"].is_file():  # written second
        return False
    if not files["captions"].is_file() or files["captions"].read_bytes() != _captions_bytes(captions):
        raise SupportMemoryError(
            f"{files['captions']} holds other captions than the sources give now: they were changed since. Build in "
            "another folder, or lose what is there: --overwrite."
        )
    return True


def write_facts(directory: Path, facts: dict[str, Any]) -> None:
    """Writes `memory.json` in one move."""
    directory.mkdir(parents=True, exist_ok=True)
    put_json(directory / FACTS_FILE, {"format": "linmap.support_memory", "version": VERSION, **facts})


def read_facts(directory: Path) -> dict[str, Any]:
    """What `memory.json` says, whether the memory is complete or not.

    Raises:
        SupportMemoryError: There is none, or it is damaged, or of a later linmap.
    """
    file = directory / FACTS_FILE
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if waits_beside(directory):
            raise SupportMemoryError(
                f"{directory / BESIDE} holds a memory that was saved, and cut off on its last way. Move its files to "
                f"{directory}, {FACTS_FILE} last."
            ) from None
        raise SupportMemoryError(
            f"{directory} holds no {FACTS_FILE}, so it is no support memory. Name a folder that linmap memory build or "
            "save_pretrained wrote."
        ) from None
    except (OSError, RecursionError, ValueError) as error:
        raise SupportMemoryError(f"{file} is damaged: {error}. {AGAIN}.") from error
    if not isinstance(facts, dict) or facts.get("format") != "linmap.support_memory":
        raise SupportMemoryError(f"{file} is not that of a support memory. {AGAIN}.")
    if facts.get("version") != VERSION:
        raise SupportMemoryError(
            f"{file} is of version {facts.get('version')!r}, and this linmap reads version {VERSION}. Install a newer "
            "linmap, or build the memory again."
        )
    expected = {"rows", "dim", "dtype", "shards"} if facts.get("complete") else {"build"}
    if lacking := expected - facts.keys():
        raise SupportMemoryError(f"{file} is damaged: it does not say {', '.join(sorted(lacking))}. {AGAIN}.")
    if facts.get("complete") and (wrong := _wrong_in(facts)):
        raise SupportMemoryError(f"{file} is damaged, or of a newer linmap: {wrong}. {AGAIN}.")
    return facts


def complete_facts(directory: Path) -> dict[str, Any]:
    """What `memory.json` says of a memory that was built to its end.

    Raises:
        SupportMemoryError: It was not; or see `read_facts`.
    """
    facts = read_facts(directory)
    if not facts.get("complete"):
        raise SupportMemoryError(
            f"The memory in {directory} is not complete: its build was cut off. Run the same linmap memory build again "
            "and it goes on from there."
        )
    return facts


def read_shard(directory: Path, shard: dict[str, Any], dim: int, dtype: str) -> tuple[StoredRows, StoredTexts]:
    """A shard as tensors that lie in its files: what is not asked for is not read.

    Raises:
        SupportMemoryError: A file is missing, is of another size than `memory.json` says, or holds something else.
    """
    latents = _mapped(directory, shard["latents"])
    captions = _mapped(directory, shard["captions"])
    needed = {"latents", "scale"} if dtype == "int8" else {"latents"}
    for found, names, kind in ((latents, needed, "latents"), (captions, {"text", "ends"}, "captions")):
        if lacking := names - found.keys():
            raise SupportMemoryError(
                f"{directory / shard[kind]['file']} is damaged: it lacks {', '.join(sorted(lacking))}. {AGAIN}."
            )
    rows = StoredRows(latents["latents"], latents["scale"] if dtype == "int8" else None)
    kept = StoredTexts(captions["text"], captions["ends"])
    if tuple(rows.values.shape) != (shard["rows"], dim) or rows.values.dtype != DTYPES[dtype]:
        held = f"{tuple(rows.values.shape)} {str(rows.values.dtype).removeprefix('torch.')}"
        raise SupportMemoryError(
            f"{directory / shard['latents']['file']} holds latents {held}, and {FACTS_FILE} says "
            f"({shard['rows']}, {dim}) {dtype}. {AGAIN}."
        )
    if len(kept) != len(rows):
        raise SupportMemoryError(
            f"{directory / shard['captions']['file']} holds {len(kept)} captions for {len(rows)} latents. {AGAIN}."
        )
    return rows, kept


def dim_of(directory: Path, shard: dict[str, Any]) -> int:
    """The width of the latents in a shard, from the header of its file."""
    with safe_open(directory / shard["latents"]["file"], framework="pt") as opened:
        return opened.get_slice("latents").get_shape()[1]


def total_bytes(facts: dict[str, Any]) -> int:
    """Bytes of all files of a memory together, `memory.json` aside."""
    return sum(file["bytes"] for file in _files(facts))


def verify(directory: Path) -> int:
    """Reads every file of a memory and compares its sha256 with the one `memory.json` gives.

    Returns:
        Bytes of the files.

    Raises:
        SupportMemoryError: A file is missing or is not the one that was written; the first is named.
    """
    total = 0
    for expected in _files(complete_facts(directory)):
        file = whole_file(directory, expected, AGAIN, SupportMemoryError)
        if (found := sha256_of(file)) != expected["sha256"]:
            raise SupportMemoryError(
                f"{file} is damaged or another file: its sha256 is {found}, expected {expected['sha256']}. {AGAIN}."
            )
        total += expected["bytes"]
    return total


@contextmanager
def replaced(directory: Path) -> Iterator[Path]:
    """A folder to write a memory to, which takes the place of the one in `directory` when it is written.

    Where the writing fails the old memory stays. Those who have mapped its files can read them ever after.
    """
    beside = directory / BESIDE
    if beside.is_dir():
        shutil.rmtree(beside)
    beside.mkdir(parents=True)
    try:
        yield beside
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    _remove_files(directory)
    for file in sorted(beside.iterdir(), key=lambda file: (file.name == FACTS_FILE, file.name)):
        file.replace(directory / file.name)
    beside.rmdir()


def remove_memory(directory: Path) -> None:
    """Takes away the files of a memory, whole or not, `memory.json` first, and nothing else."""
    _remove_files(directory)
    shutil.rmtree(directory / BESIDE, ignore_errors=True)


def holds_no_other_files(directory: Path) -> bool:
    """Whether all that a folder holds is of a memory by its name: what is left of one when it is cut off."""
    return all(
        file.name == BESIDE if file.is_dir() else NAMES.fullmatch(file.name) is not None for file in directory.iterdir()
    )


def waits_beside(directory: Path) -> bool:
    """Whether a whole memory lies in the folder in which `replaced` has it written."""
    return (directory / BESIDE / FACTS_FILE).is_file()


def _remove_files(directory: Path) -> None:
    (directory / FACTS_FILE).unlink(missing_ok=True)
    for file in list(directory.iterdir()):
        if NAMES.fullmatch(file.name):
            file.unlink()


def _wrong_in(facts: dict[str, Any]) -> str | None:
    """The first that is not as `SupportMemory.save_pretrained` and `build_memory` say it, in words."""
    if facts["dtype"] not in list(DTYPES):
        return f"the dtype is {facts['dtype']!r}, and known are {', '.join(sorted(DTYPES))}"
    for name, kind in {"rows": int, "dim": int, "shards": list}.items():
        if not isinstance(facts[name], kind):
            return f"{name} is {facts[name]!r}"
    for name in ("text_tower", "build", "left_out"):
        if not isinstance(facts.get(name, {}), dict | None):
            return f"{name} is {facts[name]!r}"
    if (tower := facts.get("text_tower")) and not {"name", "library", "id"} <= tower.keys():
        return f"text_tower is {tower!r}"
    if not facts["shards"]:
        return "it names no shards"
    for number, shard in enumerate(facts["shards"], start=1):
        try:
            files = [shard[kind] for kind in ("latents", "captions")]
            told = [shard["rows"], *(file["bytes"] for file in files)]
            names = [file["file"] for file in files if file["sha256"]]
        except (KeyError, TypeError):
            return f"shard {number} lacks rows, or file, bytes and sha256 of its latents and captions"
        if not all(isinstance(value, int) for value in told):
            return f"rows and bytes of shard {number} are no whole numbers"
        if not all(isinstance(name, str) and NAMES.fullmatch(name) for name in names):
            return f"the files of shard {number} are {', '.join(map(repr, names))}"
    return None


def _files(facts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (shard[kind] for shard in facts["shards"] for kind in ("latents", "captions"))


def _mapped(directory: Path, described: dict[str, Any]) -> dict[str, torch.Tensor]:
    return mapped_tensors(whole_file(directory, described, AGAIN, SupportMemoryError), AGAIN, SupportMemoryError)


def _captions_bytes(captions: StoredTexts) -> bytes:
    return save({"text": captions.text.contiguous(), "ends": captions.ends.to(torch.int32)})
