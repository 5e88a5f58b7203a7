"""The docs, built as they are published, served from this machine alone, and Chromium in front of them."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page


@pytest.fixture(scope="session")
def site(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built docs; a warning of mkdocs fails the build."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """Where the docs are served."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def open_page(address: str, browser: Browser) -> Iterator[Callable[..., Page]]:
    """`open_page("gallery/", width=390)` is a page scrolled through once; nothing failed, nothing left the server."""
    wrong: list[str] = []
    contexts: list[BrowserContext] = []

    def opened(path: str, width: int) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme="light")
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: said.type in ("error", "warning") and wrong.append(f"console: {said.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))
        page.on("response", lambda answer: answer.status >= 400 and wrong.append(f"{answer.status}: {answer.url}"))
        here = urlsplit(address).netloc
        page.on("request", lambda asked: urlsplit(asked.url).netloc != here and wrong.append(f"asked: {asked.url}"))
        page.goto(address + path)
        page.evaluate(  # pictures far down are loaded when they come into sight
            "for (const picture of document.images) picture.loading = 'eager'"
        )
        page.wait_for_function("[...document.images].every(picture => picture.complete)")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []
