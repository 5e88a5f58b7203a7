"""Recipes of DeCap as data: chosen by their method, their words and ranges checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linmap.cli.app import main
from linmap.errors import RecipeError, UnknownNameError
from linmap.recipes import DeCapRecipe
from linmap.recipes.recipe import load_recipe, recipe_from_dict, recipe_to_yaml

RecipeMaker = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("name", ["decap", "decap-flickr8k", "decap-other-text", "decap-language-model"])
def test_a_packaged_recipe_says_where_its_numbers_come_from(name: str) -> None:
    recipe = load_recipe(name)
    assert isinstance(recipe, DeCapRecipe)
    assert "2303.03032" in recipe.source


def test_the_paper_s_recipe_has_the_paper_s_numbers() -> None:
    recipe = load_recipe("decap")
    assert isinstance(recipe, DeCapRecipe)
    model, training = recipe.model, recipe.training
    assert (model.layers, model.heads, model.width, model.prefix_length) == (4, 4, 768, 1)
    assert (model.vocabulary, model.max_length, model.label_smoothing, model.tau) == ("clip", 20, 0.1, 0.01)
    assert (training.learning_rate, training.warmup_steps, training.schedule, training.epochs) == (
        1e-5,
        1000,
        "linear",
        10,
    )
    assert model.latent_noise == 0.0
    assert recipe.evaluation.photos is None


@pytest.mark.parametrize(
    "changes", [{}, {"memory": None, "model": {"strategy": "visual"}}, {"data": {"train_texts": 9}}]
)
def test_a_recipe_written_out_reads_back_equal(decap_recipe: RecipeMaker, tmp_path: Path, changes: dict) -> None:
    recipe = recipe_from_dict(decap_recipe(**changes))
    assert isinstance(recipe, DeCapRecipe)
    written = recipe_to_yaml(recipe)
    assert written.startswith("method: decap\n")
    (tmp_path / "again.yaml").write_text(written, encoding="utf-8")
    assert load_recipe(tmp_path / "again.yaml") == recipe


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epoch=3", r"Unknown key in training 'epoch'\. Did you mean 'epochs'\?"),
        ("data.texts=[{file: a.txt}]", r"Unknown key in data\.texts\[0\] 'file'"),
        ("model.strategy=projektion", r"Unknown model\.strategy 'projektion'\. Did you mean 'projection'\?"),
        ("memory.dtype=int4", r"Unknown memory\.dtype 'int4'\. Did you mean 'int8'\?"),
        ("evaluation.metric=cider", r"Unknown evaluation\.metric 'cider'\. Did you mean 'cider_d'\?"),
        ("evaluation.photos.tokenizer=pbt", r"Unknown evaluation\.photos\.tokenizer 'pbt'\. Did you mean 'ptb'\?"),
        ("training.weights_dtype=bfloat16", r"Unknown training\.weights_dtype 'bfloat16'"),
    ],
)
def test_an_unknown_word_gets_a_suggestion(decap_recipe_file: Callable[..., Path], override: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        load_recipe(decap_recipe_file(), [override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.width=17", r"model\.width is 17; it must be a multiple of model\.heads, 2\."),
        ("model.layers=null", r"model\.layers is missing: a decoder from scratch needs layers, heads, width and voc"),
        ("model.vocabulary=big", r"model\.vocabulary is 'big'; it must be 'clip' or a number of tokens\."),
        ("model.vocabulary=257", r"model\.vocabulary is 257; it must be at least 258\."),
        ("model.vocabulary=clip", r"model\.lowercase is for a vocabulary that is learned"),
        ("model.language_model=gpt2", r"model\.language_model and model\.layers exclude each other"),
        ("model.language_model_dtype=float16", r"a decoder from scratch is float32\."),
        ("model.tau=0", r"model\.tau is 0\.0; it must be greater than 0\."),
        ("model.latent_noise=-1", r"model\.latent_noise is -1\.0; it must be at least 0"),
        ("model.positions=20", r"model\.positions is 20; the prefix and the longest text .* need 21\."),
        ("model.label_smoothing=1", r"model\.label_smoothing is 1\.0; it must be at least 0 and less than 1\."),
        ("data.texts=[]", r"data\.texts is empty; name at least one source of sentences\."),
        ("data.texts=captions.txt", r"data\.texts must be a list; found 'captions\.txt'\."),
        ("data.texts=[captions.txt]", r"data\.texts\[0\] must be a section with keys; found 'captions\.txt'\."),
        ("data={texts: [{source: a.txt}], validation_share: 0}", r"data\.validation_share is 0\.0; it must be greater"),
        ("training.warmup_share=1", r"training\.warmup_share is 1\.0; it must be at least 0 and less than 1\."),
        (
            "training={epochs: 1, warmup_steps: 3, warmup_share: 0.1}",
            r"both say how long the warm-up is; set one to 0\.",
        ),
        ("memory.captions=0", r"memory\.captions is 0; it must be at least 1\."),
        ("memory=null", r"model\.strategy 'projection' asks a support memory for photos, and memory is null\."),
        ("memory=int8", r"memory must be a section with keys; found 'int8'\."),
        ("evaluation={metric: cider_d}", r"metric is cider_d, and there are no captioned photos to score\."),
        ("evaluation.photos.limit=1", r"evaluation\.photos\.limit is 1; it must be at least 2\."),
        ("evaluation.photos.images=null", r"evaluation\.photos\.images is missing: format 'flickr8k' needs the folder"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(
    decap_recipe_file: Callable[..., Path], override: str, message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe(decap_recipe_file(), [override])


def test_a_language_model_takes_nothing_of_a_decoder_from_scratch(decap_recipe: RecipeMaker) -> None:
    pretrained = {"dual_encoder": "default", "language_model": "gpt2"}
    recipe_from_dict({**decap_recipe(), "model": pretrained})
    with pytest.raises(RecipeError, match=r"model\.language_model and model\.lowercase exclude each other"):
        recipe_from_dict({**decap_recipe(), "model": {**pretrained, "lowercase": True}})
    trained = {**pretrained, "train_decoder": True, "language_model_dtype": "bfloat16"}
    with pytest.raises(RecipeError, match=r"language_model_dtype is bfloat16, and a decoder learns in float32\."):
        recipe_from_dict({**decap_recipe(), "model": trained})


def test_weights_are_not_chosen_by_captions_that_no_decoder_writes(decap_recipe: RecipeMaker) -> None:
    content = decap_recipe(model={"strategy": "retrieval"}, evaluation={"metric": "cider_d"})
    with pytest.raises(RecipeError, match=r"model\.strategy is retrieval, which asks no decoder"):
        recipe_from_dict(content)


@pytest.mark.parametrize("split", ["train", None])
def test_the_loss_is_not_measured_on_text_that_is_learned(
    decap_recipe: RecipeMaker, photo_set: Path, split: str | None
) -> None:
    learned = {"source": str(photo_set / "images" / ".." / "captions.json"), "split": split}
    with pytest.raises(RecipeError, match=r"The loss would be measured on text that is learned"):
        recipe_from_dict(decap_recipe(data={"validation_texts": [learned]}))


def test_the_command_trains_says_where_and_plans(
    decap_recipe_file: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, folder = str(decap_recipe_file()), tmp_path / "run"
    arguments = ["train", file, "--output", str(folder), "--set", "training.epochs=1"]
    assert main([*arguments, "--dry-run"]) == 0
    out = capsys.readouterr().out
    for word in ("frozen", "trained", "texts", "memory", "photos", "steps", "kept", "needs"):
        assert f"\n{word} " in out
    assert not folder.exists()
    assert main(arguments) == 0
    assert capsys.readouterr().out.strip() == str(folder)
    assert (folder / "model.safetensors").is_file()
    assert main([*arguments, "--resume"]) == 0
    capsys.readouterr()
    assert main(["train", "decap-flickr8", "--dry-run"]) == 2
    assert "Did you mean 'decap-flickr8k'?" in capsys.readouterr().err
