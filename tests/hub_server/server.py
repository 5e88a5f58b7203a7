"""The small Hub itself: what it holds, and how it starts, dies and comes back."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Literal

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from tests.hub_server import reading, writing
from tests.hub_server.access import RefusedError, User
from tests.hub_server.repository import Repository

__all__ = ["Death", "SmallHub"]

Death = Literal["in an upload", "before the commit", "in a download"]

OWNER = User("anna", writes=frozenset({"anna", "org"}))
STRANGER = User("eve", writes=frozenset({"eve"}))


class SmallHub:
    """A Hub on a free loopback port; what it holds outlives its death.

    `hf_owner` is the token of somebody who may write to `org`, `hf_stranger` of somebody who may not. `dies` says at
    which call the server will go: connections are cut and nothing listens any more, until `start` is called again.
    `meanwhile` is done once, before the next commit.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.arriving: dict[str, bytes] = {}
        self.users = {"hf_owner": OWNER, "hf_stranger": STRANGER}
        self.dies: Death | None = None
        self.meanwhile: Callable[[], object] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> SmallHub:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    def files(self, repo_id: str) -> dict[str, bytes]:
        """Files of the main branch."""
        return self.repositories[repo_id].files

    def start(self) -> SmallHub:
        """Listens, for the first time or again."""
        if self._thread is not None:
            self._thread.join()
        self.dies = None
        app = Starlette(routes=[*writing.ROUTES, *reading.ROUTES], exception_handlers={RefusedError: _refuse})
        app.state.hub = self
        settings = uvicorn.Config(app, host="127.0.0.1", port=self.port, log_level="critical", lifespan="off")
        self._server = uvicorn.Server(settings)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError(f"The small Hub could not listen on {self.url}.")
            time.sleep(0.01)
        return self

    def die(self) -> None:
        """Cuts every connection and goes; called from within a call."""
        assert self._server is not None
        self._server.force_exit = self._server.should_exit = True
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()

    def stop(self) -> None:
        """Ends, and has ended when this returns."""
        if self._server is not None and self._thread is not None:
            self._server.force_exit = self._server.should_exit = True
            self._thread.join()


async def _refuse(request: Request, refused: Exception) -> Response:
    assert isinstance(refused, RefusedError)
    return refused.answer()
