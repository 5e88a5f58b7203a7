"""Runs of DeCap on a few captions: what they leave, what learns, what is read, what is kept."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from linmap import DeCapModel, DeCapProcessor
from linmap.data import read_captions
from linmap.decap.captioning import caption_photos
from linmap.errors import CaptionDataError, SupportMemoryError, UnreadableImageError
from linmap.evaluation import cider_d
from linmap.recipes import DeCapRecipe, train
from linmap.recipes.decap.assembly import assemble_parts
from linmap.recipes.methods import describe
from linmap.recipes.recipe import load_recipe, recipe_from_dict
from linmap.weights.samples import is_the_same, samples_of
from tests.recipes.killed_runs import assert_bit_equal, weights_of

RecipeMaker = Callable[..., dict[str, Any]]
STRATEGIES = ["projection", "nearest", "visual", "retrieval"]


def made(content: dict[str, Any]) -> DeCapRecipe:
    recipe = recipe_from_dict(content)
    assert isinstance(recipe, DeCapRecipe)
    return recipe


def log_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "training_log.json").read_text())


@pytest.fixture(scope="module")
def recipe(decap_recipe: RecipeMaker) -> DeCapRecipe:
    return made(decap_recipe())


@pytest.fixture(scope="module")
def run(recipe: DeCapRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a decoder from scratch, its weights chosen by the loss, photos scored."""
    return train(recipe, tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def language_model(tiny_lm_dir: Callable[..., Path]) -> dict[str, Any]:
    """What a recipe says of a tiny pretrained decoder and nothing else of a decoder."""
    scratch = dict.fromkeys(("layers", "heads", "width", "positions", "vocabulary"))
    return {**scratch, "lowercase": False, "language_model": str(tiny_lm_dir("llama")), "prefix_length": 3}


def test_a_run_leaves_a_model_its_memory_its_recipe_its_numbers_and_its_pictures(
    run: Path, recipe: DeCapRecipe
) -> None:
    files = {path.name for path in run.iterdir() if path.is_file()}
    assert {"model.safetensors", "config.json", "generation_config.json", "tokenizer.json", "README.md"} <= files
    assert {"processor_config.json", "recipe.yaml", "training_log.json", "loss.png", "cider_d.png"} <= files
    assert (run / "memory" / "memory.json").is_file()
    assert not list(run.glob("checkpoint-*/memory"))  # once is enough
    assert load_recipe(run / "recipe.yaml") == recipe
    for name in ("loss.png", "cider_d.png"):
        with Image.open(run / name) as plot:
            assert plot.format == "PNG"


def test_the_model_in_the_folder_captions_photos_as_the_log_says(run: Path, photo_set: Path) -> None:
    model, processor = DeCapModel.from_pretrained(run), DeCapProcessor.from_pretrained(run)
    photos = read_captions(photo_set / "captions.json", photo_set / "images", "val")
    references = [list(photo.captions) for photo in photos]
    scores = log_of(run)["strategies"]
    assert list(scores) == STRATEGIES
    for strategy in STRATEGIES:
        answers = caption_photos(model, processor, [photo.image for photo in photos], strategy=strategy)
        captions = [answer.caption or "" for answer in answers]
        assert cider_d(captions, references, tokenizer="simple").value == pytest.approx(scores[strategy]["cider_d"])
    assert model.generation_config.max_new_tokens == 6
    assert (model.config.strategy, model.config.tau) == ("projection", 0.1)


def test_the_memory_holds_each_training_sentence_once(run: Path, photo_set: Path) -> None:
    photos = read_captions(photo_set / "captions.json", photo_set / "images", "train")
    learned = list(dict.fromkeys(caption for photo in photos for caption in photo.captions))
    memory = DeCapModel.from_pretrained(run).memory
    assert memory is not None
    assert list(memory.captions) == learned
    assert memory.dtype == "int8"
    assert log_of(run)["memory_captions"] == len(learned) == 5


def test_the_card_shows_every_strategy_beside_its_blind_control(run: Path) -> None:
    card = (run / "README.md").read_text()
    assert "Captions of coloured noise." in card
    assert "| this model | blind control |" in card
    for decoding in ("projection, tau 0.1, greedy", "nearest, greedy", "visual, greedy", "retrieval, no decoder"):
        assert re.search(rf"\| CIDEr-D \| [^|]+/captions\.json \| val \| 4 \| simple \| {decoding} \|", card)
    assert "photos: none" in card


def test_the_weights_kept_are_those_of_the_best_evaluation(run: Path) -> None:
    log = log_of(run)
    losses = {entry["step"]: entry["eval_loss"] for entry in log["history"] if "eval_loss" in entry}
    assert sorted(losses) == [5, 10, 15]
    assert losses[log["best_step"]] == log["best_loss"] == min(losses.values())
    assert_bit_equal(weights_of(run), weights_of(run / f"checkpoint-{log['best_step']}"))


def test_a_recipe_can_choose_by_the_captions_of_photos(decap_recipe: RecipeMaker, tmp_path: Path) -> None:
    log = log_of(train(made(decap_recipe(evaluation={"metric": "cider_d"})), tmp_path / "run"))
    scores = {entry["step"]: entry["eval_cider_d"] for entry in log["history"] if "eval_cider_d" in entry}
    assert sorted(scores) == [5, 10, 15]
    assert scores[log["best_step"]] == log["best_cider_d"] == max(scores.values())


def test_without_photos_none_is_read_and_the_same_is_learned(
    decap_recipe: RecipeMaker, photo_set: Path, run: Path, tmp_path: Path
) -> None:
    shutil.copy(photo_set / "captions.json", tmp_path)  # and no folder of photos beside it
    sources = [{"source": str(tmp_path / "captions.json"), "split": split} for split in ("train", "val")]
    data = {"texts": sources[:1], "validation_texts": sources[1:]}
    folder = train(made(decap_recipe(data=data, evaluation={"photos": None})), tmp_path / "run")
    assert_bit_equal(weights_of(folder), weights_of(run))
    assert (log_of(folder)["photos"], log_of(folder)["strategies"]) == (0, {})
    assert not (folder / "cider_d.png").exists()
    assert {path.stem for path in (folder / "cache").iterdir()} == {"train-texts", "validation-texts"}


def test_latents_encoded_beforehand_and_at_every_step_train_alike(decap_recipe: RecipeMaker, tmp_path: Path) -> None:
    losses, weights, memories = [], [], []
    for precompute in (True, False):
        data = {"precompute_latents": precompute, "latent_dtype": "float32"}
        folder = train(made(decap_recipe(data=data, memory={"dtype": "float32"})), tmp_path / str(precompute))
        log = log_of(folder)
        losses.append([entry["eval_loss"] for entry in log["history"] if "eval_loss" in entry])
        weights.append(weights_of(folder))
        memory = DeCapModel.from_pretrained(folder).memory
        assert memory is not None
        memories.append(memory.latents())
        assert (folder / "cache" / "train-texts.safetensors").is_file() == precompute
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(memories[0], memories[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("train_decoder", [False, True])
def test_only_the_projector_and_a_decoder_that_is_to_learn_change(
    decap_recipe: RecipeMaker, language_model: dict[str, Any], tmp_path: Path, train_decoder: bool
) -> None:
    recipe = made(decap_recipe(model={**language_model, "train_decoder": train_decoder}, training={"epochs": 1}))
    before = assemble_parts(recipe, []).model
    folder = train(recipe, tmp_path / "run")
    after = DeCapModel.from_pretrained(folder)
    assert not torch.equal(before.projector.weight, after.projector.weight)
    assert is_the_same(samples_of(before.decoder), samples_of(after.decoder)) is not train_decoder
    assert before.dual_encoder is not None
    assert after.dual_encoder is not None
    assert before.dual_encoder.text_fingerprint() == after.dual_encoder.text_fingerprint()
    assert is_the_same(samples_of(before.dual_encoder), samples_of(after.dual_encoder))
    held = set(weights_of(folder))
    assert {"projector.weight", "projector.bias"} <= held
    assert any(name.startswith("decoder.") for name in held) is train_decoder
    assert not any(name.startswith("dual_encoder.") for name in held)
    assert after.config.prefix_length == 3


def test_the_dual_encoder_of_a_run_stays_as_it_was(run: Path, recipe: DeCapRecipe, tiny_dual_dir: Path) -> None:
    before, after = assemble_parts(recipe, ["a dog"] * 3).dual.model, DeCapModel.from_pretrained(run).dual_encoder
    assert after is not None
    assert before.text_fingerprint() == after.text_fingerprint()
    assert after.config.projection_dim == 8
    assert json.loads((run / "config.json").read_text())["backbones"]["dual_encoder"]["name"] == str(tiny_dual_dir)


def test_finished_weights_in_half_precision_are_loaded_in_full_and_caption_as_scored(
    decap_recipe: RecipeMaker, photo_set: Path, run: Path, tmp_path: Path
) -> None:
    folder = train(made(decap_recipe(training={"weights_dtype": "float16"})), tmp_path / "run")
    full, half = weights_of(run), weights_of(folder)
    assert {weight.dtype for weight in half.values()} == {torch.float16}
    assert full.keys() == half.keys()
    assert "decoder.lm_head.weight" not in half  # the embedding table stands there once
    assert_bit_equal({name: weight.half() for name, weight in full.items()}, half)
    model, processor = DeCapModel.from_pretrained(folder), DeCapProcessor.from_pretrained(folder)
    assert {weight.dtype for weight in (*model.projector.parameters(), *model.decoder.parameters())} == {torch.float32}
    photos = read_captions(photo_set / "captions.json", photo_set / "images", "val")
    captions = [answer.caption or "" for answer in caption_photos(model, processor, [p.image for p in photos])]
    score = cider_d(captions, [list(photo.captions) for photo in photos], tokenizer="simple").value
    assert score == pytest.approx(log_of(folder)["strategies"]["projection"]["cider_d"])


def test_two_runs_of_a_recipe_end_with_equal_weights(recipe: DeCapRecipe, run: Path, tmp_path: Path) -> None:
    assert_bit_equal(weights_of(train(recipe, tmp_path / "again")), weights_of(run))


def test_training_learns_its_sentences_by_heart_and_without_a_word_of_missing_keys(
    decap_recipe: RecipeMaker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = made(
        decap_recipe(
            model={"latent_noise": 0.0, "label_smoothing": 0.0},
            training={"epochs": 60},
            evaluation={"photos": None, "every": 60},
        )
    )
    folder = train(recipe, tmp_path / "run")
    assert "missing keys" not in caplog.text
    losses = [entry["loss"] for entry in log_of(folder)["history"] if "loss" in entry]
    assert losses[-1] < losses[0] / 4
    model, processor = DeCapModel.from_pretrained(folder), DeCapProcessor.from_pretrained(folder)
    assert model.memory is not None
    written = processor.caption(model.generate(model.memory.latents(), max_new_tokens=20))
    assert set(written) <= {text.lower() for text in model.memory.captions}


def test_the_paper_s_vocabulary_is_clip_s(decap_recipe: RecipeMaker, tmp_path: Path) -> None:
    model = {"vocabulary": "clip", "lowercase": False}
    folder = train(made(decap_recipe(model=model, training={"epochs": 1})), tmp_path / "run")
    loaded, processor = DeCapModel.from_pretrained(folder), DeCapProcessor.from_pretrained(folder)
    assert loaded.decoder.config.vocab_size == len(processor.tokenizer) == 49408


def test_the_memory_takes_as_many_captions_as_are_asked_for(decap_recipe: RecipeMaker, tmp_path: Path) -> None:
    folder = train(
        made(decap_recipe(memory={"captions": 3, "dtype": "float16"}, training={"epochs": 1})), tmp_path / "a"
    )
    memory = DeCapModel.from_pretrained(folder).memory
    assert memory is not None
    assert (len(memory), memory.dtype) == (3, "float16")
    message = r"memory\.captions is 9, and the training text holds 5 different sentences"
    with pytest.raises(SupportMemoryError, match=message):
        train(made(decap_recipe(memory={"captions": 9})), tmp_path / "b")


def test_a_run_without_a_memory_scores_the_photos_own_latents(decap_recipe: RecipeMaker, tmp_path: Path) -> None:
    recipe = made(decap_recipe(model={"strategy": "visual"}, memory=None, training={"epochs": 1}))
    folder = train(recipe, tmp_path / "run")
    assert list(log_of(folder)["strategies"]) == ["visual"]
    assert not (folder / "memory").exists()
    assert DeCapModel.from_pretrained(folder).memory is None


def test_generation_settings_of_the_recipe_are_the_model_s(decap_recipe: RecipeMaker, tmp_path: Path) -> None:
    recipe = made(decap_recipe(training={"epochs": 1}, generation={"num_beams": 3, "one_line": True}))
    folder = train(recipe, tmp_path / "run")
    config = DeCapModel.from_pretrained(folder).generation_config
    assert config.num_beams == 3
    newline = DeCapProcessor.from_pretrained(folder).tokenizer("\n", add_special_tokens=False).input_ids[-1]
    assert newline in config.suppress_tokens
    assert "projection, tau 0.1, 3 beams" in (folder / "README.md").read_text()


def test_a_photo_that_cannot_be_read_stops_the_run_or_is_left_out(
    decap_recipe: RecipeMaker, photo_set: Path, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    shutil.copytree(photo_set / "images", images)
    (images / "13.png").write_text("not a picture")
    photos = {**decap_recipe()["evaluation"]["photos"], "images": str(images)}
    with pytest.raises(UnreadableImageError, match=r"13\.png"):
        train(made(decap_recipe(evaluation={"photos": photos})), tmp_path / "one")
    photos["unreadable_limit"] = 1
    recipe = made(decap_recipe(evaluation={"photos": photos}, training={"epochs": 1}))
    assert log_of(train(recipe, tmp_path / "two"))["photos"] == 3


def test_one_photo_cannot_be_scored_and_this_is_said_before_the_training(
    decap_recipe: RecipeMaker, photo_set: Path, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    shutil.copytree(photo_set / "images", images)
    shown = [
        entry["file"] for entry in json.loads((photo_set / "captions.json").read_text()) if entry["split"] == "val"
    ]
    for name in shown[1:]:
        (images / name).write_text("not a picture")
    photos = {**decap_recipe()["evaluation"]["photos"], "images": str(images), "unreadable_limit": 3}
    with pytest.raises(CaptionDataError, match=r"evaluation\.photos holds 1 photos that can be read"):
        train(made(decap_recipe(evaluation={"photos": photos})), tmp_path / "run")
    assert not list((tmp_path / "run").glob("checkpoint-*"))


def test_text_that_is_not_there_is_said_before_anything_is_loaded(decap_recipe: RecipeMaker, tmp_path: Path) -> None:
    content = decap_recipe(data={"texts": [{"source": "nowhere.txt"}]}, model={"dual_encoder": "nowhere either"})
    with pytest.raises(CaptionDataError, match=r"There is no file or folder 'nowhere\.txt'"):
        train(made(content), tmp_path / "run")


def test_a_plan_names_what_is_frozen_what_is_trained_and_what_is_read(
    decap_recipe: RecipeMaker, language_model: dict[str, Any]
) -> None:
    plan = describe(made(decap_recipe()))
    assert "each sentence goes through its text tower once" in plan
    assert "trained  projector: 144 parameters, 0.0 MiB, 8 -> 1 x 16" in plan
    assert "trained  decoder GPT-2 from scratch: " in plan
    assert "memory   5 sentences, int8" in plan
    assert "photos   4 of 'val' to caption and score; none is learned from" in plan
    every_split = {**decap_recipe()["evaluation"]["photos"], "split": None}
    assert "of all splits to caption" in describe(made(decap_recipe(evaluation={"photos": every_split})))
    assert "steps    15 of 8 sentences = 3 epochs of 5; evaluation and checkpoint every 1" in plan
    plan = describe(made(decap_recipe(model=language_model, evaluation={"photos": None})))
    assert f"frozen   decoder {language_model['language_model']}: " in plan
    assert "photos   none" in plan


def test_sentences_in_batches_of_one_length_and_of_any_are_learned_once_an_epoch(
    decap_recipe: RecipeMaker, tmp_path: Path
) -> None:
    for grouped in (True, False):
        recipe = made(decap_recipe(training={"length_grouped": grouped, "epochs": 2}))
        log = log_of(train(recipe, tmp_path / str(grouped)))
        assert (log["texts"], log["steps_per_epoch"], log["steps"]) == (36, 5, 10)


@pytest.mark.weights
@pytest.mark.shared
@pytest.mark.parametrize("name", ["decap-flickr8k", "decap-other-text", "decap-language-model"])
def test_a_packaged_recipe_trains_on_the_embedded_weights(shared: Path, tmp_path: Path, name: str) -> None:
    flickr8k = shared / "data" / "flickr8k"
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(f"a dog and {number} cats" for number in range(40)))
    recipe = load_recipe(
        name,
        [
            f"data.texts=[{{source: {texts}}}]",
            "data.validation_texts=[]",
            "training.epochs=1",
            "memory.captions=null",
            f"evaluation.photos.captions={flickr8k / 'captions.json'}",
            f"evaluation.photos.images={flickr8k / 'images'}",
            "evaluation.photos.limit=2",
            "evaluation.photos.tokenizer=simple",
            "evaluation.max_new_tokens=3",
        ],
    )
    folder = train(recipe, tmp_path / "run")
    model = DeCapModel.from_pretrained(folder)
    assert model.config.latent_dim == 512
    assert json.loads((folder / "config.json").read_text())["backbones"]["dual_encoder"]["name"] == "default"
    assert load_file(folder / "model.safetensors")
