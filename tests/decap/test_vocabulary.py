"""A tokenizer learned from the training text."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from linmap.decap.vocabulary import train_tokenizer
from linmap.errors import ConfigurationError

TEXTS = ["A dog runs across the grass.", "Two dogs run!", "Ein Hund läuft über den Rasen 🐕"]


def test_every_text_comes_back_in_small_letters() -> None:
    tokenizer = train_tokenizer(TEXTS, 400)
    for text in [*TEXTS, "日本語", "x\ty"]:
        assert tokenizer.decode(tokenizer(text).input_ids).strip() == text.lower()
    kept = train_tokenizer(TEXTS, 400, lowercase=False)
    assert kept.decode(kept("A Dog").input_ids).strip() == "A Dog"


def test_the_same_texts_give_the_same_tokenizer(tmp_path: Path) -> None:
    first, second = train_tokenizer(TEXTS, 300), train_tokenizer(iter(TEXTS), 300)
    assert first.get_vocab() == second.get_vocab()
    first.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again(TEXTS).input_ids == second(TEXTS).input_ids
    assert (again.pad_token_id, again.eos_token_id, again.bos_token_id) == (0, 1, None)


def test_a_vocabulary_without_room_for_every_byte_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="vocabulary_size is 100; it must be at least 258"):
        train_tokenizer(TEXTS, 100)
