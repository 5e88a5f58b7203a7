"""`linmap train --dry-run`: what a run would do, from configurations alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, BloomConfig

from linmap.data.shards import caption_shards
from linmap.encoders import load_encoder
from linmap.encoders.outline import outline_encoder
from linmap.errors import BackboneError, EncoderError, RecipeError, UnknownNameError
from linmap.language import load_language_model
from linmap.language.outline import outline_language_model, tokenizer_at_hand
from linmap.prefix.adapters import behind_mlps
from linmap.recipes import train
from linmap.recipes.assembly import assemble_model, outline_model
from linmap.recipes.clippo.schema import ClippoRecipe
from linmap.recipes.methods import describe
from linmap.recipes.needs import decoder_activations, encoder_activations, kept_for_backward, learning
from linmap.recipes.recipe import load_recipe, packaged_recipes, recipe_from_dict
from linmap.text_encoders import load_text_encoder
from linmap.text_encoders.outline import outline_text_encoder

RecipeMaker = Callable[..., dict[str, Any]]

OFFLINE = """
import json, pathlib, re, socket
def refuse(*args, **kwargs):
    raise OSError("this test has no network")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = socket.getaddrinfo = refuse
from linmap.recipes.methods import describe
from linmap.recipes.recipe import load_recipe, packaged_recipes
plans = {name: describe(load_recipe(name)) for name in packaged_recipes()}
status = pathlib.Path("/proc/self/status")  # ru_maxrss would count what the process that started this one has
peak = re.search(r"VmHWM:\\s+(\\d+) kB", status.read_text()) if status.is_file() else None
print(json.dumps({"plans": plans, "mebibytes": int(peak[1]) / 1024 if peak else None}))
"""

LIMBER = {  # image tokens, width of a feature, share of the paper's table of encoders (section 3)
    "limber-clip-rn50x16": (144, 3072),
    "limber-nfrn50": (1, 2048),
    "limber-nfrn50-random": (1, 2048),
    "limber-nfrn50-tuned": (1, 2048),
    "limber-beit-large": (196, 1024),
    "limber-beit-large-random": (196, 1024),
    "limber-beit-large-ft": (196, 1024),
    "magma-clip-rn50x16": (144, 3072),
}


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every packaged recipe's plan, made where there is no network, no cache, no data and nobody's hub folder."""
    folder = tmp_path_factory.mktemp("bare")
    places = {name: str(folder / name) for name in ("HOME", "HF_HOME", "LINMAP_CACHE", "XDG_CACHE_HOME", "TORCH_HOME")}
    environment = {**os.environ, **places, "HF_HUB_OFFLINE": "0"}
    run = subprocess.run(
        [sys.executable, "-c", OFFLINE], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return dict(json.loads(run.stdout.splitlines()[-1]))


@pytest.mark.parametrize("name", sorted(packaged_recipes()))
def test_every_packaged_recipe_prints_its_plan_without_network_cache_or_data(
    name: str, offline: dict[str, Any]
) -> None:
    plan = offline["plans"][name]
    assert plan.startswith(load_recipe(name).description)
    nothing_frozen = name == "clip" or isinstance(load_recipe(name), ClippoRecipe)
    for word in ("trained" if nothing_frozen else "frozen", "trained", "loaded", "steps"):
        assert f"\n{word} " in plan
    assert "GiB" in plan
    if name != "blind":
        assert "is not here" in plan


def test_plans_take_no_memory_for_the_weights_they_speak_of(offline: dict[str, Any]) -> None:
    assert "EleutherAI/gpt-j-6b: 6,050,882,784 parameters, 11,541.1 MiB" in offline["plans"]["limber-clip-rn50x16"]
    if offline["mebibytes"] is None:
        pytest.skip("needs /proc/self/status, which tells the peak of this process's own memory")
    assert offline["mebibytes"] < 3000  # torch and transformers alone take more than a quarter of it


@pytest.mark.parametrize(("name", "facts"), LIMBER.items())
def test_a_row_of_the_paper_s_table_has_its_tokens_and_its_width(
    name: str, facts: tuple[int, int], offline: dict[str, Any]
) -> None:
    tokens, width = facts
    plan = offline["plans"][name]
    assert f"{width} -> 4096, {tokens} image tokens" in plan
    assert "2,048 captions a step" in plan
    assert "steps    15,000 of 2,048 captions" in plan
    recipe = load_recipe(name)
    assert (recipe.training.learning_rate, recipe.training.betas) == (8e-4, (0.9, 0.95))
    assert (recipe.model.prompt, recipe.model.training_prompt) == ("A picture of", "")


@pytest.mark.parametrize("share", [25, 50, 75, 100])
def test_a_clippo_with_c4_has_the_paper_s_batch_schedule_and_share(share: int, offline: dict[str, Any]) -> None:
    plan = offline["plans"][f"clippo-{share}c4"]
    assert f"\n         {10_240 * share // 100:,} sentences of c4/en" in plan
    assert f"batch    {10_240 - 10_240 * share // 100:,} photos with a caption" in plan
    assert "steps    250,000 of 10,240 pairs" in plan
    assert "rate     0.001 with adafactor, inverse_sqrt after 10,000 steps of warm-up, cooldown of 10,000" in plan
    assert "start: timm:vit_base_patch16_224.augreg_in21k" in plan


@pytest.mark.parametrize("name", ["yfcc", "25c4", "50c4", "75c4", "100c4", "one-tower-clip", "clip-star"])
def test_weights_decay_as_in_the_original_where_the_decay_is_not_multiplied_by_the_learning_rate(name: str) -> None:
    said = load_recipe(name if name.startswith(("one", "clip")) else f"clippo-{name}").training
    assert said.learning_rate * said.weight_decay == pytest.approx(1e-4)  # of a weight, in a step at the highest rate


def test_the_models_clippo_is_compared_with_have_the_parts_they_are_known_for(offline: dict[str, Any]) -> None:
    drawn, one, two = (offline["plans"][name] for name in ("clippo-yfcc", "one-tower-clip", "clip-star"))
    assert "in all   93,4" in drawn
    assert "text embedding" not in drawn
    assert "text embedding of open_clip:ViT-B-32: 37,994,496 parameters" in one
    assert "text tower" not in one
    assert "trained  text tower: " in two


def test_controls_say_what_they_change(offline: dict[str, Any]) -> None:
    plans = offline["plans"]
    for name in ("limber-nfrn50-random", "limber-beit-large-random"):
        assert "random weights" in plans[name]
        assert "loaded   EleutherAI/gpt-j-6b: " in plans[name]
    assert "trained  timm:nf_resnet50: 23,508,032 parameters" in plans["limber-nfrn50-tuned"]
    magma = plans["magma-clip-rn50x16"]
    assert "trained  open_clip:RN50x16/openai: " in magma
    assert "trained  adapters: 235,024,384 parameters" in magma  # 28 blocks, 4096 -> 1024 -> 4096
    assert "activations of the encoder" in magma
    assert "trained  nothing: no image is shown" in plans["blind"]


def test_parts_can_be_swapped_in_a_plan() -> None:
    plan = describe(load_recipe("limber-nfrn50", ["lm=wheel:smollm2-135m-instruct", "encoder=timm:test_vit"]))
    assert "frozen   timm:test_vit: " in plan
    assert "frozen   wheel:smollm2-135m-instruct: 134,515,008 parameters, 256.6 MiB" in plan
    assert "64 -> 576, 1 image tokens" in plan


def test_an_outline_has_the_shapes_of_the_model_it_stands_for(tiny_recipe: RecipeMaker) -> None:
    shape = {"adapter_downsample": 4, "trained_encoder": True}
    recipe = recipe_from_dict(
        tiny_recipe(model=shape, data={"precompute_features": False}, training={"encoder_learning_rate": 1e-4})
    )
    outline, (model, _) = outline_model(recipe), assemble_model(recipe)
    assert {weight.device.type for weight in outline.parameters()} == {"meta"}
    expected = {name: (weight.shape, weight.dtype, weight.requires_grad) for name, weight in model.named_parameters()}
    found = {name: (weight.shape, weight.dtype, weight.requires_grad) for name, weight in outline.named_parameters()}
    assert found == expected
    assert outline.config.num_image_tokens == model.config.num_image_tokens
    assert learning(outline) == learning(model)


@pytest.mark.weights
def test_the_embedded_weights_look_as_their_outlines_say() -> None:
    pairs = [
        (outline_encoder("wheel:efficientnet-lite0"), load_encoder("wheel:efficientnet-lite0")),
        (outline_text_encoder("wheel:all-minilm-l6-v2"), load_text_encoder("wheel:all-minilm-l6-v2")),
        (
            outline_language_model("wheel:smollm2-135m-instruct")[0],
            load_language_model("wheel:smollm2-135m-instruct", dtype=torch.float32)[0],
        ),
    ]
    for outline, loaded in pairs:
        expected = {name: weight.shape for name, weight in loaded.named_parameters()}
        # a pooler that the checkpoint may lack is no part of a text encoder's features
        found = {name: weight.shape for name, weight in outline.named_parameters() if name in expected}
        assert found == expected
        if hasattr(loaded, "fingerprint"):
            assert outline.fingerprint == loaded.fingerprint
    assert tokenizer_at_hand("wheel:smollm2-135m-instruct") is not None


def test_what_is_unknown_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"language model among the wheels, 'wheel:smollm'.*Did you mean"):
        outline_language_model("wheel:smollm")
    with pytest.raises(BackboneError, match=r"Nothing is known of the language model 'nobody/nothing'.*Give a Hub id"):
        outline_language_model("nobody/nothing")
    with pytest.raises(EncoderError, match="test_vit"):
        outline_encoder("timm:test_vitt")
    assert tokenizer_at_hand(str(tmp_path)) is None


