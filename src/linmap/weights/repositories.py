"""Checkpoints by name: a directory here, or a repository on the Hub."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from transformers.utils import CONFIG_NAME

from linmap.errors import BackboneError, ModelNotFoundError
from linmap.weights.hub_refusals import REFUSALS, in_words

__all__ = ["PROCESSOR_FILES", "checkpoint_directory"]

PROCESSOR_FILES = ("*.json", "*.jinja", "*.txt", "*.model", "*.codes")
CHECKPOINT_FILES = ("*.safetensors", *PROCESSOR_FILES, "README.md")
NOT_OF_THE_MODEL = ("checkpoint-*", "last-checkpoint/*")
"""Checkpoints of a run that Trainer may have put beside the model."""


def checkpoint_directory(
    name: str | Path,
    *,
    kinds: Collection[str] = (),
    subfolder: str = "",
    files: Sequence[str] = CHECKPOINT_FILES,
    **hub: Any,
) -> Path:
    """The local directory of a checkpoint; one on the Hub is downloaded (safetensors, JSON, tokenizer files only).

    Args:
        name: Directory or Hub id.
        kinds: `model_type` that its config.json must say, one of these; none: it needs no config.json. One on the Hub
            is asked before its weights are fetched.
        subfolder: Where in it the checkpoint lies; the path of that folder is returned.
        files: Patterns of what is fetched.
        **hub: `revision`, `token`, `cache_dir`, `force_download`, `local_files_only`.

    Raises:
        BackboneError: There is no such directory or repository, or the Hub cannot be reached.
        ModelNotFoundError: It holds no model of these kinds.
    """
    path = Path(name)
    if not path.is_dir():
        path = _downloaded(str(name), kinds, subfolder, files, hub)
    elif kinds:
        _require_kind(path / subfolder, str(name), kinds)
    return path / subfolder


def _downloaded(
    repo_id: str, kinds: Collection[str], subfolder: str, files: Sequence[str], hub: dict[str, Any]
) -> Path:
    def refused(error: Exception, stage: Any) -> BackboneError:
        words = in_words(error, repo_id, hub.get("revision"), stage=stage)
        return BackboneError(f"No checkpoint at {repo_id!r}: it is no directory here. {words}")

    ignored = list(NOT_OF_THE_MODEL)
    try:  # small, and it says whether the Hub gives anything at all
        first = [CONFIG_NAME, f"*/{CONFIG_NAME}"]
        asked = Path(snapshot_download(repo_id, allow_patterns=first, ignore_patterns=ignored, **hub))
    except REFUSALS as error:
        raise refused(error, "asking") from error
    if kinds:
        _require_kind(asked / subfolder, repo_id, kinds)
    try:
        pinned = {**hub, "revision": asked.name}  # the commit: what comes now belongs to that configuration
        snapshot = snapshot_download(repo_id, allow_patterns=list(files), ignore_patterns=ignored, **pinned)
    except REFUSALS as error:
        raise refused(error, "downloading") from error
    return Path(snapshot)


def _require_kind(directory: Path, name: str, kinds: Collection[str]) -> None:
    file = directory / CONFIG_NAME
    wanted = " or ".join(map(repr, kinds))
    if not file.is_file():
        found = ", ".join(sorted(path.name for path in directory.iterdir())[:6]) if directory.is_dir() else ""
        raise ModelNotFoundError(
            f"{name} holds no {CONFIG_NAME}, so it is no model; needed is one of type {wanted}. "
            f"Found: {found or 'nothing'}."
        )
    try:
        kind = json.loads(file.read_text(encoding="utf-8")).get("model_type")
    except (AttributeError, OSError, RecursionError, ValueError) as error:
        raise ModelNotFoundError(f"{file} is damaged ({error}). Save or fetch the model again.") from error
    if kind not in kinds:
        raise ModelNotFoundError(
            f"{name} holds a model of type {kind!r}; needed is one of type {wanted}. Name one that linmap train or "
            "save_pretrained wrote."
        )
