"""The blocks of docs/guides/sharing.md, which need a Hub, run against the small one, in their order."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.documented import ROOT, blocks, commands
from tests.hub.conftest import TOKEN
from tests.hub_server import HubClient, Said, SmallHub
from tests.hub_server.client import run_linmap

GUIDE = ROOT / "docs" / "guides" / "sharing.md"


@pytest.fixture(scope="module")
def desk(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a model was trained."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copytree(folders["dual"], folder / "runs" / "mine")
    (folder / "examples").symlink_to(ROOT / "examples")
    return folder


def test_the_blocks_of_the_guide_run_in_their_order(hub: SmallHub, client: HubClient, desk: Path) -> None:
    for block in blocks(GUIDE):
        if block.language == "python":
            client(run_python, desk, block.code)
        else:
            for words in commands(block.code):
                assert words[0] == "linmap"
                said = client(run_program, desk, words[1:])
                assert said.code == 0, said.err
    files = hub.files("org/name")
    assert {"model.safetensors", "processor_config.json", "linmap_model.py"} <= set(files)
    assert b"learning_rate" in files["README.md"], "the trainer pushed last"
    assert "longer-training" in hub.repositories["org/name"].branches


NAMESPACE: dict[str, object] = {"__name__": "guide"}
"""Of the client's process: a block goes on from the one before."""


def run_python(desk: Path, program: str) -> None:
    with contextlib.chdir(desk), patch.dict(os.environ, {"HF_TOKEN": TOKEN}):
        exec(compile(program, str(GUIDE), "exec", dont_inherit=True), NAMESPACE)


def run_program(desk: Path, words: list[str]) -> Said:
    with contextlib.chdir(desk), patch.dict(os.environ, {"HF_TOKEN": TOKEN}):
        return run_linmap(*words)
