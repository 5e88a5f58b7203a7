"""Runs of dual encoders on coloured noise: what they leave, what learns, what is kept."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file

from linmap import DualEncoderModel, DualEncoderProcessor
from linmap.data import read_captions
from linmap.dual.embedding import embed_photos, embed_texts, photo_features
from linmap.errors import TooManyUnreadableImagesError, UnreadableImageError
from linmap.evaluation import retrieval_recall
from linmap.recipes import DualRecipe, train
from linmap.recipes.contrastive_trainer import ContrastiveTrainer
from linmap.recipes.dual.arguments import pace_of, training_arguments
from linmap.recipes.dual.assembly import assemble_model
from linmap.recipes.methods import describe
from linmap.recipes.recipe import load_recipe, recipe_from_dict
from linmap.weights.samples import samples_of

RecipeMaker = Callable[..., dict[str, Any]]
TOWERS = [[], ["text"], ["image"], ["image", "text"]]


def made(content: dict[str, Any]) -> DualRecipe:
    recipe = recipe_from_dict(content)
    assert isinstance(recipe, DualRecipe)
    return recipe


def log_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "training_log.json").read_text())


@pytest.fixture(scope="module")
def recipe(dual_recipe: RecipeMaker) -> DualRecipe:
    return made(dual_recipe())


@pytest.fixture(scope="module")
def run(recipe: DualRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two linear maps."""
    return train(recipe, tmp_path_factory.mktemp("runs") / "run")


def test_a_run_leaves_a_model_its_recipe_its_numbers_and_its_pictures(run: Path, recipe: DualRecipe) -> None:
    files = {path.name for path in run.iterdir() if path.is_file()}
    assert {"model.safetensors", "config.json", "processor_config.json", "tokenizer.json", "README.md"} <= files
    assert {"recipe.yaml", "training_log.json", "loss.png", "recall.png"} <= files
    assert load_recipe(run / "recipe.yaml") == recipe
    for name in ("loss.png", "recall.png"):
        with Image.open(run / name) as plot:
            assert plot.format == "PNG"


def test_the_model_and_the_processor_in_the_folder_score_what_the_log_says(run: Path, photo_set: Path) -> None:
    model, processor = DualEncoderModel.from_pretrained(run), DualEncoderProcessor.from_pretrained(run)
    photos = read_captions(photo_set / "captions.json", photo_set / "images", "val")
    images = embed_photos(model, processor, [photo.image for photo in photos]).features
    texts = embed_texts(model, processor, [caption for photo in photos for caption in photo.captions])
    owners = [index for index, photo in enumerate(photos) for _ in photo.captions]
    scores, log = retrieval_recall(images, texts, owners), log_of(run)
    assert scores.text_to_image == log["text_to_image"]
    assert scores.image_to_text == log["image_to_text"]
    assert log["chance_text_to_image"]["R@1"] == 25.0


def test_the_weights_kept_are_those_of_the_best_evaluation(run: Path) -> None:
    log = log_of(run)
    recalls = {entry["step"]: entry["eval_recall"] for entry in log["history"] if "eval_recall" in entry}
    assert sorted(recalls) == [5, 10, 15]
    assert recalls[log["best_step"]] == log["best_recall"] == max(recalls.values())
    kept, best = (load_file(folder / "model.safetensors") for folder in (run, run / f"checkpoint-{log['best_step']}"))
    assert kept.keys() == best.keys() == {"image_projection.weight", "text_projection.weight", "logit_scale"}
    assert all(torch.equal(kept[name], best[name]) for name in best)


def test_a_recipe_can_choose_by_the_loss(dual_recipe: RecipeMaker, tmp_path: Path) -> None:
    log = log_of(train(made(dual_recipe(evaluation={"metric": "loss"})), tmp_path / "run"))
    losses = {entry["step"]: entry["eval_loss"] for entry in log["history"] if "eval_loss" in entry}
    assert losses[log["best_step"]] == log["best_loss"] == min(losses.values())


def test_the_last_epoch_is_looked_at_even_between_evaluations(dual_recipe: RecipeMaker, tmp_path: Path) -> None:
    log = log_of(train(made(dual_recipe(evaluation={"every": 2})), tmp_path / "run"))
    assert [entry["step"] for entry in log["history"] if "eval_recall" in entry] == [10, 15]


