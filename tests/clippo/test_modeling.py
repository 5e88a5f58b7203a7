"""Laws of CLIPPO and of the models beside it."""

from __future__ import annotations

import math

import pytest
import timm
import torch
from transformers import AutoConfig, AutoModel

from linmap import ClippoConfig, ClippoModel, ClippoProcessor
from linmap.clippo.pixels import tower_pixels
from linmap.clippo.towers import resized_positions
from linmap.errors import ConfigurationError, EncoderError, RenderingError, UnknownNameError

from .conftest import KINDS, SMALL, TEXTS, build


def embedded(model, processor, texts):
    inputs = processor(text=texts, return_tensors="pt")
    return model(pixel_values=torch.zeros(1, 3, 48, 48), **inputs).text_embeds


def test_embeddings_have_length_one_and_logits_are_cosines_times_the_scale(kind, pixels):
    model, processor = build(kind)
    output = model(pixel_values=pixels, **processor(text=TEXTS[:3], return_tensors="pt"))
    for embeds in (output.image_embeds, output.text_embeds):
        assert torch.allclose(embeds.norm(dim=-1), torch.ones(len(embeds)))
    expected = model.logit_scale.exp() * output.image_embeds @ output.text_embeds.T
    assert torch.equal(output.logits_per_image, expected)
    assert torch.equal(output.logits_per_text, expected.T)
    assert output.loss is None


def test_the_temperature_starts_at_ten():
    assert ClippoModel(ClippoConfig(**SMALL)).logit_scale.exp().item() == pytest.approx(10)


def test_queries_keys_and_values_start_as_if_each_had_a_matrix_of_its_own():
    torch.manual_seed(0)
    tower = ClippoModel(ClippoConfig(**{**SMALL, "hidden_size": 64, "intermediate_size": 64})).tower
    expected = math.sqrt(1 / 64)  # Xavier over 64 x 64
    fused = [tower.blocks[0].attn.qkv.weight, tower.attn_pool.kv.weight, tower.attn_pool.q.weight]
    for part in (part for weight in fused for part in weight.split(64)):
        assert part.std().item() == pytest.approx(expected, rel=0.05)


def test_saved_and_loaded_is_the_same(kind, pixels, tmp_path):
    model, processor = build(kind)
    model.save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path)
    assert type(again) is ClippoModel
    assert AutoConfig.from_pretrained(tmp_path).to_dict() == again.config.to_dict()
    weights = again.state_dict()
    assert weights.keys() == model.state_dict().keys()
    assert all(torch.equal(weights[key], value) for key, value in model.state_dict().items())
    assert torch.equal(again.get_image_features(pixels), model.get_image_features(pixels))
    assert torch.equal(embedded(again, processor, TEXTS), embedded(model, processor, TEXTS))
    assert "# One tower for photos and drawn text" in (tmp_path / "README.md").read_text()


def test_a_text_is_the_same_whatever_stands_beside_it(kind):
    model, processor = build(kind)
    together = embedded(model, processor, TEXTS)
    alone = torch.cat([embedded(model, processor, [text]) for text in TEXTS])
    assert torch.allclose(together, alone, atol=1e-6)


def test_a_photo_of_a_text_is_that_text_where_all_is_shared(pixels):
    model, processor = build("clippo")
    drawn = processor(text=TEXTS, return_tensors="pt")["text_pixel_values"]
    assert torch.equal(model.get_image_features(drawn), model.get_text_features(pixel_values=drawn))
    for kind in ("own-patch-embedding", "own-head", "own-tower"):
        model, _ = build(kind)
        assert not torch.allclose(model.get_image_features(drawn), model.get_text_features(pixel_values=drawn))


def test_the_model_draws_as_its_processor_does():
    model, processor = build("clippo", text_renderer={"monospace": True, "lowercase": False})
    assert processor.text_renderer["monospace"]
    by_processor = model.get_text_features(pixel_values=tower_pixels(processor.draw(TEXTS)))
    assert torch.equal(model.get_text_features(TEXTS), by_processor)
    assert not torch.allclose(build("clippo")[0].get_text_features(TEXTS), by_processor)


def test_every_weight_learns_and_parts_that_are_not_shared_double(kind, pixels):
    model, processor = build(kind)
    model.train()
    model(pixel_values=pixels, **processor(text=TEXTS, return_tensors="pt"), return_loss=True).loss.backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []
    tower = sum(weight.numel() for weight in model.tower.parameters())
    more = {
        "own-patch-embedding": 16 * 16 * 3 * 32 + 32,
        "own-head": 32 * 24 + 24,
        "own-tower": tower + 32 * 24 + 24,
        "1t-clip": 30 * 32 + 64 * 32,
        "clip-star": tower - (16 * 16 * 3 * 32 + 32) - 9 * 32 + 30 * 32 + 64 * 32 + 32 * 24 + 24,
    }
    assert model.num_parameters() - build("clippo")[0].num_parameters() == more.get(kind, 0)


