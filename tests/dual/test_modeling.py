"""What a dual encoder computes, and what of it learns."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoModelForZeroShotImageClassification

from linmap import DualEncoderConfig, DualEncoderModel
from linmap.errors import ConfigurationError, EncoderError, UnknownNameError


def test_embeddings_are_the_normalised_heads_of_the_towers_features(tiny_dual: Any, pictures: Any, texts: Any) -> None:
    model, processor = tiny_dual()
    inputs = processor(images=pictures, text=texts, return_tensors="pt")
    with torch.no_grad():
        output = model(**inputs)
        image = model.image_encoder.pooled_features(inputs["pixel_values"])[:, 0] @ model.image_projection.weight.T
        text = model.text_encoder(inputs["input_ids"], inputs["attention_mask"]) @ model.text_projection.weight.T
    image, text = image / image.norm(dim=1, keepdim=True), text / text.norm(dim=1, keepdim=True)
    torch.testing.assert_close(output.image_embeds, image, atol=1e-5, rtol=0)
    torch.testing.assert_close(output.text_embeds, text, atol=1e-5, rtol=0)
    torch.testing.assert_close(output.logits_per_image, image @ text.T / 0.07, atol=1e-4, rtol=0)
    assert torch.equal(output.logits_per_text, output.logits_per_image.T)


def test_features_made_beforehand_give_the_same_as_pixels_and_ids(tiny_dual: Any, pictures: Any, texts: Any) -> None:
    model, processor = tiny_dual()
    inputs = processor(images=pictures, text=texts, return_tensors="pt")
    with torch.no_grad():
        images = model.encode_images(inputs["pixel_values"])
        words = model.encode_texts(inputs["input_ids"], inputs["attention_mask"])
        cached = model(image_features=images, text_features=words)
        assert torch.equal(cached.logits_per_image, model(**inputs).logits_per_image)
    assert (images.shape, words.shape) == ((4, 64), (4, 16))


def test_padding_and_company_change_no_embedding(tiny_dual: Any, pictures: Any, texts: Any) -> None:
    model, processor = tiny_dual()
    with torch.no_grad():
        together = model(**processor(images=pictures, text=texts, return_tensors="pt"))
        for row, (picture, text) in enumerate(zip(pictures, texts, strict=True)):
            alone = model(**processor(images=picture, text=text, return_tensors="pt"))
            torch.testing.assert_close(alone.image_embeds[0], together.image_embeds[row], atol=1e-5, rtol=0)
            torch.testing.assert_close(alone.text_embeds[0], together.text_embeds[row], atol=1e-5, rtol=0)


def test_a_mirrored_image_has_the_same_feature_where_both_views_are_averaged(tiny_dual: Any, pictures: Any) -> None:
    model, processor = tiny_dual(mirror=True)
    pixels = processor(images=pictures, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        torch.testing.assert_close(model.encode_images(pixels), model.encode_images(pixels.flip(-1)))
        one, other = (model.image_encoder.pooled_features(view)[:, 0] for view in (pixels, pixels.flip(-1)))
        torch.testing.assert_close(model.encode_images(pixels), (one + other) / 2)
    assert not torch.equal(one, other)


HEADS = {"image_projection.weight", "text_projection.weight", "logit_scale"}


@pytest.mark.parametrize("trained", [[], ["text"], ["image"], ["image", "text"]])
def test_only_the_heads_the_temperature_and_the_named_towers_learn(
    tiny_dual: Any, pictures: Any, texts: Any, trained: list[str]
) -> None:
    model, processor = tiny_dual(trained_towers=trained)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=0.1)
    model.train()(**processor(images=pictures, text=texts, return_tensors="pt"), return_loss=True).loss.backward()
    optimizer.step()
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed >= HEADS
    assert {key.partition("_encoder.")[0] for key in changed - HEADS} == set(trained)


def test_frozen_towers_stay_in_eval_mode_and_learning_ones_do_not(tiny_dual: Any) -> None:
    model, _ = tiny_dual(trained_towers=["text"])
    model.train()
    assert model.text_encoder.training
    assert all(module.training for module in model.text_encoder.modules())
    assert not any(module.training for module in model.image_encoder.modules())


def test_the_temperature_starts_at_0_07_and_never_exceeds_100(heads: DualEncoderModel) -> None:
    assert heads.logit_scale.item() == pytest.approx(math.log(1 / 0.07))
    pair = {"image_features": torch.randn(4, 6), "text_features": torch.randn(4, 4)}
    heads.logit_scale.data.fill_(10.0)
    output = heads.train()(**pair)
    cosines = output.image_embeds @ output.text_embeds.T
    torch.testing.assert_close(output.logits_per_image, 100 * cosines)
    assert heads.logit_scale.item() == pytest.approx(math.log(100))


def test_a_temperature_at_its_limit_can_come_down_again(heads: DualEncoderModel) -> None:
    heads.train()
    heads.logit_scale.data.fill_(10.0)
    heads(image_features=torch.randn(4, 6), text_features=torch.randn(4, 4), return_loss=True).loss.backward()
    assert heads.logit_scale.grad is not None
    assert heads.logit_scale.grad != 0


def test_with_a_loss_in_training_no_logits_are_kept(heads: DualEncoderModel) -> None:
    pair = {"image_features": torch.randn(3, 6), "text_features": torch.randn(3, 4), "return_loss": True}
    assert heads.train()(**pair).logits_per_image is None
    assert heads.eval()(**pair).logits_per_image.shape == (3, 3)


def test_the_auto_classes_know_the_model(heads: DualEncoderModel) -> None:
    for auto in (AutoModel, AutoModelForZeroShotImageClassification):
        assert isinstance(auto.from_config(heads.config), DualEncoderModel)


def test_a_random_encoder_trained_or_not_is_built_from_the_configuration_alone(tiny_dual: Any) -> None:
    model, _ = tiny_dual()
    again = DualEncoderModel(model.config)
    assert again.state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "softmx"}, r"Unknown loss 'softmx'\. Did you mean 'softmax'\? Known: sigmoid, softmax\."),
        ({"trained_towers": ["txt"]}, r"Unknown tower 'txt'\. Did you mean 'text'\?"),
        ({"checkpoint_contents": "all"}, "Unknown checkpoint_contents 'all'"),
        ({"projection_dim": 0}, r"projection_dim is 0; it must be at least 1\."),
        ({"mini_batch_size": 0}, r"mini_batch_size is 0; it must be at least 1\."),
        ({"image_dropout": 1.0}, r"image_dropout is 1\.0; it must lie in \[0, 1\)"),
        (
            {"text_projection": False, "text_feature_dim": 4},
            "the text features are the embeddings, but they have 4 chan",
        ),
        ({"trained_towers": ["image"]}, "trained_towers names 'image', but the model holds no image encoder"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigurationError, UnknownNameError), match=message):
        DualEncoderConfig(**settings)


def test_wrong_inputs_say_what_would_be_right(heads: DualEncoderModel) -> None:
    with pytest.raises(ConfigurationError, match="Give either pixel_values or image_features, and not both"):
        heads.get_image_features()
    with pytest.raises(ConfigurationError, match="Give either input_ids or text_features, and not both"):
        heads.get_text_features(torch.zeros(1, 1), text_features=torch.zeros(1, 4))
    with pytest.raises(ConfigurationError, match=r"holds no image encoder, .*image_features of shape \(images, 6\)"):
        heads.get_image_features(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ConfigurationError, match=r"holds no text encoder, .*text_features of shape \(texts, 4\)"):
        heads.get_text_features(torch.zeros(1, 1, dtype=torch.long))
    with pytest.raises(ConfigurationError, match="Give images and texts to compare, or one of them to embed"):
        heads()
    with pytest.raises(ConfigurationError, match="a loss needs both"):
        heads(image_features=torch.zeros(2, 6), return_loss=True)
    with pytest.raises(ConfigurationError, match="A loss needs a text for each image; found 2 images and 3 texts"):
        heads(image_features=torch.zeros(2, 6), text_features=torch.zeros(3, 4), return_loss=True)
    with pytest.raises(
        ConfigurationError, match="image_feature_dim=None and text_feature_dim=None: both must be known"
    ):
        DualEncoderModel(DualEncoderConfig())


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"image_features": torch.zeros(2, 7)}, r"image_features must have the shape \(images, 6\).* found \(2, 7\)"),
        ({"image_features": torch.zeros(6)}, r"image_features must have the shape \(images, 6\).* found \(6,\)"),
    ],
)
def test_features_of_another_shape_are_refused(heads: DualEncoderModel, inputs: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        heads.get_image_features(**inputs)


def test_photo_ids_that_are_not_one_for_each_image_are_refused(heads: DualEncoderModel) -> None:
    pair = {"image_features": torch.randn(3, 6), "text_features": torch.randn(3, 4), "return_loss": True}
    with pytest.raises(ConfigurationError, match=r"which photo it shows, shape \(3,\); found \(2,\)"):
        heads(**pair, image_ids=torch.zeros(2, dtype=torch.long))


def test_one_picture_without_a_batch_is_refused(tiny_dual: Any) -> None:
    model, _ = tiny_dual()
    with pytest.raises(EncoderError, match=r"takes pixel_values of shape \(batch, 3, 160, 160\), not \(3, 160, 160\)"):
        model.get_image_features(torch.zeros(3, 160, 160))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_model_moved_to_another_number_format_still_gives_float32_cosines(
    tiny_dual: Any, pictures: Any, texts: Any, dtype: torch.dtype
) -> None:
    model, processor = tiny_dual()
    inputs = processor(images=pictures, text=texts, return_tensors="pt")
    with torch.no_grad():
        whole = model(**inputs)
        moved = model.to(dtype)(**inputs)
    assert {moved.image_embeds.dtype, moved.text_embeds.dtype, moved.logits_per_image.dtype} == {torch.float32}
    torch.testing.assert_close(moved.image_embeds, whole.image_embeds, atol=0.03, rtol=0)


def test_under_autocast_the_cosines_keep_their_digits(tiny_dual: Any, pictures: Any, texts: Any) -> None:
    model, processor = tiny_dual()
    inputs = processor(images=pictures, text=texts, return_tensors="pt")
    with torch.no_grad():
        features = {
            "image_features": model.encode_images(inputs["pixel_values"]),
            "text_features": model.encode_texts(inputs["input_ids"], inputs["attention_mask"]),
        }
        plain = model(**features, return_loss=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            cast = model(**features, return_loss=True)
    assert torch.equal(cast.logits_per_image, plain.logits_per_image)
    assert torch.equal(cast.loss, plain.loss)


def test_siglips_temperature_has_no_limit_and_clips_has_one_everywhere() -> None:
    for loss, expected in (("sigmoid", math.exp(4.765)), ("softmax", 100.0)):
        config = DualEncoderConfig(image_feature_dim=6, text_feature_dim=4, projection_dim=8, loss=loss)
        model = DualEncoderModel(config)
        model.logit_scale.data.fill_(4.765)
        for mode in (True, False):
            model.train(mode)
            with torch.no_grad():
                output = model(image_features=torch.randn(3, 6), text_features=torch.randn(2, 4))
            bias = 0.0 if model.logit_bias is None else model.logit_bias
            cosines = output.image_embeds @ output.text_embeds.T
            torch.testing.assert_close((output.logits_per_image - bias), expected * cosines, atol=1e-3, rtol=0)
        assert model.logit_scale.item() == pytest.approx(4.765)


def test_cached_features_can_be_trained_on_as_they_come(tiny_dual: Any, pictures: Any, texts: Any) -> None:
    from linmap.dual.embedding import photo_features, text_features

    model, processor = tiny_dual()
    features = {
        "image_features": photo_features(model, processor, pictures).features,
        "text_features": text_features(model, processor, texts),
    }
    model.train()(**features, return_loss=True).loss.backward()
    assert model.image_projection.weight.grad is not None
