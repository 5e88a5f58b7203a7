"""Recipes of dual encoders as data: chosen by their method, their words and ranges checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linmap.cli.app import main
from linmap.errors import RecipeError, UnknownNameError
from linmap.recipes import DualRecipe, Recipe, train
from linmap.recipes.recipe import load_recipe, recipe_from_dict, recipe_to_yaml

RecipeMaker = Callable[..., dict[str, Any]]


def test_a_method_chooses_the_schema(dual_recipe: RecipeMaker, tiny_recipe: RecipeMaker) -> None:
    assert isinstance(recipe_from_dict(dual_recipe()), DualRecipe)
    assert isinstance(recipe_from_dict(tiny_recipe()), Recipe)
    assert isinstance(recipe_from_dict({"method": "linear_vision_prefix", **tiny_recipe()}), Recipe)


@pytest.mark.parametrize("method", ["dual_encodr", 3, None, ["dual_encoder"]])
def test_an_unknown_method_names_those_there_are(dual_recipe: RecipeMaker, method: Any) -> None:
    known = "clippo, decap, dual_encoder, linear_vis"
    with pytest.raises(UnknownNameError, match=rf"Unknown method of a recipe .*Known: {known}"):
        recipe_from_dict({**dual_recipe(), "method": method})


@pytest.mark.parametrize(("name", "towers"), [("clip", ("image", "text")), ("lit", ("text",)), ("linear-dual", ())])
def test_the_packaged_recipes_differ_by_what_learns(name: str, towers: tuple[str, ...]) -> None:
    recipe = load_recipe(name)
    assert isinstance(recipe, DualRecipe)
    assert recipe.model.trained_towers == towers


def test_a_recipe_written_out_reads_back_equal(dual_recipe: RecipeMaker, tmp_path: Path) -> None:
    recipe = recipe_from_dict(dual_recipe(model={"trained_towers": ["text"]}))
    written = recipe_to_yaml(recipe)
    assert written.startswith("method: dual_encoder\n")
    (tmp_path / "again.yaml").write_text(written, encoding="utf-8")
    assert load_recipe(tmp_path / "again.yaml") == recipe


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epoch=3", r"Unknown key in training 'epoch'\. Did you mean 'epochs'\?"),
        ("training.steps=3", r"Unknown key in training 'steps'"),
        ("model.trained_towers=[txt]", r"Unknown model\.trained_towers 'txt'\. Did you mean 'text'\?"),
        ("model.loss=softmx", r"Unknown model\.loss 'softmx'\. Did you mean 'softmax'\? Known: sigmoid, softmax\."),
        ("evaluation.metric=cider", r"Unknown evaluation\.metric 'cider'\. Known: loss, recall\."),
        ("metod=dual_encoder", r"Unknown key in the recipe 'metod'\. Did you mean 'method'\?"),
    ],
)
def test_an_unknown_word_gets_a_suggestion(dual_recipe_file: Callable[..., Path], override: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        load_recipe(dual_recipe_file(), [override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.trained_towers=text", r"model\.trained_towers must be a list; found 'text'\."),
        ("model.trained_towers=[1, 2]", r"Unknown model\.trained_towers '1'"),
        ("model.image_dropout=1", r"model\.image_dropout is 1\.0; it must be at least 0 and less than 1\."),
        ("model.projection_dim=0", r"model\.projection_dim is 0; it must be at least 1\."),
        ("training.epochs=0", r"training\.epochs is 0; it must be at least 1\."),
        ("training.batch_size=1", r"training\.batch_size is 1; it must be at least 2\."),
        ("training.warmup_share=1", r"training\.warmup_share is 1\.0; it must be at least 0 and less than 1\."),
        ("training.epsilon=0", r"training\.epsilon is 0\.0; it must be greater than 0\."),
        ("evaluation.photos=1", r"evaluation\.photos is 1; it must be at least 2\."),
        ("data.mirror=often", r"data\.mirror must be true or false; found 'often'\."),
        ("data.validation_split=train", r"chosen by photos they learned from"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(
    dual_recipe_file: Callable[..., Path], override: str, message: str
) -> None:
    with pytest.raises((RecipeError, UnknownNameError), match=message):
        load_recipe(dual_recipe_file(), [override])


def test_the_command_trains_says_where_and_plans(
    dual_recipe_file: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, folder = str(dual_recipe_file()), tmp_path / "run"
    arguments = ["train", file, "--output", str(folder), "--set", "training.epochs=1"]
    assert main([*arguments, "--dry-run"]) == 0
    out = capsys.readouterr().out
    for word in ("frozen", "trained", "loss", "photos", "captions", "steps", "kept", "memory"):
        assert f"\n{word} " in out
    assert not folder.exists()
    assert main(arguments) == 0
    assert capsys.readouterr().out.strip() == str(folder)
    assert (folder / "model.safetensors").is_file()
    assert main([*arguments, "--resume"]) == 0
    assert main(["train", "linear-dul"]) == 2
    assert "Did you mean 'linear-dual'?" in capsys.readouterr().err


def test_a_recipe_started_in_several_processes_says_that_it_runs_in_one(
    dual_recipe: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RecipeError, match=r"runs in one process, and 2 were started \(WORLD_SIZE\)"):
        train(recipe_from_dict(dual_recipe()), tmp_path / "run")
    assert not (tmp_path / "run").exists()
