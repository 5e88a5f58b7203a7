"""Calls by which repositories are made and written to: create, branch, preupload, LFS, commit."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from typing import Any

import yaml
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.hub_server.access import RefusedError, repository_for, user_of
from tests.hub_server.repository import MAIN, Repository, is_large, oid_of

__all__ = ["ROUTES"]


async def create(request: Request) -> Response:
    hub, asked = request.app.state.hub, await request.json()
    user = user_of(hub, request)
    if user is None:
        raise RefusedError(401, "Unauthorized")
    owner = asked.get("organization") or user.name
    repo_id = f"{owner}/{asked['name']}"
    if owner not in user.writes:
        raise RefusedError(403, f"You don't have the rights to create a model under the namespace {owner!r}")
    answer = {"url": f"{hub.url}/{repo_id}", "name": repo_id, "id": repo_id}
    if repo_id in hub.repositories:
        return JSONResponse({**answer, "error": "You already created this model repo"}, 409)
    hub.repositories[repo_id] = Repository(repo_id, private=asked.get("visibility") == "private")
    return JSONResponse(answer)


async def branch(request: Request) -> Response:
    repository = repository_for(request.app.state.hub, request, write=True)
    name = request.path_params["branch"]
    if name in repository.branches:
        raise RefusedError(409, f"Reference already exists: refs/heads/{name}")
    start = (await request.json()).get("startingPoint", MAIN)
    repository.branches[name] = _commit_at(repository, start)
    return JSONResponse({})


async def validate_yaml(request: Request) -> Response:
    _, _, rest = (await request.json())["content"].partition("---\n")
    try:
        yaml.safe_load(rest.partition("\n---")[0])
    except yaml.YAMLError as error:
        return JSONResponse({"errors": [{"message": str(error)}], "warnings": []}, 400)
    return JSONResponse({"errors": [], "warnings": []})


async def preupload(request: Request) -> Response:
    may_propose = request.query_params.get("create_pr") == "1"
    repository = repository_for(request.app.state.hub, request, write=not may_propose)
    there = repository.commits[_commit_at(repository, request.path_params["revision"])]
    asked = [file["path"] for file in (await request.json())["files"]]
    return JSONResponse(
        {
            "files": [
                {
                    "path": path,
                    "uploadMode": "lfs" if is_large(path) else "regular",
                    "shouldIgnore": False,
                    "oid": oid_of(path, there[path]) if path in there else None,
                }
                for path in asked
            ]
        }
    )


async def lfs_batch(request: Request) -> Response:
    hub, asked = request.app.state.hub, await request.json()
    repository = repository_for(hub, request, write=False)
    where = f"{hub.url}/lfs/{repository.name}"
    objects = []
    for wanted in asked["objects"]:
        oid = wanted["oid"]
        actions = {"upload": {"href": f"{where}/{oid}"}, "verify": {"href": f"{where}/verify"}}
        objects.append({**wanted} if oid in hub.large else {**wanted, "actions": actions})
    return JSONResponse({"transfer": "basic", "objects": objects})


async def lfs_put(request: Request) -> Response:
    hub, content = request.app.state.hub, b""
    async for chunk in request.stream():
        content += chunk
        if hub.dies == "in an upload":
            hub.die()
            await asyncio.sleep(60)  # the loop is gone before that
    oid = request.path_params["oid"]
    if hashlib.sha256(content).hexdigest() != oid:
        raise RefusedError(400, "Content does not match the oid")
    hub.arriving[oid] = content
    return Response()


async def lfs_verify(request: Request) -> Response:
    hub, asked = request.app.state.hub, await request.json()
    content = hub.arriving.get(asked["oid"])
    if content is None or len(content) != asked["size"]:
        raise RefusedError(404, "The object was not uploaded")
    hub.large[asked["oid"]] = hub.arriving.pop(asked["oid"])
    return Response()


async def commit(request: Request) -> Response:
    hub = request.app.state.hub
    if hub.dies == "before the commit":
        hub.die()
        await asyncio.sleep(60)
    if hub.meanwhile is not None:
        hub.meanwhile, happens = None, hub.meanwhile
        happens()
    propose = request.query_params.get("create_pr") == "1"
    repository = repository_for(hub, request, write=not propose)
    revision = request.path_params["revision"]
    if revision not in repository.branches:
        raise RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    header, *records = [json.loads(line) for line in (await request.body()).splitlines()]
    parent = header["value"].get("parentCommit")
    if parent is not None and parent != repository.branches[revision]:
        raise RefusedError(412, "A commit has happened since. Please refresh and try again.")
    new, gone = _operations(records, hub.large)
    if missing := set(gone) - repository.commits[repository.branches[revision]].keys():
        raise RefusedError(404, f"A file with this name doesn't exist: {min(missing)}", "EntryNotFound")
    number = sum(name.startswith("refs/pr/") for name in repository.branches) + 1
    target = f"refs/pr/{number}" if propose else revision
    sha = repository.commit(target, new, gone, header["value"]["summary"], onto=revision)
    answer = {"commitUrl": f"{hub.url}/{repository.name}/commit/{sha}", "commitOid": sha, "success": True}
    if propose:
        answer["pullRequestUrl"] = f"{hub.url}/{repository.name}/discussions/{number}"
    return JSONResponse(answer)


def _operations(records: list[dict[str, Any]], large: dict[str, bytes]) -> tuple[dict[str, bytes], list[str]]:
    new: dict[str, bytes] = {}
    gone: list[str] = []
    for record in records:
        kind, value = record["key"], record["value"]
        if kind == "file":
            new[value["path"]] = base64.b64decode(value["content"])
        elif kind == "lfsFile":
            if value["oid"] not in large:
                raise RefusedError(400, f"LFS object {value['oid']} was never uploaded")
            new[value["path"]] = large[value["oid"]]
        elif kind == "deletedFile":
            gone.append(value["path"])
        else:
            raise RefusedError(400, f"This Hub does not know the operation {kind!r}")
    return new, gone


def _commit_at(repository: Repository, revision: str) -> str:
    found = repository.at(revision)
    if found is None:
        raise RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    return found


MODEL = "/api/models/{owner}/{name}"
ROUTES = [
    Route("/api/repos/create", create, methods=["POST"]),
    Route("/api/validate-yaml", validate_yaml, methods=["POST"]),
    Route(MODEL + "/branch/{branch:path}", branch, methods=["POST"]),
    Route(MODEL + "/preupload/{revision:path}", preupload, methods=["POST"]),
    Route(MODEL + "/commit/{revision:path}", commit, methods=["POST"]),
    Route("/{owner}/{name}.git/info/lfs/objects/batch", lfs_batch, methods=["POST"]),
    Route("/lfs/{owner}/{name}/verify", lfs_verify, methods=["POST"]),
    Route("/lfs/{owner}/{name}/{oid}", lfs_put, methods=["PUT"]),
]