def test_the_card_says_what_was_trained_and_what_chance_scores(run: Path) -> None:
    card = (run / "README.md").read_text()
    assert "pipeline_tag: zero-shot-image-classification" in card
    assert "Coloured noise, captioned." in card
    assert re.search(r"\| text to image R@1, % \| [^|]+/captions\.json \| val \| 4 \| 12 \|", card)
    assert "command: linmap train recipe.yaml" in card
    assert "| this model | chance |" in card


@pytest.mark.parametrize("towers", TOWERS, ids=lambda towers: "+".join(towers) or "heads alone")
def test_heads_temperature_and_the_named_towers_learn_and_nothing_else(
    dual_recipe: RecipeMaker, tmp_path: Path, towers: list[str]
) -> None:
    recipe = made(dual_recipe(model={"trained_towers": towers}, training={"epochs": 1}))
    before, _ = assemble_model(recipe)
    after = DualEncoderModel.from_pretrained(train(recipe, tmp_path / "run"))
    for tower in ("image", "text"):
        was, is_ = (samples_of(getattr(model, f"{tower}_encoder")) for model in (before, after))
        same = [torch.equal(one, two) for one, two in zip(was, is_, strict=True)]
        assert not all(same) if tower in towers else all(same)
    for name in ("image_projection.weight", "text_projection.weight", "logit_scale"):
        assert not torch.equal(before.state_dict()[name], after.state_dict()[name])
    assert after.config.trained_towers == towers


@pytest.mark.parametrize("towers", TOWERS, ids=lambda towers: "+".join(towers) or "heads alone")
def test_two_runs_of_a_recipe_end_with_equal_weights(
    dual_recipe: RecipeMaker, tmp_path: Path, towers: list[str]
) -> None:
    recipe = made(dual_recipe(model={"trained_towers": towers}, training={"epochs": 1}))
    one, two = (load_file(train(recipe, tmp_path / name) / "model.safetensors") for name in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_features_encoded_beforehand_and_photos_read_each_time_train_alike(
    dual_recipe: RecipeMaker, tmp_path: Path
) -> None:
    weights = []
    for precompute in (True, False):
        data = {"precompute_features": precompute, "feature_dtype": "float32"}
        recipe = made(dual_recipe(data=data, model={"image_dropout": 0.0}, training={"epochs": 1}))
        weights.append(load_file(train(recipe, tmp_path / str(precompute)) / "model.safetensors"))
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-3, atol=1e-4)


def test_views_are_the_photo_and_its_mirror_image(run: Path, recipe: DualRecipe, photo_set: Path) -> None:
    model, processor = assemble_model(recipe)
    photos = [Image.open(photo_set / "images" / f"{number}.png") for number in range(12)]
    for view, seen in enumerate((photos, [ImageOps.mirror(photo) for photo in photos])):
        expected = photo_features(model, processor, seen).features
        kept = load_file(run / "cache" / "train-photos.safetensors")["features"][:, view].float()
        torch.testing.assert_close(kept, expected, rtol=2e-3, atol=2e-3)  # kept in half precision


def test_a_model_that_takes_the_mean_of_both_views_is_chosen_by_it(dual_recipe: RecipeMaker, tmp_path: Path) -> None:
    folder = train(made(dual_recipe(model={"mirror": True}, training={"epochs": 1})), tmp_path / "run")
    assert DualEncoderModel.from_pretrained(folder).config.mirror
    train_views, chosen_by = (
        load_file(folder / "cache" / f"{split}-photos.safetensors")["features"] for split in ("train", "validation")
    )
    assert (train_views.shape, chosen_by.shape) == ((12, 2, 64), (4, 1, 64))
    plain = train(made(dual_recipe(training={"epochs": 1})), tmp_path / "plain") / "cache"
    assert torch.equal(load_file(plain / "train-photos.safetensors")["features"], train_views)
    assert not torch.equal(load_file(plain / "validation-photos.safetensors")["features"], chosen_by)


def test_gradient_caching_learns_the_same(dual_recipe: RecipeMaker, tmp_path: Path) -> None:
    weights = []
    for size in (None, 3):
        model = {"trained_towers": ["image"], "mini_batch_size": size, "image_dropout": 0.0}
        recipe = made(dual_recipe(model=model, training={"epochs": 1, "epsilon": 1e-4}))
        weights.append(load_file(train(recipe, tmp_path / str(size)) / "model.safetensors"))
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-3, atol=1e-4)


def test_a_sigmoid_loss_trains_its_bias(dual_recipe: RecipeMaker, tmp_path: Path) -> None:
    folder = train(made(dual_recipe(model={"loss": "sigmoid"}, training={"epochs": 1})), tmp_path / "run")
    assert load_file(folder / "model.safetensors")["logit_bias"] != -10.0


