"""A small CLIPPO model, photos good and bad, and the page itself: a server, and Chromium in front of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page

PHOTOS = Path(__file__).resolve().parents[3] / "examples" / "photos"


@pytest.fixture(scope="session")
def clippo_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIPPO model of two untrained layers, 48 x 48 pixels in nine patches, and its processor."""
    import torch

    from linmap import ClippoConfig, ClippoModel, ClippoProcessor

    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        model = ClippoModel(ClippoConfig(image_size=48, patch_size=16, projection_dim=24, **sizes))
    folder = tmp_path_factory.mktemp("clippo")
    model.save_pretrained(folder)
    ClippoProcessor.for_model(model).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def bad_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """text.jpg is no image, cut.jpg is cut off, bomb.png has 90 million pixels in a few bytes."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "text.jpg").write_text("no image at all", encoding="utf-8")
    (folder / "cut.jpg").write_bytes((PHOTOS / "cat.jpg").read_bytes()[:9000])
    Image.new("1", (9_500, 9_500)).save(folder / "bomb.png")
    return folder


@pytest.fixture(scope="session")
def heavy_photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PNG of more than 50 MB that can be read: noise does not compress."""
    path = tmp_path_factory.mktemp("heavy") / "heavy.png"
    values = np.random.default_rng(0).integers(0, 256, (4200, 4200, 3), dtype=np.uint8)
    Image.fromarray(values).save(path, compress_level=0)
    return path


@pytest.fixture(scope="module")
def app_url(tmp_path_factory: pytest.TempPathFactory, clippo_dir: Path) -> Iterator[str]:
    """The address of `linmap app`, which runs as a user would run it; ended by Ctrl-C, after which nothing is left."""
    folder = tmp_path_factory.mktemp("app")
    # Whatever is asked of another machine goes to a proxy that is not there, and fails.
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    words = ["app", "--port", "0", "--no-open", "--model", str(clippo_dir)]
    with (folder / "stderr").open("w", encoding="utf-8") as errors:
        server = subprocess.Popen(
            [sys.executable, "-m", "linmap", *words],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **nowhere, "TMPDIR": str(folder)},
        )
    try:
        assert server.stdout is not None
        said = server.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+/", said)
        assert address, said + (folder / "stderr").read_text(encoding="utf-8")
        yield address[0]
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=60) == 0
        assert [path.name for path in folder.iterdir() if path.name.startswith("linmap-app-")] == []
        assert "Traceback" not in (folder / "stderr").read_text(encoding="utf-8")
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()


@pytest.fixture
def open_page(app_url: str, browser: Browser) -> Iterator[Callable[..., Page]]:
    """`open_page("DeCap")` is a fresh page at one of its tabs; no console error and no request to another machine."""
    wrong: list[str] = []
    contexts: list[BrowserContext] = []

    def opened(tab: str, width: int = 1280, height: int = 900) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme="light")
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(90_000)
        page.on("console", lambda said: said.type == "error" and wrong.append(f"console: {said.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("crash", lambda _: wrong.append("the page crashed"))
        page.on("request", lambda asked: _is_here(asked.url) or wrong.append(f"asked: {asked.url}"))
        page.goto(app_url)
        page.get_by_role("tab", name=tab, exact=True).click()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def _is_here(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("data", "blob") or parts.hostname == "127.0.0.1"
