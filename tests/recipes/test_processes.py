"""A run in two processes is the run of one process: the same losses, the same weights, the same files."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from linmap.errors import RecipeError
from linmap.recipes import train
from linmap.recipes.checkpoints import why_incomplete
from linmap.recipes.processes import SharedBatches
from linmap.recipes.recipe import load_recipe

REPOSITORY = Path(__file__).resolve().parents[2]


def in_two_processes(module: str, *words: object) -> subprocess.CompletedProcess[str]:
    """`python -m MODULE WORDS` in two processes that torchrun starts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={port}"]
    command = [*launcher, "-m", module, *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)


def outcome(run: Path, processes: int = 1) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Losses and weights of a finished run."""
    log = json.loads((run / "training_log.json").read_text())
    assert log["processes"] == processes
    losses = [entry[name] for entry in log["history"] for name in ("loss", "eval_loss") if name in entry]
    assert len(losses) >= 4
    return losses, load_file(run / "model.safetensors")


def assert_alike(one: Any, other: Any) -> None:
    torch.testing.assert_close(one[0], other[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(one[1], other[1], rtol=0, atol=1e-4)


@pytest.fixture
def recipe(recipe_file: Callable[..., Path]) -> Path:
    """36 captions in batches of 8: the last of an epoch has 4, and the run sees almost three epochs."""
    return recipe_file(
        model={"projector_dropout": 0.0},
        training={"steps": 14, "batch_size": 8, "learning_rate": 3e-3},
        evaluation={"every": 5, "batch_size": 3, "samples": 1, "max_new_tokens": 2},
    )


@pytest.fixture
def alone(recipe: Path, tmp_path: Path) -> Callable[..., Any]:
    """`alone("section.key=value", …)`: losses and weights of the recipe, so changed, in this process."""

    def run(*changes: str) -> Any:
        folder = tmp_path / f"alone-{len(list(tmp_path.glob('alone-*')))}"
        return outcome(train(load_recipe(recipe, changes), folder))

    return run


def test_two_processes_extract_train_and_resume_as_one_does(
    recipe: Path, photo_set: Path, alone: Callable[..., Any], tmp_path: Path
) -> None:
    photos = ["--images", photo_set / "images"]
    features = tmp_path / "features"
    stored = ["--set", "data.format=features", "--set", f"data.captions={features}", "--set", "training.batch_size=4"]
    cut = tmp_path / "stored"
    commands = [
        ["features", "extract", photo_set / "captions.json", *photos, "--recipe", recipe, "--output", features],
        ["train", recipe, "--output", tmp_path / "photos", "--set", "training.batch_size=4"],
        ["train", recipe, "--output", cut, *stored],
        ["rm", cut / "training_log.json", cut / "model.safetensors", cut / "checkpoint-14"],
        ["train", recipe, "--output", cut, *stored, "--resume"],
    ]
    (tmp_path / "commands.json").write_text(json.dumps(commands, default=str))
    done = in_two_processes("tests.recipes.commands_in_turn", tmp_path / "commands.json")
    assert done.returncode == 0, done.stderr[-3000:]
    of_runs = [line for line in done.stdout.splitlines() if line.startswith(str(tmp_path)) and ":" not in line]
    assert of_runs == [str(tmp_path / "photos"), str(cut), str(cut)]

    one = alone()
    assert_alike(outcome(tmp_path / "photos", 2), one)
    assert_alike(outcome(cut, 2), alone("data.format=features", f"data.captions={features}"))
    half = alone("training.batch_size=4")
    assert max((half[1][name] - value).abs().max() for name, value in one[1].items()) > 1e-3  # the batch does matter
    assert {path.name for path in (tmp_path / "photos").iterdir()} == {
        path.name for path in (tmp_path / "alone-0").iterdir()
    }
    (cut / "training_log.json").unlink()
    changes = [word for word in stored if word != "--set"]
    with pytest.raises(RecipeError, match=r"was started in 2 processes, and this is one of 1: .* Resume it in as many"):
        train(load_recipe(recipe, changes), cut, resume=True)
    checkpoint = tmp_path / "photos" / "checkpoint-14"
    assert why_incomplete(checkpoint) is None
    (checkpoint / "rng_state_1.pth").unlink()
    assert why_incomplete(checkpoint) == "rng_state_1.pth is missing"


def test_a_batch_that_is_gathered_in_parts_is_the_batch(alone: Callable[..., Any]) -> None:
    assert_alike(alone("training.batch_size=4", "training.gradient_accumulation=2"), alone())


def test_an_error_of_a_run_in_two_processes_is_one_line_of_each_and_leaves_nothing_waiting(
    recipe: Path, tmp_path: Path
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("years of work")
    done = in_two_processes("linmap", "train", recipe, "--output", tmp_path / "taken")
    assert done.returncode != 0
    assert "linmap: error: " in done.stderr
    assert "holds files that are not of a training run; choose another --output" in done.stderr


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("keep_all", [True, False])
def test_the_parts_of_a_batch_are_the_batch(processes: int, keep_all: bool) -> None:
    for count in range(3, 20):
        order = list(reversed(range(count)))
        parts = [list(SharedBatches(order, 6, processes, index, keep_all=keep_all)) for index in range(processes)]
        assert len({len(batches) for batches in parts}) == 1
        assert all(share for batches in parts for share in batches)
        seen = [example for shares in zip(*parts, strict=True) for share in shares for example in share]
        assert seen == order[: len(seen)]
        assert count - len(seen) < processes
        if keep_all:
            assert seen == order
