from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linmap.errors import RecipeError, UnknownNameError
from linmap.recipes.recipe import load_recipe, packaged_recipes, recipe_from_dict, recipe_to_yaml


@pytest.mark.parametrize("name", sorted(packaged_recipes()))
def test_a_packaged_recipe_is_found_by_its_bare_name_and_says_where_its_numbers_come_from(name: str) -> None:
    recipe = load_recipe(name)
    assert "arXiv" in recipe.source


def test_an_override_changes_one_value(recipe_file: Callable[..., Path]) -> None:
    plain = load_recipe(recipe_file())
    changed = load_recipe(recipe_file(), ["training.steps=7", "model.prompt=A picture of", "evaluation.photos=null"])
    assert (changed.training.steps, changed.model.prompt, changed.evaluation.photos) == (7, "A picture of", None)
    assert changed.training.betas == plain.training.betas == (0.9, 0.95)


def test_parts_have_short_words_and_an_encoder_brings_its_own_size_and_preprocessing() -> None:
    overrides = ["lm=wheel:smollm2-135m-instruct", "encoder=timm:resnet50"]
    swapped = load_recipe("limber-nfrn50", overrides).model
    assert (swapped.language_model, swapped.encoder) == ("wheel:smollm2-135m-instruct", "timm:resnet50")
    assert swapped.preprocessing is None
    clip = load_recipe("limber-clip-rn50x16", ["encoder=timm:resnet50", "model.image_size=288"]).model
    assert (clip.encoder, clip.image_size) == ("timm:resnet50", 288)
    assert load_recipe("limber-clip-rn50x16", ["model.encoder=timm:resnet50"]).model.image_size == 384


def test_what_a_recipe_says_of_its_own_data_is_not_said_of_others() -> None:
    own = load_recipe("linear-dual", ["training.epochs=1", "data.images=elsewhere/"])
    assert own.description.endswith("Flickr8k captions.")
    assert own.license == "other"
    others = load_recipe("linear-dual", ["data.captions=mine.json", "training.epochs=1"])
    assert (others.description, others.license, others.data_terms) == (
        "As the recipe linear-dual, with data.captions=mine.json",
        None,
        None,
    )
    told = load_recipe("linear-dual", ["data.captions=mine.json", "license=mit", "data_terms=mine", "description=Mine"])
    assert (told.description, told.license, told.data_terms) == ("Mine", "mit", "mine")
    swapped = load_recipe("efficientnet-lite0-smollm2-135m", ["lm=openai-community/gpt2"])
    assert swapped.description == "As the recipe efficientnet-lite0-smollm2-135m, with lm=openai-community/gpt2"
    assert swapped.data_terms


def test_a_recipe_written_out_reads_back_equal(recipe_file: Callable[..., Path], tmp_path: Path) -> None:
    recipe = load_recipe(recipe_file())
    (tmp_path / "again.yaml").write_text(recipe_to_yaml(recipe), encoding="utf-8")
    assert load_recipe(tmp_path / "again.yaml") == recipe


