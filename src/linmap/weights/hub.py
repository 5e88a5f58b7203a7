"""Files from the Hugging Face Hub, with the commit they came from; an unreachable hub is one clear error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

from linmap.errors import WeightsUnavailableError
from linmap.weights.hub_refusals import REFUSALS, in_words

__all__ = ["commit_of", "hub_file", "hub_license", "safetensors_first"]


def hub_file(repo_id: str, files: Sequence[str], revision: str | None = None, **hub: Any) -> Path:
    """The first of `files` that the repository has, downloaded or from the hub's cache.

    Args:
        repo_id: Of the repository.
        files: Names, the best first.
        revision: Commit, tag or branch.
        **hub: `token`, `cache_dir`, `force_download`, `local_files_only`.

    Raises:
        WeightsUnavailableError: The hub cannot be reached, the repository or revision is not there or closed to the
            user, or it has none of the files.
    """
    for file in files:
        try:
            return Path(hf_hub_download(repo_id, file, revision=revision, **hub))
        except LocalEntryNotFoundError as error:
            raise WeightsUnavailableError(
                f"Cannot reach the Hugging Face Hub for {file} of {repo_id!r}, and it is not in the cache. Connect and "
                f"run again; or run `hf download {repo_id}` elsewhere and copy that machine's hub cache (HF_HOME) here."
            ) from error
        except EntryNotFoundError:
            continue
        except REFUSALS as error:
            raise WeightsUnavailableError(
                f"Cannot get {file} of {repo_id!r}. {in_words(error, repo_id, revision)}"
            ) from error
    raise WeightsUnavailableError(f"The repository {repo_id!r} on the Hugging Face Hub has no {' or '.join(files)}.")


def commit_of(path: Path) -> str | None:
    """The commit of a file in the hub's cache (`…/models--NAME/snapshots/COMMIT/…`), None for one from elsewhere.

    For files that `hub_file` gave; a folder that a user names is a folder, wherever it stands.
    """
    for repository, snapshots, commit in zip(path.parts, path.parts[1:], path.parts[2:-1], strict=False):
        if repository.startswith("models--") and snapshots == "snapshots":
            return commit
    return None


def hub_license(repo_id: str, revision: str | None, **hub: Any) -> str | None:
    """The licence that the repository's card states, None where it has no card or the card says nothing.

    Args:
        repo_id: Of the repository.
        revision: Commit, tag or branch.
        **hub: As for `hub_file`.
    """
    try:
        card = hf_hub_download(repo_id, "README.md", revision=revision, **hub)
    except (EntryNotFoundError, HfHubHTTPError, OSError):
        return None  # no card, or none to be had just now: the licence is not known, the weights are
    return license_in(Path(card))


def license_in(card: Path) -> str | None:
    """The licence named in the front matter of a model card, None where there is none."""
    if not card.is_file():
        return None
    try:
        facts = ModelCard.load(card).data
    except ValueError:  # front matter that is no mapping
        return None
    named = facts.get("license_name") or facts.get("license")
    return str(named) if named else None


def safetensors_first(file: str) -> tuple[str, ...]:
    """The names to ask for when a library names a pickled file: the usual safetensors of that name come first."""
    known = {
        "pytorch_model.bin": "model.safetensors",
        "open_clip_pytorch_model.bin": "open_clip_model.safetensors",
    }
    stem, dot, ending = file.rpartition(".")
    if dot and ending in {"bin", "pt", "pth"}:
        return known.get(file, f"{stem}.safetensors"), file
    return (file,)
