"""Runs that are killed on the way, and how their weights are compared."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file

DEADLINE = 300  # seconds; a busy machine needs minutes to import torch


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def assert_bit_equal(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> None:
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def train_and_kill(recipe: Path, output: Path, at: Callable[[], bool]) -> None:
    """Runs `linmap train` in a process of its own and ends it with SIGKILL as soon as `at()` holds."""
    code = "import sys, torch; torch.set_num_threads(int(sys.argv.pop(1))); from linmap.cli.app import main; main()"
    command = [sys.executable, "-c", code, str(torch.get_num_threads()), "train", str(recipe), "--output", str(output)]
    process = subprocess.Popen(command, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + DEADLINE
        while process.poll() is None and not at():
            assert time.monotonic() < end, "the run did not get so far in time"
            time.sleep(0.001)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL, "the run had ended before it could be killed"
