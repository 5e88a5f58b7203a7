"""A run of a dual encoder that is killed and resumed ends with the very weights of a run that was not."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from linmap.recipes import train
from linmap.recipes.outputs import OutputFolder
from linmap.recipes.recipe import load_recipe, recipe_from_dict
from tests.recipes.killed_runs import assert_bit_equal, train_and_kill, weights_of

SETTINGS = {
    "locked towers": {"image_dropout": 0.2},
    "both towers learn": {"trained_towers": ["image", "text"], "mini_batch_size": 4},
}


@pytest.mark.parametrize("model", SETTINGS.values(), ids=SETTINGS)
def test_a_killed_run_that_is_resumed_ends_with_bit_equal_weights(
    dual_recipe_file: Callable[..., Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    model: dict[str, Any],
) -> None:
    file = dual_recipe_file(model=model, training={"epochs": 8})
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
    dual_recipe: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    recipe = recipe_from_dict(dual_recipe(training={"keep_checkpoints": 9}))
    whole = train(recipe, tmp_path / "whole")
    for late in ("checkpoint-15", "nothing else"):
        cut = tmp_path / late
        shutil.copytree(whole, cut, ignore=shutil.ignore_patterns(late, "training_log.json"))
        (cut / "model.safetensors").unlink()
        train(recipe, cut, resume=True)
        assert_bit_equal(weights_of(cut), weights_of(whole))


def test_resuming_encodes_nothing_again_and_overwriting_keeps_the_features(
    dual_recipe: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    recipe = recipe_from_dict(dual_recipe())
    folder = train(recipe, tmp_path / "run")
    cache = {path: path.stat().st_mtime_ns for path in (folder / "cache").iterdir()}
    names = {f"{split}-{what}" for split in ("train", "validation") for what in ("photos", "texts")}
    assert {path.stem for path in cache} == names
    (folder / "training_log.json").unlink()
    train(recipe, folder, resume=True)
    train(recipe, folder, overwrite=True)
    assert {path: path.stat().st_mtime_ns for path in (folder / "cache").iterdir()} == cache


def test_other_captions_are_encoded_anew(dual_recipe: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    folder = train(recipe_from_dict(dual_recipe()), tmp_path / "run")
    before = load_file(folder / "cache" / "train-texts.safetensors")["features"]
    train(recipe_from_dict(dual_recipe(data={"lower_case": True})), folder, overwrite=True)
    assert not torch.equal(load_file(folder / "cache" / "train-texts.safetensors")["features"], before)


def test_overwriting_removes_all_that_a_run_writes(dual_recipe: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    recipe = recipe_from_dict(dual_recipe())
    folder = train(recipe, tmp_path / "run")
    OutputFolder(folder).open(recipe, overwrite=True)
    assert {path.name for path in folder.iterdir()} == {"recipe.yaml", "cache", "README.md"}
