"""Calls by which repositories are read: who is there, info, tree, refs, and the files with their headers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.hub_server.access import RefusedError, repository_for, user_of
from tests.hub_server.repository import MAIN, Repository, is_large, oid_of

__all__ = ["ROUTES"]


async def whoami(request: Request) -> Response:
    user = user_of(request.app.state.hub, request)
    if user is None:
        raise RefusedError(401, "Unauthorized")
    return JSONResponse({"type": "user", "name": user.name, "orgs": [{"name": name} for name in sorted(user.writes)]})


async def info(request: Request) -> Response:
    repository, sha = _at(request)
    siblings = [{"rfilename": path} for path in sorted(repository.commits[sha])]
    facts = {"id": repository.name, "modelId": repository.name, "sha": sha, "siblings": siblings, "tags": []}
    gated = "manual" if repository.gated else False
    return JSONResponse({**facts, "private": repository.private, "gated": gated, "downloads": 0, "likes": 0})


async def refs(request: Request) -> Response:
    repository = repository_for(request.app.state.hub, request)
    branches = [
        {"name": name, "ref": f"refs/heads/{name}", "targetCommit": sha}
        for name, sha in repository.branches.items()
        if not name.startswith("refs/")
    ]
    return JSONResponse({"branches": branches, "converts": [], "tags": [], "pullRequests": []})


async def tree(request: Request) -> Response:
    repository, sha = _at(request)
    below = request.path_params.get("path", "")
    files = {path: content for path, content in repository.commits[sha].items() if path.startswith(below)}
    if not files:
        raise RefusedError(404, f"{below} does not exist on {sha}", "EntryNotFound")
    if request.query_params.get("recursive", "").lower() not in ("1", "true"):
        files = {path: content for path, content in files.items() if "/" not in path.removeprefix(f"{below}/")}
    return JSONResponse([_listed(path, content) for path, content in sorted(files.items())])


def _listed(path: str, content: bytes) -> dict[str, Any]:
    listed: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": oid_of(path, content)}
    if is_large(path):
        listed["lfs"] = {"oid": listed["oid"], "size": len(content), "pointerSize": 134}
    return listed


async def resolve(request: Request) -> Response:
    repository, sha = _at(request, files=True)
    path = request.path_params["path"]
    files = repository.commits[sha]
    headers = {"X-Repo-Commit": sha}
    if path not in files:
        refused = RefusedError(404, "Entry not found", "EntryNotFound").answer()
        refused.headers.update(headers)
        return refused
    headers["ETag"] = f'"{oid_of(path, files[path])}"'
    if not is_large(path):
        return _sent(request, files[path], headers)
    headers |= {"X-Linked-Size": str(len(files[path])), "X-Linked-ETag": headers["ETag"]}
    # large files lie on another host, as on the Hub: the client then takes the facts from this answer's headers
    elsewhere = f"http://localhost:{request.app.state.hub.port}/large/{oid_of(path, files[path])}"
    return RedirectResponse(elsewhere, 302, headers)


async def large(request: Request) -> Response:
    hub, oid = request.app.state.hub, request.path_params["oid"]
    if hub.dies == "in a download" and request.method == "GET":
        content = hub.large[oid]

        async def cut_off() -> AsyncIterator[bytes]:
            yield content[: len(content) // 2]
            await asyncio.sleep(0.2)  # so that this half is on its way
            hub.die()
            await asyncio.sleep(60)

        return StreamingResponse(cut_off(), headers={"Content-Length": str(len(content))})
    return _sent(request, hub.large[oid], {"ETag": f'"{oid}"'})


def _sent(request: Request, content: bytes, headers: dict[str, str]) -> Response:
    """The file, or the part of it that is asked for."""
    headers = {**headers, "Accept-Ranges": "bytes"}
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if asked is None:
        return Response(content, headers=headers, media_type="application/octet-stream")
    start, end = int(asked[1]), int(asked[2] or len(content) - 1)
    headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
    return Response(content[start : end + 1], 206, headers, "application/octet-stream")


def _at(request: Request, *, files: bool = False) -> tuple[Repository, str]:
    repository = repository_for(request.app.state.hub, request, files=files)
    revision = request.path_params.get("revision", MAIN)
    sha = repository.at(revision)
    if sha is None:
        raise RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    return repository, sha


MODEL = "/api/models/{owner}/{name}"
ROUTES = [
    Route("/api/whoami-v2", whoami),
    Route(MODEL, info),
    Route(MODEL + "/revision/{revision:path}", info),
    Route(MODEL + "/refs", refs),
    Route(MODEL + "/tree/{revision}", tree),
    Route(MODEL + "/tree/{revision}/{path:path}", tree),
    Route("/large/{oid}", large),
    Route("/{owner}/{name}/resolve/{revision}/{path:path}", resolve),
]