def test_a_number_without_a_point_is_a_number(tiny_recipe: Callable[..., dict[str, Any]]) -> None:
    recipe = recipe_from_dict(tiny_recipe(training={"learning_rate": "3e-3"}))  # YAML 1.1 reads 3e-3 as text
    assert recipe.training.learning_rate == 0.003


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.stepz=3", r"Unknown key in training 'stepz'\. Did you mean 'steps'\? Known: batch_size, "),
        ("steps=3", r"Unknown key in the recipe 'steps'\. Did you mean 'training\.steps'\?"),
        ("batch_size=3", r"Did you mean 'training\.batch_size' or 'evaluation\.batch_size'\?"),
        ("trainings.steps=3", r"Unknown key in the recipe 'trainings'\. Did you mean 'training'\?"),
        ("model.features=girds", r"Unknown model\.features 'girds'\. Did you mean 'grid'\? Known: grid, pooled\."),
    ],
)
def test_an_unknown_word_gets_a_suggestion(recipe_file: Callable[..., Path], override: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        load_recipe(recipe_file(), [override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.steps=many", r"training\.steps must be a whole number; found 'many'\."),
        ("training.steps=true", r"training\.steps must be a whole number; found True\."),
        ("training.steps=0", r"training\.steps is 0; it must be at least 1\."),
        ("training.learning_rate=fast", r"training\.learning_rate must be a number; found 'fast'\."),
        ("training.betas=[0.9]", r"training\.betas must be a list of 2 values; found \[0\.9\]\."),
        ("data.lower_case=7", r"data\.lower_case must be true or false; found 7\."),
        ("data.images=null", r"data\.images is missing: format 'flickr8k' needs the folder that holds the photos\."),
        ("model=3", r"model must be a section with keys; found 3\."),
        ("training.steps", r"Cannot read the override 'training\.steps'\. Write it as section\.key=value\."),
        ("description.text=3", r"Cannot set 'description\.text': 'description' is one value, not a section"),
        (
            "training={steps: 3, schedule: linear, final_learning_rate: 0.1}",
            r"only 'cosine' ends at a chosen rate\. Set final_learning_rate to 0\.",
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_named(recipe_file: Callable[..., Path], override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe(recipe_file(), [override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.encoder_seed=-1", "it must be at least 0"),
        ("model.image_size=0", "it must be at least 1"),
        ("model.projector_dropout=1", "it must be at least 0 and less than 1"),
        ("model.projector_dropout=-0.1", "it must be at least 0 and less than 1"),
        ("initialisation.noise=-0.1", "it must be at least 0"),
        ("training.learning_rate=0", "it must be greater than 0"),
        ("training.learning_rate=-1e-3", "it must be greater than 0"),
        ("training.learning_rate=.nan", "it must be greater than 0"),
        ("training.betas=[0.9, 1.0]", "it must be at least 0 and less than 1"),
        ("training.weight_decay=-0.1", "it must be at least 0"),
        ("training.weight_decay=.nan", "it must be at least 0"),
        ("training.warmup_steps=-1", "it must be at least 0"),
        ("training.final_learning_rate=-0.1", "it must be at least 0"),
        ("training.final_learning_rate=1.1", "it must be at most 1"),
        ("training.max_grad_norm=-1", "it must be at least 0"),
        ("training.seed=-1", "it must be at least 0"),
        ("training.seed=4294967296", "it must be at most 4294967295"),
        ("evaluation.every=0", "it must be at least 1"),
        ("evaluation.photos=0", "it must be at least 1"),
        ("evaluation.batch_size=0", "it must be at least 1"),
        ("evaluation.samples=-1", "it must be at least 0"),
        ("evaluation.max_new_tokens=0", "it must be at least 1"),
        ("generation.num_beams=0", "it must be at least 1"),
        ("generation.no_repeat_ngram_size=-1", "it must be at least 0"),
        ("generation.min_new_tokens=-1", "it must be at least 0"),
    ],
)
def test_a_number_out_of_range_is_named_with_its_range(
    recipe_file: Callable[..., Path], override: str, message: str
) -> None:
    key = re.escape(override.partition("=")[0])
    with pytest.raises(RecipeError, match=rf"{key} is .*; {message}"):
        load_recipe(recipe_file(), [override])


@pytest.mark.parametrize(
    "override",
    [
        "model.projector_dropout=0",
        "training.weight_decay=0",
        "training.warmup_steps=0",
        "training.max_grad_norm=0",
        "training.final_learning_rate=1",
        "evaluation.photos=null",
        "evaluation.samples=0",
        "generation.min_new_tokens=0",
    ],
)
def test_the_ends_of_a_range_may_be_said(recipe_file: Callable[..., Path], override: str) -> None:
    load_recipe(recipe_file(), [override])


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        ({"train_split": "train", "validation_split": "train"}, "train_split train and data.validation_split train"),
        ({"train_split": None, "validation_split": None}, "train_split null and data.validation_split null"),
        ({"train_split": None}, "train_split null and data.validation_split val"),
    ],
)
@pytest.mark.parametrize("form", ["flickr8k", "coco", "datasets"])
def test_photos_learned_from_never_choose_the_weights(
    tiny_recipe: Callable[..., dict[str, Any]], form: str, splits: dict[str, Any], said: str
) -> None:
    captions = tiny_recipe()["data"]["captions"]
    with pytest.raises(RecipeError, match=rf"chosen by photos they learned from: data\.{said} share photos of "):
        recipe_from_dict(tiny_recipe(data={"format": form, **splits}))
    same = str(Path(captions).parent / "images" / ".." / "captions.json")
    with pytest.raises(RecipeError, match=r"or another source as data\.validation_captions"):
        recipe_from_dict(tiny_recipe(data={"format": form, "validation_captions": same, **splits}))
    recipe_from_dict(tiny_recipe(data={"format": form, "validation_captions": "other.json", **splits}))


def test_a_missing_key_is_named_with_a_way_to_give_it(tiny_recipe: Callable[..., dict[str, Any]]) -> None:
    content = tiny_recipe()
    del content["training"]["steps"]
    with pytest.raises(RecipeError, match=r"does not say training\.steps\. Add it, or give it with --set training"):
        recipe_from_dict(content)


def test_a_recipe_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown recipe 'efficientnet'\..*Known: .*efficientnet-lite0-smollm2"):
        load_recipe("efficientnet")
    with pytest.raises(RecipeError, match=r"No recipe file at nowhere/my\.yaml\. Give a YAML file or one of"):
        load_recipe("nowhere/my.yaml")


def test_a_file_that_is_no_recipe_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("- a\n- b\n")
    with pytest.raises(RecipeError, match=r"list\.yaml holds no mapping of sections"):
        load_recipe(path)
    path.write_text("a: [1\n")
    with pytest.raises(RecipeError, match=r"list\.yaml is not YAML"):
        load_recipe(path)
