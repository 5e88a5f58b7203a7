"""Runs of CLIPPO on coloured noise: what they leave, what learns, and that neither cuts nor processes change them."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from linmap import ClippoModel, ClippoProcessor
from linmap.data import read_captions
from linmap.errors import CaptionDataError, LinmapError, RecipeError, UnknownNameError
from linmap.evaluation import retrieval_recall
from linmap.recipes import train
from linmap.recipes.clippo.arguments import training_arguments
from linmap.recipes.clippo.assembly import assemble_model
from linmap.recipes.clippo.photos import made_small
from linmap.recipes.clippo.schema import ClippoRecipe
from linmap.recipes.clippo.trainer import ClippoTrainer
from linmap.recipes.methods import describe
from linmap.recipes.recipe import load_recipe, recipe_from_dict, recipe_to_yaml
from linmap.recipes.schedules import inverse_sqrt_factor
from tests.recipes.killed_runs import assert_bit_equal, train_and_kill, weights_of
from tests.recipes.test_processes import in_two_processes

RecipeMaker = Callable[..., dict[str, Any]]
TOKENS = {"text_input": "tokens", "tokenizer": "open_clip:ViT-B-32", "max_text_tokens": 8}
CAPTIONS = [{"kind": "captions", "share": 0.5}]


def made(content: dict[str, Any]) -> ClippoRecipe:
    recipe = recipe_from_dict(content)
    assert isinstance(recipe, ClippoRecipe)
    return recipe


def log_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "training_log.json").read_text())


@pytest.fixture(scope="module")
def recipe(clippo_recipe: RecipeMaker) -> ClippoRecipe:
    return made(clippo_recipe(data={"text_pairs": CAPTIONS}))


@pytest.fixture(scope="module")
def run(recipe: ClippoRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, half of its batches captions with captions."""
    return train(recipe, tmp_path_factory.mktemp("runs") / "run")


def test_a_run_leaves_a_model_its_recipe_its_numbers_its_pictures_and_samples(run: Path, recipe: ClippoRecipe) -> None:
    files = {path.name for path in run.iterdir() if path.is_file()}
    assert {"model.safetensors", "config.json", "processor_config.json", "README.md", "samples.md"} <= files
    assert {"recipe.yaml", "training_log.json", "loss.png", "recall.png"} <= files
    assert load_recipe(run / "recipe.yaml") == recipe
    with Image.open(run / "recall.png") as plot:
        assert plot.format == "PNG"
    card = (run / "README.md").read_text()
    assert "arxiv:2212.08045" in card
    assert "text-text pairs in each batch: 4 captions" in card
    log = log_of(run)
    assert log["text_pairs"] == {"captions": 4}
    assert (log["photos"], log["captions"], log["validation_photos"], log["steps"]) == (12, 36, 4, 12)
    assert log["chance_text_to_image"]["R@1"] == 25.0


def test_the_folder_scores_what_the_log_says_and_holds_the_best_weights(run: Path, photo_set: Path) -> None:
    model, processor = ClippoModel.from_pretrained(run).eval(), ClippoProcessor.from_pretrained(run)
    photos = read_captions(photo_set / "captions.json", photo_set / "images", "val")
    pixels = processor(images=[str(photo.image) for photo in photos], return_tensors="pt")["pixel_values"]
    captions = [caption for photo in photos for caption in photo.captions]
    with torch.no_grad():
        images, texts = model.get_image_features(pixels), model.get_text_features(captions)
    scores = retrieval_recall(images, texts, [index for index, photo in enumerate(photos) for _ in photo.captions])
    log = log_of(run)
    assert scores.text_to_image == log["text_to_image"]
    assert scores.image_to_text == log["image_to_text"]
    recalls = {entry["step"]: entry["eval_recall"] for entry in log["history"] if "eval_recall" in entry}
    assert sorted(recalls) == [4, 8, 12]
    assert recalls[log["best_step"]] == log["best_recall"] == max(recalls.values())