def test_a_folder_of_weights_alone_has_no_tokenizer_to_count_with(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    assert tokenizer_at_hand(str(tmp_path)) is None


@pytest.mark.parametrize("name", ["wheel:efficientnet-lite0", "timm:test_vit"])
def test_random_weights_have_the_fingerprint_that_loading_gives_them(name: str) -> None:
    """Else features of the pretrained encoder would pass for theirs, whose digest they would claim."""
    outlined = outline_encoder(name, pretrained=False, seed=3).fingerprint
    loaded = load_encoder(name, pretrained=False, seed=3).fingerprint
    assert (outlined.sha256, outlined.file, outlined.license) == (None, None, None)
    assert (outlined.id, outlined.revision, outlined.seed) == (loaded.id, loaded.revision, 3)


def test_captions_are_counted_in_tokens_or_else_in_words(tiny_recipe: RecipeMaker) -> None:
    plan = describe(recipe_from_dict(tiny_recipe()))
    assert "tokens on average" in plan
    far = describe(recipe_from_dict(tiny_recipe(model={"language_model": "EleutherAI/gpt-j-6b"})))
    assert "captions 36, " in far
    assert "words on average" in far
    assert "steps    12 of 4 captions = 1.3 epochs" in far


def test_shards_are_counted_by_what_img2dataset_wrote_beside_them(tiny_recipe: RecipeMaker, tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"{number:05d}.tar").touch()
    content = tiny_recipe(
        data={
            "format": "webdataset",
            "captions": str(tmp_path / "{00000..00001}.tar"),
            "images": None,
            "validation_captions": str(tmp_path / "00001.tar"),
            "train_split": None,
            "validation_split": None,
            "precompute_features": False,
        },
        initialisation={"method": "default"},
        training={"length_grouped": False},
    )
    assert len(caption_shards(content["data"]["captions"])) == 2
    assert "photos   2 shards\n" in describe(recipe_from_dict(content))
    for number in range(2):
        (tmp_path / f"{number:05d}_stats.json").write_text(json.dumps({"count": 20, "successes": 12}))
    plan = describe(recipe_from_dict(content))
    assert "photos   2 shards, 24 photos with one caption each" in plan
    assert "steps    12 of 4 captions = 2.0 epochs" in plan
    (tmp_path / "00001.tar").unlink()
    assert "00001.tar is not here: photos, captions and epochs are not counted" in describe(recipe_from_dict(content))


def test_a_plan_counts_what_autograd_really_keeps_of_encoder_and_language_model(tiny_lm: Callable[..., Any]) -> None:
    encoder = load_encoder("timm:test_vit", pretrained=False).requires_grad_(True).train()
    pictures = torch.zeros(2, 3, encoder.config.image_size, encoder.config.image_size)
    kept = kept_for_backward(lambda: encoder(pictures), encoder)
    outline = outline_encoder("timm:test_vit", pretrained=False).requires_grad_(True)
    assert kept is not None
    assert kept / 2**20 <= encoder_activations(outline, images=2) < 2 * kept / 2**20  # fused attention keeps less
    language_model = tiny_lm("gptj").requires_grad_(False)  # has no fused attention
    inputs = torch.zeros(3, 7, 16, requires_grad=True)
    mask = torch.zeros(3, 1, 7, 7)
    kept = kept_for_backward(
        lambda: language_model.base_model(inputs_embeds=inputs, attention_mask=mask, use_cache=False), language_model
    )
    assert kept is not None
    with torch.device("meta"):
        outlined = AutoModelForCausalLM.from_config(language_model.config).requires_grad_(False)
    assert decoder_activations(outlined, rows=3, tokens=7, scored=0) == kept / 2**20
    adapted, _ = behind_mlps(outlined, 4)
    assert decoder_activations(adapted, rows=3, tokens=7, scored=0) > kept / 2**20


def test_a_larger_batch_keeps_more_also_where_it_can_only_be_estimated() -> None:
    encoder = outline_encoder("timm:test_vit", pretrained=False).requires_grad_(True)
    assert encoder_activations(encoder, images=6) == 3 * encoder_activations(encoder, images=2) > 0
    assert not encoder.training
    with torch.device("meta"):  # Bloom makes its biases of a mask that says which tokens are there
        bloom = AutoModelForCausalLM.from_config(BloomConfig(hidden_size=16, n_layer=2, n_head=2, vocab_size=50))
    one, two = (decoder_activations(bloom, rows=rows, tokens=7, scored=3) for rows in (1, 2))
    assert two == 2 * one > 0


def test_the_blind_recipe_learns_nothing_and_says_how_it_is_measured(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"Nothing learns in this recipe.*--control blind"):
        train(load_recipe("blind"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"model": {"encoder": None}}, r"model\.encoder is null.*training\.steps is 12.*Set training\.steps to 0"),
        ({"model": {"encoder": None, "adapter_downsample": 4}, "training": {"steps": 0}}, "nothing can learn"),
        ({"training": {"steps": 0}}, r"training\.steps is 0; it must be at least 1"),
        ({"model": {"trained_encoder": True}}, "model.trained_encoder and training.encoder_learning_rate go together"),
        ({"training": {"encoder_learning_rate": 1e-6}}, "an encoder that learns needs its own rate"),
        (
            {"model": {"trained_encoder": True}, "training": {"encoder_learning_rate": 1e-6}},
            r"set data\.precompute_features to false",
        ),
        ({"training": {"encoder_learning_rate": 0}}, r"encoder_learning_rate is 0\.0; it must be greater than 0"),
        ({"model": {"adapter_downsample": 0}}, r"model\.adapter_downsample is 0; it must be at least 1"),
        (
            {"model": {"preprocessing": "limber-nfrn50-random"}},
            r"shows other pixels of a photo each time.* set data\.precompute_features to false",
        ),
        (
            {
                "model": {"preprocessing": "limber-nfrn50-random"},
                "data": {"format": "features", "precompute_features": False},
            },
            "shows other pixels of a photo each time",
        ),
    ],
)
def test_what_does_not_go_together_is_named(tiny_recipe: RecipeMaker, sections: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe_from_dict(tiny_recipe(**sections))


def test_a_plan_of_a_dataset_asks_for_no_folder_of_photos(tiny_recipe: RecipeMaker) -> None:
    named = {"captions": "nowhere/", "images": "nowhere-else/"}
    assert "data.images nowhere-else/ is not here" in describe(recipe_from_dict(tiny_recipe(data=named)))
    assert "data.images" not in describe(recipe_from_dict(tiny_recipe(data={**named, "format": "datasets"})))
