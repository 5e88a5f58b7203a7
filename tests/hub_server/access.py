"""Who may do what on the small Hub, and how the Hub says no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from tests.hub_server.repository import Repository
    from tests.hub_server.server import SmallHub

__all__ = ["RefusedError", "User", "repository_for", "user_of"]


@dataclass(frozen=True)
class User:
    """Somebody with a token.

    Args:
        name: Namespace of their own.
        writes: Namespaces they may write to.
        reads: Namespaces whose private repositories they may read.
    """

    name: str
    writes: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()


class RefusedError(Exception):
    """An answer that is a refusal, with the headers by which the client tells them apart."""

    def __init__(self, status: int, words: str, code: str | None = None) -> None:
        self.status, self.words, self.code = status, words, code
        super().__init__(words)

    def answer(self) -> Response:
        headers = {"X-Error-Message": self.words} | ({"X-Error-Code": self.code} if self.code else {})
        return JSONResponse({"error": self.words}, self.status, headers)


def user_of(hub: SmallHub, request: Request) -> User | None:
    """The user whose token the request has; None without one."""
    said = request.headers.get("authorization")
    if said is None:
        return None
    user = hub.users.get(said.removeprefix("Bearer "))
    if user is None:
        raise RefusedError(401, "Invalid credentials in Authorization header")
    return user


def repository_for(hub: SmallHub, request: Request, *, write: bool = False, files: bool = False) -> Repository:
    """The repository that a request is about, where its user may do what it asks for."""
    owner, name = request.path_params["owner"], request.path_params["name"]
    repository = hub.repositories.get(f"{owner}/{name}")
    user = user_of(hub, request)
    may_write = user is not None and owner in user.writes
    may_read = may_write or (user is not None and owner in user.reads)
    if repository is None or (repository.private and not may_read):
        raise RefusedError(401 if user is None else 404, "Repository not found", "RepoNotFound")
    if write and not may_write:
        raise RefusedError(403 if user else 401, "You don't have the rights to write to this repository")
    if files and repository.gated and not may_read:
        words = f"Access to model {owner}/{name} is restricted. You must have access to it and be authenticated."
        raise RefusedError(403 if user else 401, words, "GatedRepo")
    return repository
