"""The sentences of a run: drawn and parted by the seed alone, nothing lost in silence."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from linmap.errors import CaptionDataError, RecipeError
from linmap.recipes.decap.schema import DeCapDataRecipe, TextSource
from linmap.recipes.decap.texts import read_texts


@pytest.fixture
def lines(tmp_path: Path) -> TextSource:
    """A text file of 40 sentences, of which 30 are different."""
    file = tmp_path / "lines.txt"
    file.write_text("\n".join(f"sentence {number % 30}" for number in range(40)), encoding="utf-8")
    return TextSource(source=str(file))


def test_several_sources_are_read_one_after_another(lines: TextSource, tmp_path: Path) -> None:
    (tmp_path / "more.json").write_text('["one more", "and another"]')
    more = TextSource(source=str(tmp_path / "more.json"))
    other = TextSource(source=__file__)
    texts, _ = read_texts(DeCapDataRecipe(texts=(lines, more), validation_texts=(other,)), 0)
    assert texts == [*(f"sentence {number % 30}" for number in range(40)), "one more", "and another"]


def test_the_share_kept_apart_stands_nowhere_in_what_is_learned(lines: TextSource) -> None:
    said = DeCapDataRecipe(texts=(lines,), validation_share=0.2)
    texts, apart = read_texts(said, 0)
    assert len(apart) == len(set(apart)) == 6
    assert not set(texts) & set(apart)
    assert len(set(texts)) == 24
    assert read_texts(said, 0) == (texts, apart)
    assert read_texts(said, 1)[1] != apart


def test_fewer_texts_lie_among_more(lines: TextSource) -> None:
    held_out = TextSource(source=__file__)
    few, more = (
        read_texts(DeCapDataRecipe(texts=(lines,), train_texts=count, validation_texts=(held_out,)), 0)[0]
        for count in (5, 20)
    )
    assert (len(few), len(more)) == (5, 20)
    assert set(few) < set(more)
    with pytest.raises(RecipeError, match=r"data\.train_texts is 41; data\.texts holds 40 sentences\."):
        read_texts(DeCapDataRecipe(texts=(lines,), train_texts=41), 0)


def test_what_is_no_sentence_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.txt").write_text("a dog\n\na cat\n")
    with caplog.at_level(logging.WARNING, logger="linmap"):
        read_texts(DeCapDataRecipe(texts=(TextSource(source=str(tmp_path / "a.txt")),), validation_share=0.5), 0)
    assert "Left out of data.texts: 1 empty" in caplog.text


def test_no_text_is_one_clear_line(tmp_path: Path) -> None:
    empty = TextSource(source=str(tmp_path / "empty.txt"))
    with pytest.raises(CaptionDataError, match=r"There is no file or folder '.*empty\.txt'"):
        read_texts(DeCapDataRecipe(texts=(empty,)), 0)
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(RecipeError, match=r"data\.texts holds no sentence: .*empty\.txt\."):
        read_texts(DeCapDataRecipe(texts=(empty,)), 0)
    (tmp_path / "empty.txt").write_text("the only one\n")
    with pytest.raises(RecipeError, match=r"1 different sentence\(s\), and none is left to learn"):
        read_texts(DeCapDataRecipe(texts=(empty,)), 0)