def test_pairs_of_texts_stand_behind_the_images(kind, pixels):
    model, processor = build(kind)
    first = processor(text=TEXTS[:2], return_tensors="pt")
    names = {"text_pixel_values": "first_text_pixel_values", "input_ids": "first_input_ids"}
    given = {names.get(name, "first_attention_mask"): value for name, value in first.items()}
    both = processor(text=TEXTS, return_tensors="pt")
    output = model(pixel_values=pixels[:2], **given, **both, return_loss=True)
    assert torch.allclose(output.image_embeds[:2], model.get_image_features(pixels[:2]), atol=1e-6)
    assert torch.allclose(output.image_embeds[2:], embedded(model, processor, TEXTS[:2]), atol=1e-6)
    logits = output.logits_per_image
    places = torch.arange(4)
    cross_entropy = torch.nn.functional.cross_entropy
    expected = (cross_entropy(logits, places) + cross_entropy(logits.T, places)) / 2
    assert output.loss.item() == pytest.approx(expected.item())


def test_captions_of_one_photo_are_never_each_others_negatives(pixels):
    model, processor = build("clippo")
    inputs = {"pixel_values": pixels, **processor(text=TEXTS, return_tensors="pt"), "return_loss": True}
    ids = torch.tensor([0, 0, 1, 2])
    output = model(**inputs, image_ids=ids)
    masked = output.logits_per_image.masked_fill((ids[:, None] == ids[None]) & ~torch.eye(4, dtype=bool), -torch.inf)
    ways = [torch.nn.functional.cross_entropy(one, torch.arange(4)) for one in (masked, masked.T)]
    assert output.loss.item() == pytest.approx((sum(ways) / 2).item())


def test_mini_batches_give_the_same_gradient(kind, pixels):
    gradients = []
    for size in (None, 3):
        model, processor = build(kind, mini_batch_size=size)
        model.train()
        model(pixel_values=pixels, **processor(text=TEXTS, return_tensors="pt"), return_loss=True).loss.backward()
        gradients.append(torch.cat([weight.grad.flatten() for weight in model.parameters()]))
    assert torch.allclose(*gradients, atol=1e-5)


def test_a_loss_in_training_keeps_no_logits(pixels):
    model, processor = build("clippo")
    output = model.train()(pixel_values=pixels, **processor(text=TEXTS, return_tensors="pt"), return_loss=True)
    assert output.logits_per_image is None


def test_under_autocast_head_and_cosines_are_float32(pixels):
    model, _ = build("clippo")
    with torch.autocast("cpu", torch.bfloat16):
        assert model.get_image_features(pixels).dtype == torch.float32
        assert model.encode_images(pixels).dtype in (torch.bfloat16, torch.float32)


def test_a_model_in_bfloat16_takes_float32_pixels(pixels, tmp_path):
    model, _ = build("clippo")
    model.save_pretrained(tmp_path)
    half = ClippoModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert half.get_image_features(pixels).dtype == torch.float32
    assert torch.allclose(half.get_image_features(pixels), model.get_image_features(pixels), atol=0.05)