@pytest.mark.parametrize(
    "model",
    [{}, TOKENS, {**TOKENS, "text_tower": "own"}, {"text_patch_embedding": "own", "text_head": "own"}],
    ids=["CLIPPO", "1T-CLIP", "CLIP*", "own parts"],
)
def test_every_weight_of_every_variant_learns_with_photos_and_text_pairs(
    clippo_recipe: RecipeMaker, tmp_path: Path, model: dict[str, Any]
) -> None:
    from tests.recipes.clippo.conftest import TINY

    said = made(clippo_recipe(model={**TINY, **model}, data={"text_pairs": CAPTIONS}, evaluation={"samples": 0}))
    before = {name: value.clone() for name, value in assemble_model(said)[0].state_dict().items()}
    after = weights_of(train(said, tmp_path / "run"))
    still = {name for name, value in before.items() if torch.equal(value, after[name])}
    assert not still or still <= {"text_embedding.tokens.weight"}
    assert ClippoProcessor.from_pretrained(tmp_path / "run")(text=["a dog"], return_tensors="pt")


def test_a_killed_run_that_is_resumed_ends_with_bit_equal_weights(
    clippo_recipe_file: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pairs = [*CAPTIONS, {"kind": "word_dropout", "share": 0.25}]
    training = {"steps": 40, "optimizer": "adafactor", "cooldown_steps": 8, "warmup_steps": 2, "batch_size": 8}
    file = clippo_recipe_file(data={"text_pairs": pairs, "mirror": True, "crop": 0.7}, training=training)
    recipe = load_recipe(file)
    whole = train(recipe, tmp_path / "whole")
    cut = tmp_path / "cut"
    train_and_kill(file, cut, at=lambda: len(list(cut.glob("checkpoint-*"))) > 1)
    with caplog.at_level(logging.WARNING, logger="linmap"):
        train(recipe, cut, resume=True)
    assert re.search(r"Resuming from|no complete checkpoint", caplog.text)
    assert_bit_equal(weights_of(cut), weights_of(whole))


def test_a_run_on_shards_that_is_cut_off_ends_with_bit_equal_weights(
    clippo_recipe: RecipeMaker, streamed_photos: dict[str, Any], tales: Path, tmp_path: Path
) -> None:
    import shutil

    pairs = [{"kind": "sentences", "share": 0.5, "source": str(tales)}]
    for workers in (0, 2):
        data = {**streamed_photos, "text_pairs": pairs, "mirror": True, "crop": 0.7, "workers": workers}
        recipe = made(clippo_recipe(data=data, training={"steps": 11, "keep_checkpoints": 9}))
        whole = train(recipe, tmp_path / f"whole-{workers}")
        cut = tmp_path / f"cut-{workers}"
        shutil.copytree(whole, cut, ignore=shutil.ignore_patterns("checkpoint-8", "checkpoint-11", "training_log.json"))
        train(recipe, cut, resume=True)
        assert_bit_equal(weights_of(cut), weights_of(whole))
        assert log_of(whole)["history"][-1]["epoch"] == pytest.approx(11 * 4 / 36)


def test_two_processes_train_as_one_does_with_text_pairs_among_the_photos(
    clippo_recipe_file: Callable[..., Path], tales: Path, tmp_path: Path
) -> None:
    pairs = [{"kind": "captions", "share": 0.25}, {"kind": "sentences", "share": 0.25, "source": str(tales)}]
    # a bias of keys has no gradient but rounding, which AdamW would blow up to a step without its epsilon
    file = clippo_recipe_file(data={"text_pairs": pairs}, training={"learning_rate": 1e-3, "steps": 8, "epsilon": 1e-3})
    one = train(load_recipe(file), tmp_path / "one")
    (tmp_path / "commands.json").write_text(json.dumps([["train", str(file), "--output", str(tmp_path / "two")]]))
    done = in_two_processes("tests.recipes.commands_in_turn", tmp_path / "commands.json")
    assert done.returncode == 0, done.stderr[-3000:]
    alone, together = (load_file(folder / "model.safetensors") for folder in (one, tmp_path / "two"))
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    assert (log_of(one)["processes"], log_of(tmp_path / "two")["processes"]) == (1, 2)
    losses = [
        [entry["eval_loss"] for entry in log_of(run)["history"] if "eval_loss" in entry]
        for run in (one, tmp_path / "two")
    ]
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)


@pytest.mark.parametrize("model", [TOKENS, {"text_head": "own"}], ids=["1T-CLIP", "own head"])
def test_a_process_without_a_photo_is_refused_where_weights_see_photos_alone(
    clippo_recipe: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: dict[str, Any]
) -> None:
    from tests.recipes.clippo.conftest import TINY

    monkeypatch.setenv("WORLD_SIZE", "2")
    few = {"data": {"text_pairs": [{"kind": "captions", "share": 0.875}]}, "training": {"batch_size": 8}}
    with pytest.raises(RecipeError, match=r"2 processes were started, and of the 1 photos in a batch one of them gets"):
        training_arguments(made(clippo_recipe(model={**TINY, **model}, **few)), tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "1")
    training_arguments(made(clippo_recipe(model={**TINY, **model}, **few)), tmp_path)


