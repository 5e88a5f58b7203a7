"""A run of DeCap that is killed and resumed ends with the very weights of a run that was not."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linmap import DeCapModel
from linmap.errors import OutputFolderError
from linmap.recipes import train
from linmap.recipes.outputs import OutputFolder
from linmap.recipes.recipe import load_recipe, recipe_from_dict
from tests.recipes.killed_runs import assert_bit_equal, train_and_kill, weights_of

RecipeMaker = Callable[..., dict[str, Any]]
SETTINGS = {
    "latents once": {},
    "latents at every step": {"precompute_latents": False},
}


@pytest.mark.parametrize("data", SETTINGS.values(), ids=SETTINGS)
def test_a_killed_run_that_is_resumed_ends_with_bit_equal_weights(
    decap_recipe_file: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, data: dict[str, Any]
) -> None:
    # with noise on the latents and dropout in the decoder
    training = {"epochs": 8, "weights_dtype": "float16"}
    file = decap_recipe_file(data=data, training=training, evaluation={"photos": None})
    recipe = load_recipe(file)
    whole = train(recipe, tmp_path / "whole")
    cut = tmp_path / "cut"
    train_and_kill(file, cut, at=lambda: (cut / "checkpoint-15").exists())  # while it is being written
    assert not (cut / "model.safetensors").exists()
    with caplog.at_level(logging.WARNING, logger="linmap"):
        train(recipe, cut, resume=True)
    assert "Resuming from" in caplog.text
    assert_bit_equal(weights_of(cut), weights_of(whole))
    assert_bit_equal(weights_of(cut / "checkpoint-40"), weights_of(whole / "checkpoint-40"))


def test_a_run_cut_off_within_an_epoch_or_after_its_last_step_ends_with_bit_equal_weights(
    decap_recipe: RecipeMaker, tmp_path: Path
) -> None:
    recipe = recipe_from_dict(decap_recipe(training={"keep_checkpoints": 9}))
    whole = train(recipe, tmp_path / "whole")
    for late in ("checkpoint-15", "nothing else"):
        cut = tmp_path / late
        shutil.copytree(whole, cut, ignore=shutil.ignore_patterns(late, "training_log.json"))
        (cut / "model.safetensors").unlink()
        train(recipe, cut, resume=True)
        assert_bit_equal(weights_of(cut), weights_of(whole))


def test_resuming_encodes_nothing_again_and_overwriting_keeps_the_latents(
    decap_recipe: RecipeMaker, tmp_path: Path
) -> None:
    recipe = recipe_from_dict(decap_recipe())
    folder = train(recipe, tmp_path / "run")
    cache = {path: path.stat().st_mtime_ns for path in (folder / "cache").iterdir()}
    assert {path.stem for path in cache} == {"train-texts", "validation-texts", "photos"}
    (folder / "training_log.json").unlink()
    train(recipe, folder, resume=True)
    train(recipe, folder, overwrite=True)
    assert {path: path.stat().st_mtime_ns for path in (folder / "cache").iterdir()} == cache


def test_overwriting_removes_all_that_a_run_writes_the_memory_too(decap_recipe: RecipeMaker, tmp_path: Path) -> None:
    recipe = recipe_from_dict(decap_recipe(training={"epochs": 1}))
    folder = train(recipe, tmp_path / "run")
    assert DeCapModel.from_pretrained(folder).memory is not None
    (folder / "memory" / "mine.txt").write_text("years of work")
    with pytest.raises(OutputFolderError, match=r"memory/mine\.txt was not written by the run"):
        train(recipe, folder, overwrite=True)
    (folder / "memory" / "mine.txt").unlink()
    OutputFolder(folder).open(recipe, overwrite=True)
    assert {path.name for path in folder.iterdir()} == {"recipe.yaml", "cache", "README.md"}
