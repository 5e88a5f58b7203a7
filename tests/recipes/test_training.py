from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from linmap import LinearVisionPrefixModel, LinearVisionPrefixProcessor
from linmap.data.images import UnreadableImages
from linmap.errors import CaptionDataError, TooManyUnreadableImagesError, UnreadableImageError
from linmap.recipes import train
from linmap.recipes.assembly import assemble_model, read_splits
from linmap.recipes.plan import describe
from linmap.recipes.recipe import load_recipe, recipe_from_dict
from linmap.recipes.schema import Recipe

RecipeMaker = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def recipe(tiny_recipe: RecipeMaker) -> Recipe:
    return recipe_from_dict(tiny_recipe())


@pytest.fixture(scope="module")
def run(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the tiny recipe."""
    return train(recipe, tmp_path_factory.mktemp("runs") / "run")


def test_a_run_leaves_a_model_its_recipe_its_numbers_and_its_pictures(run: Path, recipe: Recipe) -> None:
    files = {path.name for path in run.iterdir() if path.is_file()}
    assert {"model.safetensors", "config.json", "processor_config.json", "tokenizer.json", "README.md"} <= files
    assert {"recipe.yaml", "training_log.json", "loss.png", "samples.md"} <= files
    assert load_recipe(run / "recipe.yaml") == recipe
    with Image.open(run / "loss.png") as plot:
        assert plot.format == "PNG"


def test_no_pickle_lies_outside_the_checkpoint_folders(run: Path) -> None:
    for path in run.rglob("*"):
        if path.suffix in (".bin", ".pt", ".pth", ".pkl"):
            assert path.parent.name.startswith("checkpoint-")
    assert not list(run.rglob("*.part"))


def test_a_checkpoint_holds_the_projection_only(run: Path) -> None:
    checkpoints = list(run.glob("checkpoint-*"))
    assert checkpoints
    for checkpoint in checkpoints:
        assert set(load_file(checkpoint / "model.safetensors")) == {"projector.weight", "projector.bias"}


def test_the_weights_kept_are_those_of_the_best_evaluation(run: Path) -> None:
    log = json.loads((run / "training_log.json").read_text())
    losses = {entry["step"]: entry["eval_loss"] for entry in log["history"] if "eval_loss" in entry}
    assert sorted(losses) == [4, 8, 12]
    assert losses[log["best_step"]] == log["best_loss"] == min(losses.values())
    kept, best = (load_file(folder / "model.safetensors") for folder in (run, run / f"checkpoint-{log['best_step']}"))
    assert all(torch.equal(kept[name], best[name]) for name in best)


def test_the_validation_loss_is_the_mean_over_all_scored_tokens(run: Path, recipe: Recipe) -> None:
    from linmap.data import CaptionCollator

    model, processor = assemble_model(recipe)
    model.projector.load_state_dict(
        {name.removeprefix("projector."): value for name, value in load_file(run / "model.safetensors").items()}
    )
    _, validation = read_splits(recipe.data, UnreadableImages())
    examples = [
        {"image": photo.image, "caption": photo.captions[i % len(photo.captions)]} for i, photo in enumerate(validation)
    ]
    batch = CaptionCollator(processor)(examples)
    with torch.no_grad():
        loss = model(**batch).loss
    log = json.loads((run / "training_log.json").read_text())
    torch.testing.assert_close(float(loss), log["best_loss"], rtol=1e-3, atol=0)  # features were kept in half precision


def test_samples_show_each_photo_with_a_reference_and_a_caption_for_each_evaluation(run: Path) -> None:
    page = (run / "samples.md").read_text()
    assert page.count("![photo") == page.count("Reference: ") == 2
    for number in (1, 2):
        assert f"(samples/{number}.jpg)" in page
        assert (run / "samples" / f"{number}.jpg").is_file()
    steps = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ") and "step" not in line]
    assert steps == ["12", "8", "4"] * 2


def test_the_card_says_what_the_layer_was_trained_on(run: Path) -> None:
    card = (run / "README.md").read_text()
    assert "Coloured noise, captioned." in card
    assert "learning_rate: 0.01" in card


def test_training_changes_the_projection_from_its_ridge_start(run: Path, recipe: Recipe) -> None:
    fresh, _ = assemble_model(recipe)
    trained = load_file(run / "model.safetensors")
    assert not torch.equal(trained["projector.weight"], fresh.projector.weight)
    assert 0 < json.loads((run / "training_log.json").read_text())["ridge_explained_variance"] <= 1


def test_the_output_folder_is_a_processor_with_the_recipe_s_prompt(tiny_recipe: RecipeMaker, tmp_path: Path) -> None:
    content = tiny_recipe(model={"prompt": "a picture of"}, training={"steps": 1}, evaluation={"every": 1})
    folder = train(recipe_from_dict(content), tmp_path / "run")
    assert LinearVisionPrefixProcessor.from_pretrained(folder).prompt == "a picture of"


@pytest.mark.parametrize("length_grouped", [True, False])
def test_two_runs_of_a_recipe_end_with_equal_weights(
    tiny_recipe: RecipeMaker, tmp_path: Path, length_grouped: bool
) -> None:
    recipe = recipe_from_dict(tiny_recipe(training={"steps": 5, "length_grouped": length_grouped}))
    one, two = (load_file(train(recipe, tmp_path / name) / "model.safetensors") for name in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_features_encoded_beforehand_and_photos_read_each_time_start_and_train_alike(
    tiny_recipe: RecipeMaker, tmp_path: Path
) -> None:
    weights = []
    for precompute in (True, False):
        data = {"precompute_features": precompute, "feature_dtype": "float32"}
        recipe = recipe_from_dict(tiny_recipe(data=data, training={"steps": 3}, evaluation={"every": 3}))
        weights.append(load_file(train(recipe, tmp_path / str(precompute)) / "model.safetensors"))
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-3, atol=1e-4)


def test_pooled_features_make_several_tokens(tiny_recipe: RecipeMaker, tmp_path: Path) -> None:
    content = tiny_recipe(
        model={"features": "pooled", "grid_size": None, "prefix_length": 3},
        training={"steps": 2},
        evaluation={"every": 2},
    )
    folder = train(recipe_from_dict(content), tmp_path / "run")
    assert json.loads((folder / "config.json").read_text())["num_image_tokens"] == 3


def test_a_recipe_can_choose_by_cider(tiny_recipe: RecipeMaker, tmp_path: Path) -> None:
    chosen_by = {"metric": "cider", "tokenizer": "simple", "every": 3}
    folder = train(recipe_from_dict(tiny_recipe(evaluation=chosen_by, training={"steps": 6})), tmp_path / "run")
    log = json.loads((folder / "training_log.json").read_text())
    scores = [entry["eval_cider"] for entry in log["history"] if "eval_cider" in entry]
    assert len(scores) == 2
    assert log["best_cider"] == max(scores)


def test_coco_captions_and_their_validation_file_are_read(
    tiny_recipe: RecipeMaker, photo_set: Path, tmp_path: Path
) -> None:
    def coco(name: str, numbers: range) -> str:
        images = [{"id": number, "file_name": f"{number}.png"} for number in numbers]
        notes = [{"id": number, "image_id": number, "caption": f"photo {number}"} for number in numbers]
        (tmp_path / name).write_text(json.dumps({"images": images, "annotations": notes}))
        return str(tmp_path / name)

    data = {
        "format": "coco",
        "captions": coco("train.json", range(8)),
        "validation_captions": coco("val.json", range(8, 12)),
        "train_split": None,
        "validation_split": None,
    }
    recipe = recipe_from_dict(tiny_recipe(data=data, training={"steps": 2}, evaluation={"every": 2}))
    log = json.loads((train(recipe, tmp_path / "run") / "training_log.json").read_text())
    assert (log["photos"], log["captions"], log["validation_photos"]) == (8, 8, 4)


def test_a_saved_dataset_is_read(tiny_recipe: RecipeMaker, photo_set: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = json.loads((photo_set / "captions.json").read_text())
    columns = {
        "photo": [str(photo_set / "images" / row["file"]) for row in rows],
        "texts": [r["captions"] for r in rows],
    }
    splits = {
        name: datasets.Dataset.from_dict({key: values[part] for key, values in columns.items()}).cast_column(
            "photo", datasets.Image()
        )
        for name, part in (("train", slice(0, 12)), ("test", slice(12, 16)))
    }
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "set")
    data = {
        "format": "datasets",
        "captions": str(tmp_path / "set"),
        "images": None,
        "validation_split": "test",
        "image_column": "photo",
        "caption_column": "texts",
    }
    recipe = recipe_from_dict(tiny_recipe(data=data, training={"steps": 2}, evaluation={"every": 2}))
    log = json.loads((train(recipe, tmp_path / "run") / "training_log.json").read_text())
    assert (log["photos"], log["captions"], log["validation_photos"]) == (12, 36, 4)


def test_one_saved_dataset_is_not_both_splits(tiny_recipe: RecipeMaker, photo_set: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    photo = str(photo_set / "images" / "0.png")
    datasets.Dataset.from_dict({"image": [photo], "caption": ["a dog"]}).save_to_disk(tmp_path / "set")
    data = {"format": "datasets", "captions": str(tmp_path / "set"), "images": None}
    with pytest.raises(CaptionDataError, match=r"names no split, and 'train' is asked for\. Leave the split out"):
        read_splits(recipe_from_dict(tiny_recipe(data=data)).data, UnreadableImages())


@pytest.fixture
def damaged(photo_set: Path, tmp_path: Path) -> dict[str, Any]:
    """The data section for a copy of the photo set in which photos 3 and 13 are no images."""
    images = tmp_path / "images"
    images.mkdir()
    for path in (photo_set / "images").iterdir():
        (images / path.name).write_bytes(path.read_bytes())
    for number in (3, 13):
        (images / f"{number}.png").write_text("not a picture")
    return {"captions": str(photo_set / "captions.json"), "images": str(images)}


@pytest.mark.parametrize("precompute", [True, False])
def test_training_stops_at_the_first_unreadable_photo_and_names_it(
    tiny_recipe: RecipeMaker, damaged: dict[str, Any], tmp_path: Path, precompute: bool
) -> None:
    damaged = {**damaged, "precompute_features": precompute}
    with pytest.raises(UnreadableImageError, match=r"3\.png"):
        train(recipe_from_dict(tiny_recipe(data=damaged)), tmp_path / "run")
    with pytest.raises(TooManyUnreadableImagesError, match=r"3\.png.*13\.png"):
        train(recipe_from_dict(tiny_recipe(data={**damaged, "unreadable_limit": 1})), tmp_path / "other")


@pytest.mark.parametrize("precompute", [True, False])
def test_unreadable_photos_within_the_limit_are_named_left_out_and_not_replaced(
    tiny_recipe: RecipeMaker,
    damaged: dict[str, Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    precompute: bool,
) -> None:
    data = {**damaged, "unreadable_limit": 2, "precompute_features": precompute}
    content = tiny_recipe(data=data, training={"steps": 12}, evaluation={"every": 12})
    with caplog.at_level(logging.WARNING, logger="linmap"):
        folder = train(recipe_from_dict(content), tmp_path / "run")
    log = json.loads((folder / "training_log.json").read_text())
    assert (log["photos"], log["captions"], log["validation_photos"]) == (11, 33, 3)
    named = [record.getMessage() for record in caplog.records if "Left out" in record.getMessage()]
    assert len(named) == 2
    assert "3.png" in named[0]


def test_a_plan_names_what_is_frozen_what_is_trained_and_what_is_read(recipe: Recipe) -> None:
    plan = describe(recipe)
    model, _ = assemble_model(recipe)
    assert f"trained  projector: {sum(p.numel() for p in model.projector.parameters()):,} parameters" in plan
    assert "timm:test_vit" in plan
    assert "random weights" in plan
    assert "photos   12 of 'train', 4 of 'val' for validation" in plan
    assert "captions 36" in plan
    assert "steps    12 of 4 captions = 1.3 epochs" in plan
    assert "GiB" in plan


@pytest.mark.weights
@pytest.mark.shared
def test_the_shipped_recipe_trains_on_the_embedded_weights(shared: Path, tmp_path: Path) -> None:
    flickr8k = shared / "data" / "flickr8k"
    recipe = load_recipe(
        "efficientnet-lite0-smollm2-135m",
        [
            f"data.captions={flickr8k / 'captions.json'}",
            f"data.images={flickr8k / 'images'}",
            "data.train_photos=8",
            "training.steps=2",
            "training.batch_size=4",
            "evaluation={every: 2, photos: 2, batch_size: 2, samples: 1, max_new_tokens: 3}",
        ],
    )
    folder = train(recipe, tmp_path / "run")
    assert LinearVisionPrefixModel.from_pretrained(folder).config.num_image_tokens == 9
