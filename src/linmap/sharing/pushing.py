"""A folder becomes one commit: files, card, and what an earlier push left there taken away."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi, ModelInfo, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError
from transformers.utils import CONFIG_NAME

from linmap.cards.card import CARD_FILE
from linmap.cards.facts import facts_of
from linmap.errors import LinmapError, ModelNotFoundError, SharingError
from linmap.sharing.auto_map import with_auto_map
from linmap.sharing.card import card_to_upload
from linmap.sharing.contents import contents, leftovers
from linmap.weights.hub_refusals import REFUSALS, Stage, in_words

__all__ = ["push_folder", "refusals", "require_private"]

logger = logging.getLogger(__name__)


def push_folder(
    directory: str | Path,
    repo_id: str,
    *,
    commit_message: str = "Upload model",
    commit_description: str | None = None,
    private: bool | None = None,
    token: str | bool | None = None,
    revision: str | None = None,
    create_pr: bool = False,
) -> CommitInfo:
    """Puts what linmap wrote into a folder on the Hub, as one commit: all of it, or nothing.

    Uploaded are the model, its processor, its card, and the record of its training; no checkpoint, cached feature or
    photo. `config.json` and `processor_config.json` get an `auto_map` there, the card's snippets name the repository.
    Files of an earlier push that do not belong to this one go with the same commit; files of other names stay. A card
    that a person edited on the Hub is kept; new scores go into it.

    Args:
        directory: What `save_pretrained` or `linmap train` wrote.
        repo_id: `"organisation/name"`; made if it is not there.
        commit_message: First line of the commit.
        commit_description: The rest of it.
        private: Whether a new repository is private.
        token: Hub token; None: the one that `hf auth login` stored.
        revision: Branch; made from main if it is not there.
        create_pr: Open a pull request instead of committing.

    Returns:
        The commit: a str, its URL, with `oid` and, of a pull request, `pr_url`.

    Raises:
        ModelNotFoundError: There is nothing of linmap in the folder, or its configuration is damaged.
        SharingError: The Hub or the network refuses, or `private=True` was asked of a public repository.
    """
    directory = Path(directory)
    paths = contents(directory)
    if not paths:
        raise ModelNotFoundError(f"{directory} holds nothing to push. Name a folder that save_pretrained wrote.")
    changed = with_auto_map(directory)
    api = HfApi(token=token)
    _warn_of_private_parts(directory)
    with refusals(repo_id, revision):
        repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        if revision is not None and not revision.startswith("refs/pr/"):
            _make_branch(api, repo_id, revision, create_pr)
        there = api.model_info(repo_id, revision=revision)
        if private:
            require_private(repo_id, there)
    with refusals(repo_id, revision, "uploading"):
        files = {file.rfilename for file in there.siblings or ()}
        if CARD_FILE in paths:
            here = (directory / CARD_FILE).read_text(encoding="utf-8")
            held = _card_of(repo_id, str(there.sha), token) if CARD_FILE in files else None
            changed[CARD_FILE] = card_to_upload(here, held, repo_id).encode()
        added = sorted({*paths, *changed})
        operations: list[Any] = [
            CommitOperationAdd(path_in_repo=path, path_or_fileobj=changed.get(path, directory / path)) for path in added
        ]
        operations += [CommitOperationDelete(path_in_repo=path) for path in leftovers(files, added)]
        return api.create_commit(
            repo_id,
            operations,
            commit_message=commit_message,
            commit_description=commit_description,
            revision=revision,
            create_pr=create_pr,
            parent_commit=there.sha,
        )


def require_private(repo_id: str, there: ModelInfo) -> None:
    """Raises where a repository is public that was asked to be private: the Hub says nothing of it."""
    if there.private is False:
        raise SharingError(
            f"{repo_id!r} is on the Hub already, and public: private=True cannot hide what is pushed there. Make it "
            "private in its settings, or take another name."
        )


@contextmanager
def refusals(repo_id: str, revision: str | None, stage: Stage = "pushing") -> Iterator[None]:
    """Says in one line what the Hub, the network or a card's header stood in the way of."""
    try:
        yield
    except LinmapError:
        raise
    except (*REFUSALS, RuntimeError) as error:
        raise SharingError(f"The push failed. {in_words(error, repo_id, revision, stage=stage)}") from error
    except ValueError as error:  # the Hub read the header of the card
        raise SharingError(f"The push to {repo_id!r} failed: {' '.join(str(error).split())}") from error


def _make_branch(api: HfApi, repo_id: str, revision: str, create_pr: bool) -> None:
    try:
        api.create_branch(repo_id, branch=revision, exist_ok=True)
    except HfHubHTTPError as error:
        if not (create_pr and error.response.status_code == 403):  # who may only propose makes no branches
            raise


def _card_of(repo_id: str, commit: str, token: str | bool | None) -> str:
    with tempfile.TemporaryDirectory() as folder:  # not in the cache: it would look like a model half fetched
        card = hf_hub_download(repo_id, CARD_FILE, revision=commit, token=token, local_dir=folder)
        return Path(card).read_text(encoding="utf-8")


def _warn_of_private_parts(directory: Path) -> None:
    """A frozen part that is recorded as a folder of this machine is found by nobody else."""
    if not (directory / CONFIG_NAME).is_file():
        return
    config = json.loads((directory / CONFIG_NAME).read_text(encoding="utf-8"))
    facts = facts_of(config)
    outside = {} if facts["complete"] else {k: v for k, v in facts["backbones"].items() if k not in facts["trained"]}
    for part, record in outside.items():
        name = str(record.get("name", "")).removeprefix("hf:")
        if name and Path(name).exists():
            logger.warning(
                "The %s of this model is recorded as %s, which only this machine has: push with "
                "include_backbones=True, or whoever loads it has to pass %s=…",
                part,
                name,
                part,
            )