def test_photos_made_small_beforehand_are_what_the_tower_would_see(
    clippo_recipe: RecipeMaker, photo_set: Path, tmp_path: Path
) -> None:
    runs = []
    for kept in (False, True):
        sections = {"data": {"precompute_features": kept}, "training": {"steps": 3}, "evaluation": {"samples": 0}}
        runs.append(train(made(clippo_recipe(**sections)), tmp_path / str(kept)))
    assert_bit_equal(*map(weights_of, runs))
    photos = read_captions(photo_set / "captions.json", photo_set / "images", "val")
    assert {photo.image.size for photo in made_small(photos, 32)} == {(32, 32)}


def test_a_run_of_texts_alone_reads_no_training_photo(
    clippo_recipe: RecipeMaker, photo_set: Path, tales: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "images"
    shutil.copytree(photo_set / "images", damaged)
    for photo in read_captions(photo_set / "captions.json", damaged, "train"):
        Path(str(photo.image)).write_text("no photo")
    data = {"text_pairs": [{"kind": "sentences", "share": 1.0, "source": str(tales)}], "images": str(damaged)}
    run = train(made(clippo_recipe(data={**data, "precompute_features": True})), tmp_path / "run")
    assert log_of(run)["text_pairs"] == {"sentences": 8}
    assert log_of(run)["epochs"] == 0


def test_a_run_goes_on_from_a_model_with_all_its_weights(clippo_recipe: RecipeMaker, run: Path) -> None:
    model, _ = assemble_model(made(clippo_recipe(model={"initial_weights": str(run)})))
    before = weights_of(run)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    larger, processor = assemble_model(made(clippo_recipe(model={"initial_weights": str(run), "image_size": 48})))
    assert larger.tower.pos_embed is not None
    assert larger.tower.pos_embed.shape == (1, 9, 16)
    assert processor.image_size == 48
    with pytest.raises(RecipeError, match=r"model\.projection_dim is 4, and the model in .* has 8\. Set"):
        assemble_model(made(clippo_recipe(model={"initial_weights": str(run), "projection_dim": 4})))


def test_only_kernels_decay(clippo_recipe: RecipeMaker, tmp_path: Path) -> None:
    from tests.recipes.clippo.conftest import TINY

    recipe = made(clippo_recipe(model={**TINY, **TOKENS}))
    model, _ = assemble_model(recipe)
    trainer = ClippoTrainer(
        said=recipe.training,
        model=model,
        args=training_arguments(recipe, tmp_path),
        validation_numbers=dict,
        eval_dataset=[],
    )
    decaying = set(trainer.get_decay_parameter_names(model))
    assert {"projection.weight", "tower.patch_embed.proj.weight", "tower.blocks.0.attn.qkv.weight"} <= decaying
    resting = {name for name, _ in model.named_parameters()} - decaying
    assert {"logit_scale", "tower.pos_embed", "tower.attn_pool.latent", "text_embedding.tokens.weight"} <= resting
    assert all(".bias" not in name and "norm" not in name for name in decaying)


def test_the_inverse_square_root_schedule_is_big_visions() -> None:
    said = {"steps": 250_000, "warmup": 10_000, "timescale": 10_000, "cooldown": 10_000}
    factors = [inverse_sqrt_factor(step, **said) for step in (0, 5_000, 10_000, 20_000, 40_000, 245_000, 250_000)]
    assert factors == pytest.approx([0, 0.5, 1, 2**-0.5, 0.5, 0.5 / (1 + 23.5) ** 0.5, 0])


def test_the_schedule_and_the_batch_of_a_run_are_those_of_its_recipe(
    clippo_recipe: RecipeMaker, tmp_path: Path
) -> None:
    training = {
        "steps": 20,
        "warmup_steps": 4,
        "timescale": 5,
        "cooldown_steps": 5,
        "batch_size": 8,
        "dtype": "bfloat16",
    }
    run = train(made(clippo_recipe(training=training, evaluation={"every": 20, "samples": 0})), tmp_path / "run")
    rates = {entry["step"]: entry["learning_rate"] for entry in log_of(run)["history"] if "learning_rate" in entry}
    expected = {
        step: 1e-2 * inverse_sqrt_factor(step - 1, steps=20, warmup=4, timescale=5, cooldown=5) for step in rates
    }
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize(
    ("sections", "error", "words"),
    [
        ({"model": {"text_input": "tokens"}}, RecipeError, r"text_input 'tokens' and model.tokenizer go together"),
        ({"model": {"text_input": "words"}}, UnknownNameError, r"Unknown model.text_input 'words'. Known: pixels"),
        ({"data": {"text_pairs": [{"kind": "songs", "share": 0.5}]}}, UnknownNameError, r"kind 'songs'"),
        ({"data": {"text_pairs": [{"kind": "captions", "share": 1.5}]}}, RecipeError, r"it must be at most 1.0"),
        ({"data": {"crop": 0.0}}, RecipeError, r"data.crop is 0.0; it must be greater than 0"),
        ({"data": {"crop": 1.2}}, RecipeError, r"data.crop is 1.2; it must be at most 1.0"),
        ({"data": {"text_pairs": CAPTIONS * 3}}, RecipeError, r"sum of the shares of data.text_pairs is 1.5"),
        ({"data": {"text_pairs": [{"kind": "captions", "share": 0.01}]}}, RecipeError, r"of 8 pairs, which is not one"),
        ({"data": {"text_pairs": [{"kind": "sentences", "share": 0.5}]}}, RecipeError, r"need a source: name the file"),
        ({"data": {"format": "webdataset", "train_split": None, "validation_split": None, "validation_captions": "v",
                   "text_pairs": CAPTIONS}}, RecipeError, r"without a source are made of captions"),
        ({"training": {"cooldown_steps": 3, "schedule": "cosine"}}, RecipeError, r"only 'inverse_sqrt' has a cooldown"),
        ({"training": {"warmup_steps": 10, "cooldown_steps": 3}}, RecipeError, r"are more than training.steps, 12"),
        ({"training": {"optimizer": "lion"}}, UnknownNameError, r"training.optimizer 'lion'"),
        ({"training": {"schedule": "rsqrt"}}, UnknownNameError, r"Known: constant, cosine, inverse_sqrt, linear"),
    ],
)  # fmt: skip
def test_what_a_recipe_cannot_mean_is_an_error(
    clippo_recipe: RecipeMaker, sections: dict[str, Any], error: type[LinmapError], words: str
) -> None:
    with pytest.raises(error, match=words):
        recipe_from_dict(clippo_recipe(**sections))


def test_a_source_that_is_not_there_is_one_line(clippo_recipe: RecipeMaker, tmp_path: Path) -> None:
    for kind in ("sentences", "translations", "word_dropout"):
        pairs = [{"kind": kind, "share": 0.5, "source": str(tmp_path / "nowhere.txt")}]
        with pytest.raises(LinmapError, match=r"There is no file"):
            train(made(clippo_recipe(data={"text_pairs": pairs})), tmp_path / kind)


def test_a_recipe_written_out_is_read_back_as_it_is(recipe: ClippoRecipe) -> None:
    assert recipe_from_dict(__import__("yaml").safe_load(recipe_to_yaml(recipe))) == recipe


def test_a_plan_says_what_is_in_a_batch_and_what_is_missing(clippo_recipe: RecipeMaker, recipe: ClippoRecipe) -> None:
    plan = describe(recipe)
    assert (
        "batch    4 photos with a caption, each as it is or mirrored\n         4 captions of the training photos"
        in plan
    )
    assert "captions 36, each shown 1.3 times" in plan
    crop = describe(made(clippo_recipe(data={"crop": 0.8})))
    assert "8 photos with a caption, each as it is or mirrored, cropped to 80 % of its sides or more" in crop
    assert "trained  tower: " in plan
    pairs = [{"kind": "sentences", "share": 0.5, "source": "nowhere.txt"}]
    assert "missing  data.text_pairs[0].source nowhere.txt is not here" in describe(
        made(clippo_recipe(data={"text_pairs": pairs}))
    )


def test_photos_with_one_caption_each_are_told_to_have_no_pairs(
    clippo_recipe: RecipeMaker, photo_set: Path, tmp_path: Path
) -> None:
    rows = json.loads((photo_set / "captions.json").read_text())
    single = tmp_path / "captions.json"
    single.write_text(json.dumps([{**row, "captions": row["captions"][:1]} for row in rows]))
    with pytest.raises(CaptionDataError, match=r"None of the 12 photos has two captions that differ"):
        train(made(clippo_recipe(data={"captions": str(single), "text_pairs": CAPTIONS})), tmp_path / "run")
