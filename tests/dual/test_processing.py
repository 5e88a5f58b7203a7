"""Photos and texts become what both towers take."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoProcessor, pipeline

from linmap import DualEncoderConfig, DualEncoderModel, DualEncoderProcessor
from linmap.errors import ConfigurationError, UnreadableImageError


def test_photos_and_texts_come_out_under_the_models_names(tiny_dual: Any, pictures: Any, texts: Any) -> None:
    model, processor = tiny_dual()
    inputs = processor(images=pictures, text=texts, return_tensors="pt")
    assert set(inputs) == {"pixel_values", "input_ids", "attention_mask"}
    assert inputs["pixel_values"].shape == (
        4,
        3,
        model.image_encoder.config.image_size,
        model.image_encoder.config.image_size,
    )
    assert len(inputs["input_ids"]) == 4


def test_a_path_a_picture_and_lists_of_them_are_photos(tiny_dual: Any, pictures: Any, tmp_path: Path) -> None:
    _, processor = tiny_dual()
    pictures[0].save(tmp_path / "a.png")
    one = processor(images=tmp_path / "a.png", return_tensors="pt")["pixel_values"]
    for images in (pictures[0], [pictures[0]], [str(tmp_path / "a.png")]):
        assert torch.equal(processor(images=images, return_tensors="pt")["pixel_values"], one)
    with pytest.raises(UnreadableImageError, match=r"nowhere.png: there is no such file"):
        processor(images=[pictures[0], "nowhere.png"])


def test_texts_longer_than_the_context_are_cut_and_counted(tiny_dual: Any, caplog: pytest.LogCaptureFixture) -> None:
    model, processor = tiny_dual()
    texts = ["a dog", "dog " * 100, "cat " * 60]
    with caplog.at_level(logging.WARNING, logger="linmap"):
        inputs = processor(text=texts, return_tensors="pt")
    assert inputs["input_ids"].shape == (3, 32)
    assert "2 of 3 texts are longer than the 32 tokens that the text tower reads, the longest has" in caplog.text
    model.get_text_features(**inputs)


def test_texts_that_fit_are_not_warned_of(tiny_dual: Any, caplog: pytest.LogCaptureFixture) -> None:
    _, processor = tiny_dual()
    room = 32 - len(processor.tokenizer("")["input_ids"])
    exactly = processor.tokenizer.decode(processor.tokenizer("dog " * 60, verbose=False)["input_ids"][1 : room + 1])
    processor(text=["a dog", exactly])
    assert not caplog.records


def test_a_processor_survives_the_disk(tiny_dual: Any, pictures: Any, texts: Any, tmp_path: Path) -> None:
    model, processor = tiny_dual()
    processor.save_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    expected = processor(images=pictures, text=texts, return_tensors="pt")
    for kind in (DualEncoderProcessor, AutoProcessor):
        found = kind.from_pretrained(tmp_path)(images=pictures, text=texts, return_tensors="pt")
        assert {name: value.tolist() for name, value in found.items()} == {
            name: value.tolist() for name, value in expected.items()
        }
    assert DualEncoderProcessor.from_pretrained(tmp_path).tokenizer.model_max_length == 32


def test_the_zero_shot_pipeline_of_transformers_takes_the_model(tiny_dual: Any, pictures: Any, tmp_path: Path) -> None:
    model, processor = tiny_dual()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    labels = ["dog", "cat", "red ball"]
    classify = pipeline("zero-shot-image-classification", model=str(tmp_path))
    answers = classify(pictures, candidate_labels=labels, hypothesis_template="a photo of a {}.")
    texts = [f"a photo of a {label}." for label in labels]
    with torch.no_grad():
        scores = model(**processor(images=pictures, text=texts, return_tensors="pt")).logits_per_image.softmax(-1)
    for answer, row in zip(answers, scores, strict=True):
        found = {entry["label"]: entry["score"] for entry in answer}
        assert [found[label] for label in labels] == pytest.approx(row.tolist(), abs=1e-5)


def test_siglip_scores_texts_in_the_pipeline_as_it_does_padded_to_its_context(
    text_encoder_dir: Callable[[str], Path], tmp_path: Path
) -> None:
    model = DualEncoderModel.from_transformers(text_encoder_dir("siglip"))
    processor = DualEncoderProcessor.for_model(model)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    picture = Image.new("RGB", (40, 40), "red")
    answer = pipeline("zero-shot-image-classification", model=str(tmp_path))(
        picture, candidate_labels=["dog", "a cat"], hypothesis_template="{}"
    )
    ids = processor.tokenizer(["dog", "a cat"], padding="max_length", return_tensors="pt")["input_ids"]
    pixels = processor(images=picture, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        expected = model(input_ids=ids, pixel_values=pixels).logits_per_image.softmax(-1)[0]
    assert {entry["label"]: entry["score"] for entry in answer} == pytest.approx(
        {"dog": expected[0].item(), "a cat": expected[1].item()}, abs=1e-5
    )


def test_what_cannot_be_prepared_says_why(tiny_dual: Any, pictures: Any) -> None:
    _, processor = tiny_dual()
    with pytest.raises(ConfigurationError, match="Give images, text, or both"):
        processor()
    blind = DualEncoderProcessor(tokenizer=processor.tokenizer)
    with pytest.raises(ConfigurationError, match="This processor has no image processor"):
        blind(images=pictures)
    model = DualEncoderModel(DualEncoderConfig(image_feature_dim=6, text_feature_dim=4))
    with pytest.raises(ConfigurationError, match=r"holds no text encoder, so it has no tokenizer; pass tokenizer=…"):
        DualEncoderProcessor.for_model(model)


@pytest.mark.parametrize(("text", "found"), [([], "an empty list"), (["a dog", None], "None"), ([3], "3")])
def test_what_is_no_text_is_named(tiny_dual: Any, text: Any, found: str) -> None:
    _, processor = tiny_dual()
    with pytest.raises(ConfigurationError, match=rf"text must be one text or a list of at least one; found {found}\."):
        processor(text=text, return_tensors="pt")
