"""What the Hub refuses, in words: what happened and what to do, the same for loading and for pushing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from huggingface_hub import constants, is_offline_mode
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from linmap.errors import first_line

__all__ = ["REFUSALS", "Stage", "in_words"]

REFUSALS = (HTTPError, HFValidationError, OSError)
"""What the Hub's client raises where the Hub, the network or the cache does not give what was asked for."""

Stage = Literal["asking", "downloading", "pushing", "uploading"]
"""What was going on: looking a repository up, fetching its files, looking one up to push to, putting files into it."""

TO_WRITE = ("pushing", "uploading")
LOGIN = "run `hf auth login` here, set HF_TOKEN, or pass token=…"


def in_words(error: BaseException, repo_id: str, revision: str | None = None, *, stage: Stage = "asking") -> str:
    """One or two sentences, on one line.

    Args:
        error: One of `REFUSALS`, or what was raised from one.
        repo_id: Of the repository that was asked for.
        revision: Of it.
        stage: What was going on.

    Example:
        >>> in_words(HFValidationError("…"), "a/b/c")
        "'a/b/c' is no name of a repository: give organisation/name, in letters, digits, '-', '_' and '.'."
    """
    chain = list(_chain(error))
    response = next((one.response for one in chain if isinstance(one, HfHubHTTPError)), None)
    if _any(chain, HFValidationError):
        return f"{repo_id!r} is no name of a repository: give organisation/name, in letters, digits, '-', '_' and '.'."
    if _any(chain, OfflineModeIsEnabled) or (is_offline_mode() and response is None):
        if stage in TO_WRITE:
            return "HF_HUB_OFFLINE=1 keeps this machine from the Hub. Unset it to push."
        return (
            f"HF_HUB_OFFLINE=1 keeps this machine from the Hub, and {_at(repo_id, revision)} is not, or not whole, in "
            f"its cache. Unset it, or fetch the model where there is a network, with hf download {repo_id}."
        )
    if _any(chain, GatedRepoError):
        return (
            f"{repo_id!r} is gated: its owners ask who uses it. Ask for access on {constants.ENDPOINT}/{repo_id}, then "
            f"{LOGIN} of the account that was let in."
        )
    if _any(chain, RevisionNotFoundError):
        return (
            f"{repo_id!r} is on the Hub, but has no revision {revision!r}. Name a branch, a tag or a commit; "
            f"{constants.ENDPOINT}/{repo_id}/commits/main lists them."
        )
    if response is not None:
        return _answer(chain, response, repo_id, stage)
    if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is None:
        return (
            f"local_files_only=True keeps to the cache, and {_at(repo_id, revision)} is not, or not whole, in it. "
            "Leave local_files_only out."
        )
    if stage == "downloading" and _any(chain, (HTTPError, OSError)):
        return (
            f"The connection to the Hub broke while {repo_id!r} was being downloaded. Run it again: the files that "
            "have arrived are kept, and a part of a file is never read."
        )
    if stage == "uploading" and _any(chain, HTTPError):
        return (
            f"The connection to the Hub broke in the middle. Files go up first and one commit makes them part of "
            f"{repo_id!r}, so it is never half new. Push again: files that have arrived are not sent twice."
        )
    if _any(chain, HTTPError):
        missing = "" if stage in TO_WRITE else f", and {_at(repo_id, revision)} is not in the cache of this machine"
        return (
            f"The Hub ({constants.ENDPOINT}) cannot be reached{missing}. Check the network, the proxy and HF_ENDPOINT."
        )
    return f"The Hub gave: {first_line(error).rstrip('.')}. Check {repo_id!r} on {constants.ENDPOINT}."


def _answer(chain: list[BaseException], response: object, repo_id: str, stage: Stage) -> str:
    """What the Hub answered, where it did."""
    status = int(response.status_code)  # type: ignore[attr-defined]
    headers = response.headers  # type: ignore[attr-defined]
    with_token = "authorization" in response.request.headers  # type: ignore[attr-defined]
    said = (headers.get("X-Error-Message") or "").rstrip(".")
    if status == 401 and with_token:
        return f"The Hub does not know the token that came with {repo_id!r}: it is mistyped, or was revoked. {_new()}"
    if status == 401 and stage in TO_WRITE:
        return f"The Hub takes nothing from somebody without a token. {_new()}"
    if _any(chain, RepositoryNotFoundError):
        if with_token:
            return (
                f"The Hub has no repository {repo_id!r}, or a private one that the account of this token may not see. "
                "Check the name, or ask its owners for access."
            )
        return (
            f"The Hub has no repository {repo_id!r}, or a private one, and no token was given. Check the name; for a "
            f"private one {LOGIN}."
        )
    if status == 403:
        doing = "write to" if stage in TO_WRITE else "read"
        return (
            f"This token may not {doing} {repo_id!r}{f' ({said})' if said else ''}. Take a namespace of your own, or a "
            f"token that may: {constants.ENDPOINT}/settings/tokens."
        )
    if status == 412:
        return f"Somebody else changed {repo_id!r} while this was being pushed. Nothing was committed: push again."
    if status == 429 or status >= 500:
        return f"The Hub answered {status}{f' ({said})' if said else ''}: it is ill, or asked too often. Try again."
    return f"The Hub answered {status}{f' ({said})' if said else ''} for {repo_id!r}."


def _new() -> str:
    return f"For one that is valid, {LOGIN}; {constants.ENDPOINT}/settings/tokens makes them."


def _at(repo_id: str, revision: str | None) -> str:
    return repr(repo_id) if revision is None else f"{repo_id!r} at revision {revision!r}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those it came from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _any(chain: list[BaseException], kinds: type[BaseException] | tuple[type[BaseException], ...]) -> bool:
    return any(isinstance(error, kinds) for error in chain)