def test_training_learns_the_pairs_by_heart(dual_recipe: RecipeMaker, photo_set: Path, tmp_path: Path) -> None:
    rows = json.loads((photo_set / "captions.json").read_text())
    for row in rows:  # captions that tell the photos apart
        row["captions"] = [f"{word} {row['file']}" for word in ("photo", "noise")]
    captions = tmp_path / "captions.json"
    captions.write_text(json.dumps(rows))
    recipe = made(
        dual_recipe(
            model={"image_dropout": 0.0, "trained_towers": ["text"]},
            data={"captions": str(captions), "mirror": False},
            training={"epochs": 60, "batch_size": 12},
            evaluation={"every": 60},
        )
    )
    log = log_of(train(recipe, tmp_path / "run"))
    losses = [entry["loss"] for entry in log["history"] if "loss" in entry]
    assert losses[-1] < losses[0] / 2


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
def test_unreadable_photos_stop_the_run_or_are_left_out_and_named(
    dual_recipe: RecipeMaker,
    damaged: dict[str, Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    precompute: bool,
) -> None:
    damaged = {**damaged, "precompute_features": precompute}
    with pytest.raises(UnreadableImageError, match=r"3\.png"):
        train(made(dual_recipe(data=damaged)), tmp_path / "one")
    with pytest.raises(TooManyUnreadableImagesError, match=r"3\.png.*13\.png"):
        train(made(dual_recipe(data={**damaged, "unreadable_limit": 1})), tmp_path / "two")
    recipe = made(dual_recipe(data={**damaged, "unreadable_limit": 2}, training={"epochs": 1}))
    with caplog.at_level(logging.WARNING, logger="linmap"):
        log = log_of(train(recipe, tmp_path / "three"))
    assert (log["photos"], log["captions"], log["validation_photos"]) == (11, 33, 3)
    assert "3.png" in caplog.text


def test_a_plan_names_what_is_frozen_what_is_trained_and_what_is_read(dual_recipe: RecipeMaker) -> None:
    plan = describe(made(dual_recipe(model={"trained_towers": ["text"]})))
    assert "frozen   image tower timm:test_vit: " in plan
    assert "each photo goes through it once" in plan
    assert "trained  text tower hf:" in plan
    assert "trained  image head: 512 parameters, 0.0 MiB, 64 -> 8" in plan
    assert "photos   12 of 'train', each also mirrored, 4 of 'val' for validation" in plan
    assert "captions 36, each shown once an epoch" in plan
    assert "steps    15 of 8 pairs = 3 epochs of 5" in plan
    assert "the activations of what learns (text) come on top" in plan


@pytest.mark.weights
@pytest.mark.shared
@pytest.mark.parametrize("name", ["linear-dual", "lit", "clip"])
def test_a_packaged_recipe_trains_on_the_embedded_weights(shared: Path, tmp_path: Path, name: str) -> None:
    flickr8k = shared / "data" / "flickr8k"
    recipe = load_recipe(
        name,
        [
            f"data.captions={flickr8k / 'captions.json'}",
            f"data.images={flickr8k / 'images'}",
            "data.train_photos=4",
            "training.epochs=1",
            "training.batch_size=4",
            "evaluation={photos: 2, batch_size: 2}",
        ],
    )
    model = DualEncoderModel.from_pretrained(train(recipe, tmp_path / "run"))
    assert model.config.projection_dim == 512


def test_the_temperature_does_not_decay(dual_recipe: RecipeMaker, tmp_path: Path) -> None:
    recipe = made(dual_recipe(model={"trained_towers": ["text"], "loss": "sigmoid"}, training={"weight_decay": 0.2}))
    model, processor = assemble_model(recipe)
    trainer = ContrastiveTrainer(
        model=model,
        args=training_arguments(recipe, tmp_path, pace_of(recipe, 36)),
        processor=processor,
        validation_numbers=dict,
        eval_dataset=[],
    )
    decayed, kept = ({id(weight) for weight in group["params"]} for group in trainer.create_optimizer().param_groups)
    names = {id(weight): name for name, weight in model.named_parameters()}
    assert {"logit_scale", "logit_bias"} <= {names[weight] for weight in kept}
    assert {"image_projection.weight", "text_projection.weight"} <= {names[weight] for weight in decayed}
    assert all(model.get_parameter(names[weight]).ndim == 2 for weight in decayed)
