"""A run from features that were extracted beforehand is the run that would have encoded the photos itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from linmap import LinearVisionPrefixModel, LinearVisionPrefixProcessor
from linmap.cli.app import main
from linmap.encoders import image_processor_for, load_encoder
from linmap.errors import FeatureMismatchError, FeatureStoreError, RecipeError, UnknownNameError
from linmap.prefix.encoding import feature_identity
from linmap.recipes import train
from linmap.recipes.recipe import recipe_from_dict

RecipeMaker = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def stores(tiny_recipe: RecipeMaker, photo_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`stores(dtype, **model)`: a folder of features of the photo set, as the recipe with that model section has it."""
    import yaml

    made: dict[str, Path] = {}

    def make(dtype: str = "float32", **model: Any) -> Path:
        called = json.dumps([dtype, model])
        if called not in made:
            folder = tmp_path_factory.mktemp("store")
            (folder / "recipe.yaml").write_text(yaml.safe_dump(tiny_recipe(model=model)))
            words = ["features", "extract", photo_set / "captions.json", "--images", photo_set / "images", "--recipe"]
            words += [folder / "recipe.yaml", "--output", folder / "features", "--dtype", dtype]
            assert main([str(word) for word in words]) == 0
            made[called] = folder / "features"
        return made[called]

    return make


def stored(store: Path, **data: Any) -> dict[str, Any]:
    return {"format": "features", "captions": str(store), "images": None, **data}


def losses(run: Path) -> list[float]:
    history = json.loads((run / "training_log.json").read_text())["history"]
    return [entry[name] for entry in history for name in ("loss", "eval_loss") if name in entry]


@pytest.mark.parametrize("start", ["ridge", "default"])
def test_the_loss_curve_and_the_weights_are_those_of_a_run_from_photos(
    tiny_recipe: RecipeMaker, stores: Callable[..., Path], tmp_path: Path, start: str
) -> None:
    runs = []
    for name, data in (("photos", {"feature_dtype": "float32"}), ("stored", stored(stores()))):
        content = tiny_recipe(data=data, initialisation={"method": start})
        runs.append(train(recipe_from_dict(content), tmp_path / name))
    assert len(losses(runs[0])) > 3
    torch.testing.assert_close(losses(runs[1]), losses(runs[0]), rtol=0, atol=1e-5)
    weights = [load_file(run / "model.safetensors") for run in runs]
    torch.testing.assert_close(weights[1], weights[0], rtol=0, atol=1e-4)


def test_half_precision_features_give_the_curve_of_half_precision_features_kept_in_memory(
    tiny_recipe: RecipeMaker, stores: Callable[..., Path], tmp_path: Path
) -> None:
    in_memory = train(recipe_from_dict(tiny_recipe(data={"feature_dtype": "float16"})), tmp_path / "memory")
    on_disk = train(recipe_from_dict(tiny_recipe(data=stored(stores("float16")))), tmp_path / "disk")
    torch.testing.assert_close(losses(on_disk), losses(in_memory), rtol=0, atol=2e-3)


@pytest.mark.parametrize("model", [{}, {"features": "pooled", "grid_size": None, "prefix_length": 2}])
def test_the_model_names_the_encoder_it_never_had_and_captions_with_it(
    tiny_recipe: RecipeMaker, stores: Callable[..., Path], photo_set: Path, tmp_path: Path, model: dict[str, Any]
) -> None:
    short = {"training": {"steps": 2}, "evaluation": {"every": 2}, "model": model}
    from_photos = train(recipe_from_dict(tiny_recipe(**short)), tmp_path / "photos")
    run = train(recipe_from_dict(tiny_recipe(**short, data=stored(stores(**model)))), tmp_path / "run")
    for file in ("config.json", "processor_config.json"):
        one, other = (json.loads((folder / file).read_text()) for folder in (run, from_photos))
        assert one == other
    loaded = LinearVisionPrefixModel.from_pretrained(run)
    processor = LinearVisionPrefixProcessor.from_pretrained(run)
    inputs = processor(images=str(photo_set / "images" / "0.png"), return_tensors="pt")
    features = loaded.encode_images(inputs["pixel_values"])
    assert loaded.encoder.fingerprint.name == "timm:test_vit.r160_in1k"
    with torch.no_grad():
        seen = loaded(**inputs).logits
        given = loaded(**processor(image_features=features, return_tensors="pt")).logits
    torch.testing.assert_close(seen, given)


