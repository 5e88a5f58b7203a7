"""Batches, beams, caches and samples give what one row at a time gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch

FAMILIES = ("gpt2", "gptj", "opt", "llama")
TEXTS = ["<image> a dog <image> runs", "<image> two children play with a red ball"]
IMAGES_OF = [slice(0, 2), slice(2, 3)]


def continuations(model: Any, inputs: Any, **settings: Any) -> list[list[int]]:
    """What is generated after the prompt, without what follows the end of text."""
    ids = model.generate(**inputs, max_new_tokens=6, **settings)[:, inputs["input_ids"].shape[1] :]
    return [[token for token in row if token not in (1, 2)] for row in ids.tolist()]


def one_by_one(model: Any, processor: Any, images: torch.Tensor, **settings: Any) -> list[list[int]]:
    rows = []
    for text, which in zip(TEXTS, IMAGES_OF, strict=True):
        alone = processor(image_features=images[which], text=[text], return_tensors="pt")
        rows += continuations(model, alone, **settings)
    return rows


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "settings",
    [
        {"do_sample": False},
        {"do_sample": False, "num_beams": 3},
        {"do_sample": False, "num_beams": 3, "num_return_sequences": 2},
        {"do_sample": False, "use_cache": False},
        {"do_sample": False, "cache_implementation": "static", "disable_compile": True},
    ],
    ids=["greedy", "beams", "several", "uncached", "static"],
)
def test_a_left_padded_batch_with_ragged_images_equals_one_by_one(
    family: str, settings: dict[str, Any], feature_model: Any, features: Any
) -> None:
    model, processor = feature_model(family)
    images = features(3)
    together = processor(image_features=images, text=TEXTS, return_tensors="pt")
    assert continuations(model, together, **settings) == one_by_one(model, processor, images, **settings)


@pytest.mark.parametrize("family", FAMILIES)
def test_static_and_dynamic_and_no_cache_agree(family: str, feature_model: Any, features: Any) -> None:
    model, processor = feature_model(family)
    inputs = processor(image_features=features(2), return_tensors="pt")
    plain = continuations(model, inputs)
    assert continuations(model, inputs, use_cache=False) == plain
    assert continuations(model, inputs, cache_implementation="static", disable_compile=True) == plain


def test_beams_over_pixels_equal_per_sample(photo_model: Any, photos: Any) -> None:
    """Trap T8: without `mm_encoder_outputs` in forward, beams pair the wrong images, in a batch and alone."""
    model, processor = photo_model("llama")
    settings = {"num_beams": 3, "max_new_tokens": 4, "return_dict_in_generate": True, "output_scores": True}
    together = processor(images=[photos[:2], photos[2:]], text=TEXTS, return_tensors="pt")
    scores = model.generate(**together, **settings).sequences_scores
    features = model.encode_images(together["pixel_values"])
    for row, (text, which) in enumerate(zip(TEXTS, IMAGES_OF, strict=True)):
        alone = processor(image_features=features[which], text=[text], return_tensors="pt")
        torch.testing.assert_close(model.generate(**alone, **settings).sequences_scores[0], scores[row])


def test_features_and_pixels_generate_the_same(photo_model: Any, photos: Any) -> None:
    model, processor = photo_model("gptj")
    inputs = processor(images=photos, return_tensors="pt")
    features = model.encode_images(inputs["pixel_values"])
    by_features = {**{k: v for k, v in inputs.items() if k != "pixel_values"}, "image_features": features}
    assert continuations(model, inputs, num_beams=2) == continuations(model, by_features, num_beams=2)


def test_the_image_changes_what_is_generated(feature_model: Any, features: Any) -> None:
    model, processor = feature_model("llama")
    rows = [
        continuations(model, processor(image_features=features(3)[row : row + 1], return_tensors="pt"))
        for row in range(3)
    ]
    assert rows[0] != rows[1] or rows[1] != rows[2]


def test_features_encoded_once_can_be_used_again(feature_model: Any, features: Any) -> None:
    """Trap T15: generate expands `mm_encoder_outputs` in place."""
    model, processor = feature_model("gpt2")
    inputs = processor(image_features=features(3), return_tensors="pt")
    encoded = {"image": model.get_image_features(image_features=inputs.pop("image_features"))}
    shape = encoded["image"].pooler_output.shape
    first = continuations(model, {**inputs, "mm_encoder_outputs": encoded}, num_beams=2)
    assert encoded["image"].pooler_output.shape == shape
    assert continuations(model, {**inputs, "mm_encoder_outputs": encoded}, num_beams=2) == first


def test_sampling_repeats_with_its_seed(feature_model: Any, features: Any) -> None:
    model, processor = feature_model("opt")
    inputs = processor(image_features=features(2), return_tensors="pt")
    runs = []
    for _ in range(2):
        torch.manual_seed(0)
        runs.append(continuations(model, inputs, do_sample=True, num_return_sequences=2))
    assert runs[0] == runs[1]
    assert len(runs[0]) == 4


@pytest.mark.parametrize(
    "settings", [{"repetition_penalty": 1.3}, {"no_repeat_ngram_size": 2}, {"encoder_repetition_penalty": 1.2}]
)
def test_penalties_never_look_up_a_placeholder(settings: dict[str, Any], tiny_lm: Any, features: Any) -> None:
    from linmap import LinearVisionPrefixModel

    model = LinearVisionPrefixModel.from_backbones(None, tiny_lm("llama"), feature_dim=6, num_image_tokens=4)
    for words in ([7, 9], []):  # behind the image a prompt, or nothing
        ids = torch.tensor([[320, 320, 320, 320, *words]])
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "image_features": features(1)}
        assert model.generate(**inputs, max_new_tokens=4, **settings).shape[1] > ids.shape[1]


def test_a_repetition_penalty_is_that_of_the_words_alone(feature_model: Any, features: Any) -> None:
    from linmap.prefix.placeholders import without_placeholders

    ids = torch.tensor([[300, 300, 7, 9], [2, 300, 7, 8]])
    assert without_placeholders(ids, 300, 320).tolist() == [[9, 9, 7, 9], [2, 8, 7, 8]]
    assert without_placeholders(torch.tensor([[300, 300]]), 300, 320).tolist() == [[319, 319]]


def test_a_placeholder_is_never_drawn(feature_model: Any, features: Any) -> None:
    model, processor = feature_model("gptj")
    inputs = processor(image_features=features(1), return_tensors="pt")
    torch.manual_seed(0)
    drawn = model.generate(
        **inputs, max_new_tokens=20, do_sample=True, top_k=0, temperature=100.0, num_return_sequences=100
    )
    assert processor.image_token_id < model.config.text_config.vocab_size
    assert not (drawn[:, inputs["input_ids"].shape[1] :] == processor.image_token_id).any()
