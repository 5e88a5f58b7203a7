"""Recipes where more than the linear layer learns: the encoder at its own rate, adapters in the language model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from linmap import LinearVisionPrefixModel, LinearVisionPrefixProcessor
from linmap.recipes import train
from linmap.recipes.assembly import assemble_model
from linmap.recipes.recipe import load_recipe, recipe_from_dict
from linmap.recipes.schema import Recipe
from linmap.recipes.trainer import give_own_rate
from linmap.weights.samples import samples_of
from tests.recipes.killed_runs import assert_bit_equal, weights_of

RecipeMaker = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def recipe(tiny_recipe: RecipeMaker) -> Recipe:
    """As MAGMA's: encoder and adapters learn with the linear layer."""
    content = tiny_recipe(
        model={"trained_encoder": True, "adapter_downsample": 4},
        data={"precompute_features": False},
        initialisation={"method": "default"},
        training={"steps": 6, "encoder_learning_rate": 1e-4, "weight_decay": 0.01, "keep_checkpoints": 9},
        evaluation={"every": 3},
    )
    made = recipe_from_dict(content)
    assert isinstance(made, Recipe)
    return made


@pytest.fixture(scope="module")
def run(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(recipe, tmp_path_factory.mktemp("runs") / "run")


def test_what_learned_is_in_the_model_and_in_its_checkpoints_and_nothing_else_is(run: Path) -> None:
    for folder in (run, run / "checkpoint-3"):
        parts = {key.partition(".")[0] for key in load_file(folder / "model.safetensors")}
        assert parts == {"projector", "adapters", "encoder"}
    card = (run / "README.md").read_text()
    assert "## Trained encoder" in card
    assert "bottleneck adapters" in card


def test_everything_that_is_said_to_learn_learned_and_the_language_model_did_not(run: Path, recipe: Recipe) -> None:
    fresh, _ = assemble_model(recipe)
    trained = LinearVisionPrefixModel.from_pretrained(run)
    for name, before in fresh.state_dict().items():
        after = trained.state_dict()[name]
        if name.startswith("language_model."):
            assert torch.equal(before, after)
    changed = {
        name.partition(".")[0]
        for name, before in fresh.named_parameters()
        if not torch.equal(before, dict(trained.named_parameters())[name])
    }
    assert changed == {"projector", "adapters", "encoder"}
    assert all(
        torch.equal(one, other)
        for one, other in zip(samples_of(fresh.language_model), samples_of(trained.language_model), strict=True)
    )


def test_the_encoder_has_groups_of_its_own_at_its_own_rate_and_the_schedule_of_the_rest(run: Path) -> None:
    kept = torch.load(run / "checkpoint-3" / "optimizer.pt", weights_only=True)["param_groups"]
    rates = [(group["initial_lr"], group["weight_decay"]) for group in kept]
    assert sorted(rates) == [(1e-4, 0.0), (1e-4, 0.01), (1e-2, 0.0), (1e-2, 0.01)]
    assert len({round(group["lr"] / group["initial_lr"], 9) for group in kept}) == 1  # one schedule for all


def test_a_run_that_was_cut_off_goes_on_to_the_same_weights(run: Path, recipe: Recipe, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    shutil.copytree(run, cut, ignore=shutil.ignore_patterns("checkpoint-6", "training_log.json"))
    train(recipe, cut, resume=True)
    assert_bit_equal(weights_of(cut / "checkpoint-6"), weights_of(run / "checkpoint-6"))


def test_weights_in_a_group_of_their_own_keep_its_other_settings() -> None:
    layer, other = nn.Linear(2, 2), nn.Linear(2, 2)
    optimiser = torch.optim.AdamW([{"params": [*layer.parameters(), *other.parameters()], "weight_decay": 0.3}], lr=0.1)
    give_own_rate(optimiser, other.parameters(), 0.5)
    assert [(group["lr"], group["weight_decay"], len(group["params"])) for group in optimiser.param_groups] == [
        (0.1, 0.3, 2),
        (0.5, 0.3, 2),
    ]


def test_the_prompt_of_training_is_not_that_of_the_finished_model(tiny_recipe: RecipeMaker, tmp_path: Path) -> None:
    """The paper's code trains on the caption alone and captions behind "A picture of"."""
    short = {"training": {"steps": 2}, "evaluation": {"every": 2, "samples": 0}}
    prompts = {"without": {"prompt": ""}, "both": {"prompt": "a picture of", "training_prompt": ""}}
    folders = {
        name: train(recipe_from_dict(tiny_recipe(model=model, **short)), tmp_path / name)
        for name, model in prompts.items()
    }
    assert_bit_equal(weights_of(folders["both"]), weights_of(folders["without"]))
    assert LinearVisionPrefixProcessor.from_pretrained(folders["both"]).prompt == "a picture of"
    assert load_recipe(folders["both"] / "recipe.yaml").model.training_prompt == ""