def test_no_encoder_is_in_memory_while_training(
    tiny_recipe: RecipeMaker, stores: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading one would fail: its weights cannot be had."""
    import linmap.encoders

    def refuse(*words: object, **arguments: object) -> None:
        raise AssertionError("an encoder was loaded")

    store = stores()
    monkeypatch.setattr(linmap.encoders, "load_encoder", refuse)
    run = train(recipe_from_dict(tiny_recipe(data=stored(store))), tmp_path / "run")
    assert (run / "model.safetensors").is_file()


def test_photos_are_shown_on_the_page_of_samples_where_their_folder_is_named(
    tiny_recipe: RecipeMaker, stores: Callable[..., Path], photo_set: Path, tmp_path: Path
) -> None:
    short = {"training": {"steps": 2}, "evaluation": {"every": 2, "samples": 2, "max_new_tokens": 2}}
    blind = train(recipe_from_dict(tiny_recipe(**short, data=stored(stores()))), tmp_path / "blind")
    assert "Photo 1: 12.png" in (blind / "samples.md").read_text()
    assert not list((blind / "samples").glob("*.jpg"))
    data = stored(stores(), images=str(photo_set / "images"))
    shown = train(recipe_from_dict(tiny_recipe(**short, data=data)), tmp_path / "shown")
    assert "![photo 1](samples/1.jpg)" in (shown / "samples.md").read_text()
    assert (shown / "samples" / "2.jpg").is_file()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (
            {"encoder": "timm:test_resnet"},
            r"encoder 'timm:test_vit.r160_in1k' with random weights, seed 0, and the model",
        ),
        ({"encoder_seed": 1}, r"and the model has 'timm:test_vit' with random weights, seed 1"),
        ({"image_size": 80}, r"preprocessing crop_size \{\"height\": 160, \"width\": 160\}, and the model has"),
        ({"grid_size": None}, r"grid_size 2, and the model has null\. Extract them with it: linmap features extract"),
        ({"features": "pooled", "grid_size": None}, r"features \"grid\", and the model has \"pooled\"; grid_size 2"),
    ],
)
def test_features_of_another_encoder_preprocessing_or_pooling_are_refused_by_name(
    tiny_recipe: RecipeMaker, stores: Callable[..., Path], tmp_path: Path, model: dict[str, Any], said: str
) -> None:
    recipe = recipe_from_dict(tiny_recipe(model=model, data=stored(stores())))
    with pytest.raises(FeatureMismatchError, match=said):
        train(recipe, tmp_path / "run")


def test_validation_features_of_another_number_of_cells_are_refused(
    tiny_recipe: RecipeMaker, stores: Callable[..., Path], tmp_path: Path
) -> None:
    data = stored(stores(), validation_captions=str(stores(grid_size=3)))
    with pytest.raises(FeatureMismatchError, match="grid_size 3, and the model has 2"):
        train(recipe_from_dict(tiny_recipe(data=data)), tmp_path / "run")


def test_random_pixels_have_no_features_to_be_kept() -> None:
    encoder = load_encoder("timm:test_resnet", pretrained=False, preprocessing="limber-nfrn50-random")
    with pytest.raises(FeatureStoreError, match=r"takes a random window of a photo, .* not kept\. Take a preproc"):
        feature_identity(encoder.config, image_processor_for(encoder.config), features="pooled", grid_size=None)


def test_what_cannot_be_trained_from_features_is_said(
    tiny_recipe: RecipeMaker, stores: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(FeatureStoreError, match=r"holds no index\.json, so it is no feature store"):
        train(recipe_from_dict(tiny_recipe(data=stored(tmp_path))), tmp_path / "run")
    with pytest.raises(UnknownNameError, match=r"Unknown split 'test'.*Known: train, val"):
        train(recipe_from_dict(tiny_recipe(data=stored(stores(), validation_split="test"))), tmp_path / "other")
    data = stored(stores(), precompute_features=False)
    learning = tiny_recipe(model={"trained_encoder": True}, training={"encoder_learning_rate": 1e-3}, data=data)
    with pytest.raises(RecipeError, match=r"trained_encoder is true, and data\.format 'features' holds what the"):
        recipe_from_dict(learning)
    cut = tmp_path / "cut"
    shutil.copytree(stores(), cut)
    (cut / "features-00001.json").unlink()
    with pytest.raises(FeatureStoreError, match=r"are not complete: 1 of 1 shards are missing"):
        train(recipe_from_dict(tiny_recipe(data=stored(cut))), tmp_path / "another")


def test_a_run_from_features_is_resumed_to_the_same_weights(
    tiny_recipe: RecipeMaker, stores: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = recipe_from_dict(tiny_recipe(data=stored(stores()), training={"keep_checkpoints": 9}))
    whole = train(recipe, tmp_path / "whole")
    cut = tmp_path / "cut"
    shutil.copytree(whole, cut, ignore=shutil.ignore_patterns("checkpoint-12", "training_log.json"))
    (cut / "model.safetensors").unlink()
    train(recipe, cut, resume=True)
    one, other = (load_file(run / "model.safetensors") for run in (cut, whole))
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_a_plan_counts_the_captions_of_stored_features(tiny_recipe: RecipeMaker, stores: Callable[..., Path]) -> None:
    from linmap.recipes.methods import describe

    told = describe(recipe_from_dict(tiny_recipe(data=stored(stores()))))
    assert "12 of 'train', 4 of 'val' for validation" in told
