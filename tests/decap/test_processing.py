"""The processor: photos, texts with their end, captions back."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from linmap import DeCapProcessor
from linmap.errors import BackboneError, ConfigurationError, UnreadableImageError
from linmap.text_encoders.open_clip_tokens import clip_tokenizer


def test_each_text_ends_and_a_long_one_is_cut(tiny_tokenizer: Any) -> None:
    processor = DeCapProcessor(tokenizer=tiny_tokenizer(), max_length=5)
    ids = processor(text=["a dog", "two children play with a red ball on the beach"])["input_ids"]
    assert ids[0][-1] == processor.tokenizer.eos_token_id
    assert len(ids[1]) == 5
    assert processor.tokenizer.eos_token_id not in ids[1]  # as in the paper's code: cut after the end was put on


def test_clips_own_beginning_is_learned_and_its_end_not_doubled() -> None:
    ids = DeCapProcessor(tokenizer=clip_tokenizer())(text="a cat.")["input_ids"][0]
    assert ids == [49406, 320, 2368, 269, 49407]


def test_before_a_pretrained_language_model_no_text_begins(tiny_decap: Any, tiny_lm_dir: Any) -> None:
    _, processor = tiny_decap(str(tiny_lm_dir("llama")))  # its tokenizer puts <s> in front
    ids = processor(text="a dog")["input_ids"][0]
    assert ids[0] != processor.tokenizer.bos_token_id
    assert ids[-1] == processor.tokenizer.eos_token_id


def test_padding_is_no_label(tiny_tokenizer: Any) -> None:
    processor = DeCapProcessor(tokenizer=tiny_tokenizer())
    inputs = processor(text=["a dog", "two children play"], return_tensors="pt")
    assert torch.equal(inputs["labels"] == -100, inputs["attention_mask"] == 0)
    assert inputs["attention_mask"][0, -1] == 0  # on the right


def test_captions_have_single_blanks_and_no_special_tokens(tiny_tokenizer: Any) -> None:
    processor = DeCapProcessor(tokenizer=tiny_tokenizer())
    ids = processor(text=["a  dog runs", "a cat"], return_tensors="pt")["input_ids"]
    assert processor.caption(ids) == ["a dog runs", "a cat"]


def test_a_processor_is_saved_with_what_it_was_told(tiny_tokenizer: Any, tmp_path: Any) -> None:
    DeCapProcessor(tokenizer=tiny_tokenizer(), max_length=7, add_special_tokens=False).save_pretrained(tmp_path)
    again = DeCapProcessor.from_pretrained(tmp_path)
    assert (again.max_length, again.add_special_tokens) == (7, False)
    with pytest.raises(ConfigurationError):
        again(images=["a.jpg"])  # there is no image processor


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "Give images, text, or both"),
        ({"text": []}, "found an empty list"),
        ({"text": ["a", 3]}, "found 3"),
    ],
)
def test_what_cannot_be_prepared_is_named(tiny_tokenizer: Any, arguments: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        DeCapProcessor(tokenizer=tiny_tokenizer())(**arguments)


def test_a_photo_that_cannot_be_read_is_named(tiny_decap: Any, tmp_path: Any) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no photo")
    _, processor = tiny_decap()
    with pytest.raises(UnreadableImageError, match=r"a\.jpg"):
        processor(images=[tmp_path / "a.jpg"], return_tensors="pt")


def test_a_tokenizer_is_needed(tiny_decap: Any) -> None:
    with pytest.raises(ConfigurationError, match="needs a tokenizer"):
        DeCapProcessor()
    model, _ = tiny_decap()
    with pytest.raises(BackboneError, match="pass tokenizer="):
        DeCapProcessor.for_model(model)


def test_a_text_beside_a_photo_is_what_its_caption_begins_with(tiny_decap: Any, pictures: Any) -> None:
    _, processor = tiny_decap()
    inputs = processor(images=pictures[:3], text=["a dog", "", "two children play"], return_tensors="pt")
    assert "labels" not in inputs
    longest = inputs["input_ids"].shape[1]
    for text, row, mask in zip(
        ["a dog", "", "two children play"], inputs["input_ids"], inputs["attention_mask"], strict=True
    ):
        ids = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert row[longest - len(ids) :].tolist() == ids
        assert mask.tolist() == [0] * (longest - len(ids)) + [1] * len(ids)
    alone = processor(images=pictures[:1], text="", return_tensors="pt")
    assert alone["input_ids"].shape == (1, 0)