def test_any_image_and_patch_size():
    for image_size, patch_size in ((32, 8), (60, 12), (64, 32)):
        model = ClippoModel(ClippoConfig(**{**SMALL, "image_size": image_size, "patch_size": patch_size})).eval()
        assert model.tower.pos_embed.shape == (1, (image_size // patch_size) ** 2, 32)
        assert model.get_text_features(["a dog"]).shape == (1, 24)


def test_a_tower_starts_from_a_vit_without_its_class_token():
    vit = timm.create_model("test_vit", pretrained=False)
    model = ClippoModel.from_vit("timm:test_vit", pretrained=False, projection_dim=24)
    assert (model.config.hidden_size, model.config.image_size) == (vit.embed_dim, 160)
    assert model.config.initialised_from is None
    larger = ClippoModel.from_vit("timm:test_vit", pretrained=False, projection_dim=24, image_size=192)
    key = "tower.blocks.0.attn.qkv.weight"
    assert torch.equal(larger.state_dict()[key], model.state_dict()[key])  # the seed is fixed: the same ViT
    resized = resized_positions(model.tower.pos_embed, 192 // 16)
    assert torch.equal(larger.tower.pos_embed, resized)


def test_a_network_that_is_no_vit_is_refused():
    with pytest.raises(EncoderError, match="A tower can start from a plain ViT of timm"):
        ClippoModel.from_vit("timm:test_resnet", pretrained=False)
    with pytest.raises(EncoderError, match="That ViT has another shape: blocks"):
        ClippoModel.from_vit("timm:test_vit", pretrained=False, num_hidden_layers=2)


def test_positions_keep_their_corners_when_they_are_resized():
    positions = torch.arange(16.0).reshape(1, 16, 1)
    assert resized_positions(positions, 4) is positions
    seven = resized_positions(positions, 7).reshape(7, 7)
    assert seven[::2, ::2].flatten().tolist() == positions.flatten().tolist()
    with pytest.raises(ConfigurationError, match="There are 15 position embeddings, which is no square grid"):
        resized_positions(positions[:, 1:], 4)


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({"image_size": 50}, r"image_size is 50 and patch_size 16: .* The next smaller size is 48\."),
        ({"num_attention_heads": 3}, "hidden_size is 32 and num_attention_heads 3"),
        ({"projection_dim": 0}, "projection_dim is 0; it must be at least 1"),
        ({"projection_dim": None}, "projection_dim is None; it must be a whole number"),
        ({"image_size": "48"}, "image_size is '48'; it must be a whole number"),
        ({"mini_batch_size": 2.5}, r"mini_batch_size is 2\.5; it must be a whole number"),
        ({"text_renderer": ["font_size"]}, r"text_renderer is \['font_size'\]; give keyword arguments"),
        ({"text_input": "tokens"}, 'text_input is "tokens", and vocab_size is not known'),
        ({"text_input": "tokens", "vocab_size": 9, "text_patch_embedding": "own"}, "tokens are not drawn"),
        ({"text_tower": "own", "text_patch_embedding": "own"}, "has its own patch embedding already"),
        ({"classifier_dropout": 1.0}, r"classifier_dropout is 1.0; it must lie in \[0, 1\)"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(said, match):
    with pytest.raises(ConfigurationError, match=match):
        ClippoConfig(**{**SMALL, **said})


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({"text_input": "pixel"}, "Unknown text_input 'pixel'"),
        ({"text_head": "both"}, "Unknown text_head 'both'"),
        ({"text_renderer": {"fontsize": 8}}, "Unknown setting of text_renderer 'fontsize'.*font_size"),
    ],
)
def test_words_that_are_not_known_are_refused(said, match):
    with pytest.raises(UnknownNameError, match=match):
        ClippoConfig(**{**SMALL, **said})


def test_settings_of_drawing_are_refused_before_a_text_is_drawn():
    for settings, match in [
        ({"font_size": 0}, "font_size=0: give a whole number"),
        ({"text_brightness": 300}, "text_brightness=300"),
        ({"lowercase": "no"}, "lowercase='no': give True or False"),
    ]:
        with pytest.raises(RenderingError, match=match):
            ClippoConfig(**SMALL, text_renderer=settings)
        with pytest.raises(RenderingError, match=match):
            ClippoProcessor(text_renderer=settings)
    with pytest.raises(UnknownNameError, match="Unknown setting of text_renderer 'fontsize'"):
        ClippoProcessor(text_renderer={"fontsize": 8})


def test_what_a_model_cannot_read_is_said(pixels):
    drawing, _ = build("clippo")
    reading, _ = build("1t-clip")
    ids = torch.ones(1, 3, dtype=torch.long)
    refused = [
        (lambda: drawing(pixel_values=pixels, input_ids=ids), "This model reads drawn text"),
        (lambda: reading(pixel_values=pixels, text_pixel_values=pixels), "This model reads tokens"),
        (lambda: reading.get_text_features(["a"]), "This model reads tokens and draws nothing"),
        (lambda: reading.get_text_features(input_ids=ids.expand(1, 3).repeat(1, 30)), "at most 64 tokens"),
        (
            lambda: reading.get_text_features(input_ids=ids, attention_mask=torch.ones(1, 2)),
            r"attention_mask must say of each token whether it is one, shape \(1, 3\); found \(1, 2\)",
        ),
        (lambda: drawing.get_text_features(), "Give exactly one of texts"),
        (lambda: drawing.get_image_features(), "Give either pixel_values or image_features"),
        (lambda: drawing.get_image_features(pixels[..., :32]), r"pixel_values must have the shape \(n, 3, 48, 48\)"),
        (lambda: drawing.get_image_features(image_features=pixels), r"Features must have the shape \(n, 32\)"),
        (lambda: drawing(), "Give texts and what to compare them with, or one of the two to embed"),
        (lambda: drawing(text_pixel_values=pixels, return_loss=True), "a loss needs both"),
        (
            lambda: drawing(pixel_values=pixels[:1], text_pixel_values=pixels, return_loss=True),
            "found 1 of these and 4",
        ),
        (
            lambda: drawing(
                pixel_values=pixels, text_pixel_values=pixels, return_loss=True, image_ids=torch.zeros(2).long()
            ),
            r"shape \(4,\); found \(2,\)",
        ),
    ]
    for call, match in refused:
        with pytest.raises(ConfigurationError, match=match):
            call()


def test_the_published_size_is_the_default():
    config = ClippoConfig()
    with torch.device("meta"):
        model = ClippoModel(config)
    assert config.num_patches == 196
    assert model.num_parameters() == 93_474_817  # ViT-B/16 with attention pooling, a head of 768 and the temperature
    assert config.logit_scale_init_value == math.log(10)
    assert set(KINDS) == {"clippo", "own-patch-embedding", "own-head", "own-tower", "1t-clip", "clip-star"}
