"""Checkpoints between a folder here and a repository on the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HFValidationError, HTTPError, LocalEntryNotFoundError

from linmap.errors import BackboneError, first_line

__all__ = ["checkpoint_directory", "upload"]


def checkpoint_directory(name: str | Path, **hub: Any) -> Path:
    """The local directory of a checkpoint; one on the Hub is downloaded (safetensors, JSON, tokenizer files only).

    Raises:
        BackboneError: There is no such directory or repository, or the Hub cannot be reached.
    """
    path = Path(name)
    if path.is_dir():
        return path
    try:
        patterns = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "README.md"]
        return Path(snapshot_download(str(name), allow_patterns=patterns, **hub))
    except (HTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise BackboneError(
            f"No checkpoint at {str(name)!r}: it is no directory here, and the Hub gave: {first_line(error)} "
            "Give a directory that save_pretrained wrote, or the id of a repository you can reach."
        ) from error


def upload(directory: Path, repo_id: str, **kwargs: Any) -> str:
    """Uploads a directory as it is; transformers' own upload would put a generic card over ours."""
    api = HfApi(token=kwargs.pop("token", None))
    repo_id = api.create_repo(repo_id, private=kwargs.pop("private", None), exist_ok=True).repo_id
    if kwargs.get("revision") is not None:
        api.create_branch(repo_id, branch=kwargs["revision"], exist_ok=True)
    return str(api.upload_folder(folder_path=directory, repo_id=repo_id, **kwargs))
