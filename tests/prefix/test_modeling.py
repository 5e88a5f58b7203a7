"""The laws of the linear vision prefix: what learns, what is seen, what is counted."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

from linmap import LinearVisionPrefixConfig, LinearVisionPrefixModel
from linmap.errors import ConfigurationError, ImageCountError, UnknownNameError
from linmap.prefix.splicing import UNSCORED

FAMILIES = ("gpt2", "gptj", "opt", "llama")


def labelled(processor: Any, features: torch.Tensor, captions: list[str]) -> dict[str, torch.Tensor]:
    """Inputs with labels on everything that is neither image nor padding."""
    inputs = processor(image_features=features, text=captions, return_tensors="pt")
    ids = inputs["input_ids"]
    unscored = (inputs["attention_mask"] == 0) | (ids == processor.image_token_id)
    return {**inputs, "labels": ids.masked_fill(unscored, UNSCORED)}


def test_one_optimiser_step_changes_exactly_the_projector(photo_model: Any, photos: Any) -> None:
    model, processor = photo_model()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    inputs = processor(images=photos[:1], text="a dog runs", return_tensors="pt")
    model.train()(**inputs, labels=inputs["input_ids"].masked_fill(inputs["input_ids"] > 299, UNSCORED)).loss.backward()
    optimizer.step()
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"projector.weight", "projector.bias"}


def test_frozen_parts_stay_in_eval_mode_while_training(photo_model: Any) -> None:
    model, _ = photo_model(projector_dropout=0.5)
    model.train()
    assert model.projector.training
    assert model.dropout.training
    assert not any(module.training for part in model.frozen_parts() for module in part.modules())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_later_token_never_reaches_an_earlier_one(family: str, feature_model: Any, features: Any) -> None:
    """Trap T1: a composite configuration made from the live one turns the causal mask off."""
    model, processor = feature_model(family)
    inputs = processor(image_features=features(1), text=["a dog runs across"], return_tensors="pt")
    other = {**inputs, "input_ids": inputs["input_ids"].clone()}
    other["input_ids"][:, -1] = 5
    with torch.inference_mode():
        first, second = model(**inputs).logits, model(**other).logits
    torch.testing.assert_close(first[:, :-1], second[:, :-1], rtol=0, atol=0)
    assert not torch.equal(first[:, -1], second[:, -1])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_prefix_model_is_the_language_model_fed_with_embeddings(
    family: str, feature_model: Any, features: Any
) -> None:
    """Trap T7: a copied head would drop GPT-J's bias and OPT's narrower embeddings."""
    model, processor = feature_model(family)
    inputs = processor(image_features=features(1), text=["a dog"], return_tensors="pt")
    with torch.inference_mode():
        words = model.get_input_embeddings()(inputs["input_ids"][:, 4:])
        prefix = model.get_image_features(image_features=features(1)).pooler_output
        plain = model.language_model(inputs_embeds=torch.cat([prefix, words], dim=1)).logits
        torch.testing.assert_close(model(**inputs).logits, plain)


@pytest.mark.parametrize("family", FAMILIES)
def test_without_an_image_it_is_the_plain_language_model(family: str, feature_model: Any) -> None:
    model, processor = feature_model(family)
    inputs = processor(text=["a dog runs"], return_tensors="pt")
    with torch.inference_mode():
        torch.testing.assert_close(model(**inputs).logits, model.language_model(**inputs).logits)


def test_the_live_language_model_keeps_its_attention_and_its_weights(tiny_lm: Any) -> None:
    """Traps T1 and T2: neither the composite configuration nor post_init touches what is handed in."""
    language_model = tiny_lm("llama")
    attention = language_model.config._attn_implementation
    before = copy.deepcopy(language_model.state_dict())
    model = LinearVisionPrefixModel.from_backbones(None, language_model, feature_dim=6, num_image_tokens=2)
    assert attention is not None
    assert language_model.config._attn_implementation == attention
    assert model.config.text_config is not language_model.config
    assert model.config.text_config._attn_implementation == attention
    assert all(torch.equal(value, before[key]) for key, value in model.language_model.state_dict().items())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_is_the_same_whether_the_head_sees_all_positions_or_the_scored_ones(
    family: str, feature_model: Any, features: Any
) -> None:
    model, processor = feature_model(family)
    batch = labelled(processor, features(3), ["a dog", "two children play with a ball", "a man"])
    everywhere, scored_only = model.eval()(**batch), model.train()(**batch)
    torch.testing.assert_close(everywhere.loss, scored_only.loss, rtol=0, atol=1e-6)
    assert everywhere.logits.shape[:2] == batch["input_ids"].shape
    assert scored_only.logits is None


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("counted", [None, 5])
def test_label_smoothing_of_nearly_nothing_leaves_the_loss_as_it_is(
    training: bool, counted: int | None, feature_model: Any, features: Any, tmp_path: Any
) -> None:
    """Trap: Trainer smooths on unshifted labels, unless it finds the model's name among the causal language models."""
    model, processor = feature_model()
    inputs = labelled(processor, features(2), ["a dog runs across", "a horse"])

    def loss(smoothing: float) -> torch.Tensor:
        arguments = TrainingArguments(tmp_path, label_smoothing_factor=smoothing, report_to="none", use_cpu=True)
        trainer = Trainer(model.train(training), arguments)
        return trainer.compute_loss(model, dict(inputs), num_items_in_batch=counted)

    torch.testing.assert_close(loss(1e-9), loss(0.0))


