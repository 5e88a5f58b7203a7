"""Laws of the processor: photos and texts in, the model's inputs out."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoProcessor

from linmap import ClippoConfig, ClippoModel, ClippoProcessor, render_text
from linmap.errors import ConfigurationError, UnreadableImageError

from .conftest import SMALL, TEXTS, build, small_tokenizer


def test_texts_become_three_equal_channels_of_what_is_drawn():
    _, processor = build("clippo")
    drawn = processor(text=TEXTS, return_tensors="pt")["text_pixel_values"]
    assert drawn.shape == (4, 3, 48, 48)
    assert torch.equal(drawn[:, 0], drawn[:, 2])
    grey = torch.from_numpy(render_text(TEXTS, 48)).double() / 255 * 2 - 1
    assert torch.allclose(drawn[:, 1].double(), grey, atol=1e-7)
    assert drawn.unique().tolist() == pytest.approx([-1, -1 / 255])


def test_a_photo_of_a_drawn_text_is_the_drawn_text():
    _, processor = build("clippo")
    photo = Image.fromarray(processor.draw("a dog")[0]).convert("RGB")
    both = processor(images=[photo], text="a dog", return_tensors="pt")
    assert torch.equal(both["pixel_values"], both["text_pixel_values"])


def test_saved_and_loaded_is_the_same(kind, tmp_path):
    model, processor = build(kind)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again = AutoProcessor.from_pretrained(tmp_path)
    assert type(again) is ClippoProcessor
    assert again.to_dict() == processor.to_dict()
    photo = np.arange(60 * 50 * 3, dtype=np.uint8).reshape(60, 50, 3)
    for ours, theirs in zip(
        *(one(images=[photo], text=TEXTS, return_tensors="pt").values() for one in (processor, again)), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_tokens_are_padded_and_cut_and_that_is_said(caplog):
    _, processor = build("1t-clip", max_text_tokens=8)
    with caplog.at_level(logging.WARNING):
        tokens = processor(text=["a dog", "a dog on a beach"], return_tensors="pt")
    assert tokens["input_ids"].shape == (2, 8)
    assert tokens["attention_mask"].sum(dim=1).tolist() == [5, 8]
    assert "1 of 2 texts are longer than the 8 tokens that the model reads, the longest has 16" in caplog.text


def test_of_two_texts_it_is_both_together_that_are_counted(caplog):
    _, processor = build("1t-clip", max_text_tokens=8)
    with caplog.at_level(logging.WARNING):
        tokens = processor(text=["a dog", "a dog"], text_pair=["runs", "a"], return_tensors="pt")
    assert tokens["attention_mask"].sum(dim=1).tolist() == [8, 6]
    assert "1 of 2 texts are longer than the 8 tokens that the model reads, the longest has 9" in caplog.text


def test_a_text_without_tokens_is_refused_as_its_padding_would_be_read():
    _, processor = build("1t-clip")
    for texts in (["", "a dog"], [""]):
        with pytest.raises(ConfigurationError, match="The text '' has no tokens"):
            processor(text=texts, return_tensors="pt")


def test_what_cannot_be_prepared_is_said(tmp_path):
    _, processor = build("clippo")
    (tmp_path / "no.jpg").write_bytes(b"no photo")
    with pytest.raises(ConfigurationError, match="Give images, text, or both"):
        processor()
    with pytest.raises(ConfigurationError, match="found an empty list"):
        processor(text=[])
    with pytest.raises(ConfigurationError, match="found 3"):
        processor(text=["a", 3])
    with pytest.raises(ConfigurationError, match="found 5"):
        processor(text=5)
    with pytest.raises(ConfigurationError, match="found b'a dog'"):
        processor(text=b"a dog")
    with pytest.raises(UnreadableImageError, match=r"no\.jpg"):
        processor(images=[tmp_path / "no.jpg"])


def test_a_tokenizer_belongs_to_a_model_that_reads_tokens():
    with pytest.raises(ConfigurationError, match="This model reads drawn text: it has no tokenizer"):
        ClippoProcessor.for_model(build("clippo")[0], small_tokenizer())
    with pytest.raises(ConfigurationError, match="This model reads tokens: pass the tokenizer"):
        ClippoProcessor.for_model(build("1t-clip")[0])


def test_a_tokenizer_of_another_model_is_refused():
    model = ClippoModel(ClippoConfig(**SMALL, text_input="tokens", vocab_size=9))
    with pytest.raises(ConfigurationError, match="The tokenizer has 30 tokens and the model reads 9"):
        ClippoProcessor.for_model(model, small_tokenizer())
    tokenizer = small_tokenizer()
    tokenizer.pad_token = None
    with pytest.raises(ConfigurationError, match="The tokenizer has no padding token"):
        ClippoProcessor.for_model(build("1t-clip")[0], tokenizer)
