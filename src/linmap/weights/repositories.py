"""Checkpoints between a folder here and a repository on the Hub."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HFValidationError, HTTPError, LocalEntryNotFoundError
from transformers import PreTrainedModel

from linmap.errors import BackboneError, first_line

__all__ = ["SharedOnHub", "checkpoint_directory", "upload"]


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
        said = first_line(error).rstrip(".")
        raise BackboneError(
            f"No checkpoint at {str(name)!r}: it is no directory here, and the Hub gave: {said}. "
            "Give a directory that save_pretrained wrote, or the id of a repository you can reach."
        ) from error


def upload(directory: Path, repo_id: str, **kwargs: Any) -> str:
    """Uploads a directory as it is; transformers' own upload would put a generic card over ours."""
    api = HfApi(token=kwargs.pop("token", None))
    repo_id = api.create_repo(repo_id, private=kwargs.pop("private", None), exist_ok=True).repo_id
    if kwargs.get("revision") is not None:
        api.create_branch(repo_id, branch=kwargs["revision"], exist_ok=True)
    return str(api.upload_folder(folder_path=directory, repo_id=repo_id, **kwargs))


class SharedOnHub(PreTrainedModel):
    """`push_to_hub` for a model whose `save_pretrained` writes all that belongs on the Hub, its card included."""

    def push_to_hub(  # type: ignore[override]
        self,
        repo_id: str,
        *,
        include_backbones: bool | None = None,
        commit_message: str | None = None,
        private: bool | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        **kwargs: Any,
    ) -> str:
        """Uploads what `save_pretrained` writes, its card included.

        Args:
            repo_id: `"organisation/name"`.
            include_backbones: As in `save_pretrained`, of a model whose frozen parts may be left out.
            commit_message: Default: "Upload" and the name of the class.
            private: Whether a new repository is private.
            token: Hub token; default: the one that `hf auth login` stored.
            revision: Branch.
            create_pr: Open a pull request instead of committing.
            **kwargs: Passed to `save_pretrained`.

        Returns:
            URL of the commit or pull request.
        """
        with tempfile.TemporaryDirectory() as directory:
            if include_backbones is not None:
                kwargs["include_backbones"] = include_backbones
            self.save_pretrained(directory, **kwargs)
            return upload(
                Path(directory),
                repo_id,
                commit_message=commit_message or f"Upload {type(self).__name__}",
                private=private,
                token=token,
                revision=revision,
                create_pr=create_pr,
            )