def test_smoothed_labels_give_the_smoothed_cross_entropy(feature_model: Any, features: Any, tmp_path: Any) -> None:
    model, processor = feature_model()
    inputs = labelled(processor, features(2), ["a dog runs across", "a horse"])
    arguments = TrainingArguments(tmp_path, label_smoothing_factor=0.1, report_to="none", use_cpu=True)
    smoothed = Trainer(model.train(), arguments).compute_loss(model, dict(inputs))
    logits = model.eval()(**inputs).logits[:, :-1].flatten(0, 1)
    expected = torch.nn.functional.cross_entropy(logits, inputs["labels"][:, 1:].flatten(), label_smoothing=0.1)
    torch.testing.assert_close(smoothed, expected)


def test_the_head_sees_only_scored_positions_while_training(feature_model: Any, features: Any) -> None:
    model, processor = feature_model("llama")
    batch = labelled(processor, features(2), ["a dog", "two children play"])
    seen = []
    model.get_output_embeddings().register_forward_hook(lambda *call: seen.append(call[2].shape))
    model.train()(**batch)
    assert seen == [(int((batch["labels"][:, 1:] != UNSCORED).sum()), 320)]


def test_the_loss_in_parts_and_its_gradient_are_those_of_the_whole(
    feature_model: Any, features: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, processor = feature_model("gptj")
    batch = labelled(processor, features(3), ["a dog runs", "two children play with a ball", "a man in a hat"])
    found = {}
    for at_once in (1, 5, 1000):
        monkeypatch.setattr("linmap.prefix.modeling.SCORED_AT_ONCE", at_once)
        model.zero_grad()
        loss = model.train()(**batch).loss
        loss.backward()
        found[at_once] = loss.detach(), model.projector.weight.grad.clone()
    for at_once in (1, 5):
        torch.testing.assert_close(found[at_once], found[1000], rtol=1e-5, atol=1e-6)


def test_gradients_over_accumulated_batches_count_tokens_not_batches(feature_model: Any, features: Any) -> None:
    """Trap T13: `num_items_in_batch` must be honoured, and counted on shifted labels."""
    model, processor = feature_model("gpt2")
    model.train()
    assert model.loss_type == "ForCausalLM"
    texts = ["a dog", "two children play with a red ball on the beach"]
    whole = labelled(processor, features(2), texts)
    scored = (whole["labels"][:, 1:] != UNSCORED).sum()
    parts = [labelled(processor, features(2)[row : row + 1], texts[row : row + 1]) for row in range(2)]
    summed = sum(model(**part, num_items_in_batch=scored).loss for part in parts)
    torch.testing.assert_close(summed, model(**whole).loss, rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_on_the_left_changes_no_row(family: str, feature_model: Any, features: Any) -> None:
    model, processor = feature_model(family)
    texts, images = ["a dog", "two children play with a red ball"], features(2)
    together = processor(image_features=images, text=texts, return_tensors="pt")
    with torch.inference_mode():
        batched = model(**together).logits
        for row, text in enumerate(texts):
            alone = processor(image_features=images[row : row + 1], text=[text], return_tensors="pt")
            logits = model(**alone).logits[0]
            torch.testing.assert_close(batched[row, -len(logits) :], logits, rtol=1e-4, atol=1e-5)


def test_pooled_features_give_prefix_length_vectors(feature_model: Any, features: Any) -> None:
    model, _ = feature_model("gpt2", features="pooled", prefix_length=3, num_image_tokens=None)
    pooled = features(2, cells=1)
    prefix = model.get_image_features(image_features=pooled).pooler_output
    assert model.config.num_image_tokens == 3
    torch.testing.assert_close(prefix, model.projector(pooled[:, 0]).reshape(2, 3, 16))


def test_features_of_the_whole_grid_and_of_the_pooled_grid_give_the_same_prefix(photo_model: Any, photos: Any) -> None:
    model, processor = photo_model()
    pixels = processor(images=photos, return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        by_pixels = model.get_image_features(pixel_values=pixels).pooler_output
        by_cells = model.get_image_features(image_features=model.encode_images(pixels)).pooler_output
        by_grid = model.get_image_features(image_features=model.encoder.grid_features(pixels)).pooler_output
    assert by_pixels.shape == (3, 4, 16)
    torch.testing.assert_close(by_cells, by_pixels)
    torch.testing.assert_close(by_grid, by_pixels)


def test_a_half_precision_language_model_takes_a_float32_projection(feature_model: Any, features: Any) -> None:
    model, processor = feature_model("llama")
    model.language_model.to(torch.bfloat16)
    batch = labelled(processor, features(1), ["a dog"])
    model.train()(**batch).loss.backward()
    assert model.projector.weight.dtype == model.projector.weight.grad.dtype == torch.float32
    assert model.eval().generate(**{k: v for k, v in batch.items() if k != "labels"}, max_new_tokens=2).shape[0] == 1


@pytest.mark.parametrize(("images", "counted"), [(1, "4 vectors"), (3, "12 vectors")])
def test_too_few_and_too_many_images_are_errors(images: int, counted: str, feature_model: Any, features: Any) -> None:
    model, processor = feature_model()
    inputs = processor(image_features=features(2), return_tensors="pt")
    with pytest.raises(ImageCountError, match=f"has 8 image placeholders, but {images} images .*{counted}.*one image"):
        model(**{**inputs, "image_features": features(images)})


def test_placeholders_without_any_image_are_an_error(feature_model: Any, features: Any) -> None:
    model, processor = feature_model()
    inputs = processor(image_features=features(1), return_tensors="pt")
    del inputs["image_features"]
    with pytest.raises(ImageCountError, match="4 image placeholders, but 0 images"):
        model(**inputs)


def test_pixels_for_a_model_without_an_encoder_are_an_error(feature_model: Any) -> None:
    model, _ = feature_model()
    with pytest.raises(ConfigurationError, match=r"holds no image encoder.*image_features of shape \(images, 4, 6\)"):
        model.get_image_features(pixel_values=torch.zeros(1, 3, 8, 8))


def test_features_of_another_width_are_an_error(feature_model: Any) -> None:
    model, _ = feature_model()
    with pytest.raises(ConfigurationError, match=r"shape \(1, 4, 5\); expected \(images, 4, 6\)"):
        model.get_image_features(image_features=torch.zeros(1, 4, 5))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": "gird"}, r"Unknown features 'gird'\. Did you mean 'grid'\? Known: grid, pooled\."),
        ({"prefix_length": 2}, "prefix_length=2 was given with features='grid'"),
        ({"features": "pooled", "grid_size": 2}, "grid_size=2 was given with features='pooled'"),
        ({"grid_size": 3, "num_image_tokens": 4}, "num_image_tokens is 4, but .* give 9"),
        ({"projector_dropout": 1.0}, r"projector_dropout is 1\.0; it must lie in \[0, 1\)"),
        ({"grid_size": 0}, "grid_size is 0; it must be at least 1"),
    ],
)
def test_settings_that_do_not_fit_say_so(settings: dict[str, Any], message: str) -> None:
    with pytest.raises((UnknownNameError, ConfigurationError), match=message):
        LinearVisionPrefixConfig(feature_dim=6, **settings)


def test_grid_features_without_encoder_need_their_number(tiny_lm: Any) -> None:
    with pytest.raises(ConfigurationError, match="feature_dim=6 and num_image_tokens=None: both must be known"):
        LinearVisionPrefixModel.from_backbones(None, tiny_lm("gpt2"), feature_dim=6)


def test_a_random_model_can_be_built_on_the_meta_device(photo_model: Any) -> None:
    """Trap T3: transformers instantiates on meta; nothing in `__init__` may load weights."""
    model, _ = photo_model()
    with torch.device("meta"):
        empty = LinearVisionPrefixModel(copy.deepcopy(model.config))
    assert {key: value.shape for key, value in empty.state_dict().items()} == {
        key: value.shape for key, value in model.state_dict().items()
    }


def test_the_vocabulary_is_never_resized(feature_model: Any) -> None:
    model, processor = feature_model("gptj")
    assert model.get_input_embeddings().weight.shape[0] == model.config.text_config.vocab_size == 320
    assert processor.image_token_id == 300  # the first id the tokenizer had free, an unused row


@pytest.mark.parametrize("asked", [{"new_num_tokens": 321}, {"new_num_tokens": 300}, {"pad_to_multiple_of": 64}])
def test_resizing_the_vocabulary_is_refused_and_changes_nothing(asked: dict[str, int], feature_model: Any) -> None:
    model, _ = feature_model("gptj")
    before = copy.deepcopy(model.state_dict())
    settings = copy.deepcopy(model.config.to_dict())
    message = (
        f"new_num_tokens={asked.get('new_num_tokens')}, pad_to_multiple_of={asked.get('pad_to_multiple_of')}: the "
        "vocabulary of 320 tokens is never resized, .* save it, and give its folder to from_backbones"
    )
    with pytest.raises(ConfigurationError, match=message):
        model.resize_token_embeddings(**asked)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert model.config.to_dict() == settings


@pytest.mark.parametrize("size", [None, 320])
def test_asking_for_the_vocabulary_there_is_gives_its_table(size: int | None, feature_model: Any) -> None:
    model, _ = feature_model()
    table = model.get_input_embeddings()
    assert model.resize_token_embeddings(size) is table


def test_a_placeholder_beyond_the_vocabulary_is_never_embedded(tiny_lm: Any, features: Any) -> None:
    model = LinearVisionPrefixModel.from_backbones(None, tiny_lm("llama"), feature_dim=6, num_image_tokens=4)
    assert model.config.image_token_id == 320
    ids = torch.tensor([[320, 320, 320, 320, 7]])
    assert torch.isfinite(model(ids, image_features=features(1)).logits).all()


def test_config_survives_the_disk(photo_model: Any, tmp_path: Any) -> None:
    model, _ = photo_model()
    model.config.save_pretrained(tmp_path)
    again = LinearVisionPrefixConfig.from_pretrained(tmp_path)
    assert again.to_dict() == LinearVisionPrefixConfig.from_dict(model.config.to_dict()).to_dict()
    assert again.num_image_tokens == 4
    assert type(again.text_config) is type(AutoModelForCausalLM.from_config(model.config.text_config).config)
