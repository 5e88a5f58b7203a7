"""Pairs of texts: what belongs together, the same again for the same number, damaged lines counted and named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linmap.data.captions import Captioned
from linmap.data.documents import read_documents
from linmap.data.images import EncodedPhoto
from linmap.data.left_out import LeftOut
from linmap.data.text_pairs import CaptionPairs, SentencePairs, TextPair, WordDropout, read_translations
from linmap.errors import CaptionDataError, TextPairError, UnknownNameError

TALE = "Dr. Dog ran to the U.S. border. It barked! Then it slept."


def photo(name: str, *captions: str) -> Captioned:
    return Captioned(EncodedPhoto(name, name.encode()), captions)


def test_captions_of_one_photo_form_pairs_of_its_group_and_every_pair_comes() -> None:
    pairs = CaptionPairs([photo("a", "x", "y", "z"), photo("b", "same", "same"), photo("c", "u", "v")], [5, 6, 7])
    assert len(pairs) == 2  # b has nothing to say twice
    drawn = {pairs.pair(0, draw) for draw in range(60)}
    assert {pair[:2] for pair in drawn} == {(a, b) for a in "xyz" for b in "xyz" if a != b}
    assert {pair.group for pair in drawn} == {5}
    assert pairs.pair(1, 0).group == 7


def test_sentences_that_follow_one_another_form_pairs_cut_by_a_language_s_rules() -> None:
    pairs = SentencePairs([TALE])
    first, second = "Dr. Dog ran to the U.S. border.", "It barked!"
    assert {pairs.pair(0, draw)[:2] for draw in range(20)} == {(first, second), (second, "Then it slept.")}
    assert SentencePairs(["你好吗?我很好。再见。"], "zh").pair(0, 1)[0] == "你好吗?"


def test_documents_of_one_sentence_are_passed_over_and_text_without_pairs_is_an_error() -> None:
    pairs = SentencePairs(["Alone.", "", TALE])
    assert pairs.pair(0, 3)[:2] == pairs.pair(2, 3)[:2]
    with pytest.raises(
        TextPairError, match=r"None of 2 documents from number 1 on has two sentences. Give running text"
    ):
        SentencePairs(["a dog", "a cat"])


@given(st.lists(st.text(alphabet=st.characters(), max_size=60), max_size=4))
def test_no_text_breaks_the_splitter(texts: list[str]) -> None:
    pair = SentencePairs([*texts, TALE]).pair(0, 1)
    assert pair.first.strip() == pair.first != ""
    assert pair.second.strip() == pair.second != ""


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=12), st.integers(0, 2**31 - 1))
def test_word_dropout_keeps_some_words_in_their_order_and_the_other_side_whole(words: list[str], draw: int) -> None:
    sentence = " ".join(words)
    pair = WordDropout([sentence], drop=0.25).pair(0, draw)
    assert sentence in pair[:2]
    shorter = pair.second if pair.first == sentence else pair.first
    assert 1 <= len(shorter.split()) <= max(1, len(words) - 1)
    rest = iter(words)
    assert all(word in rest for word in shorter.split())  # a subsequence


def test_an_empty_sentence_has_no_words_to_leave_out() -> None:
    with pytest.raises(TextPairError, match=r"Sentence 2 is empty, so it has no words to leave out; give sentences"):
        WordDropout(["a b", " "]).pair(1, 0)


def test_words_are_dropped_at_the_rate_that_is_said() -> None:
    pairs = WordDropout([" ".join(map(str, range(100)))], drop=0.25)
    kept = [min(len(pair.first.split()), len(pair.second.split())) for pair in (pairs.pair(0, n) for n in range(200))]
    assert sum(kept) / len(kept) == pytest.approx(75, abs=1.5)


def test_the_same_number_gives_the_same_pair_and_equal_texts_are_one_group() -> None:
    pairs = [
        SentencePairs([TALE]),
        WordDropout(["one two three", "one two three"]),
        CaptionPairs([photo("a", "x", "y")], [1]),
    ]
    for one in pairs:
        assert one.pair(0, 17) == one.pair(0, 17)
    dropout = pairs[1]
    assert dropout.pair(0, 1).group == dropout.pair(1, 2).group < 0
    assert WordDropout(["a b"], [9]).pair(0, 1).group == 9


def test_translations_are_read_and_damaged_lines_are_counted_and_named(tmp_path: Path) -> None:
    file = tmp_path / "pairs.tsv"
    lines = ["\ufeffa dog\tein Hund", "", "no tab", "three\tof\tthem", "half\t ", "wide\t\u3000", "a cat\teine Katze\r"]
    file.write_bytes("\n".join(lines).encode() + b"\n\xff\xfe\tx\n")
    left_out = LeftOut()
    pairs = read_translations(file, left_out)
    assert len(pairs) == 2
    assert {frozenset(pairs.pair(row, 1)[:2]) for row in (0, 1)} == {
        frozenset({"a dog", "ein Hund"}), frozenset({"a cat", "eine Katze"}),
    }  # fmt: skip
    assert {pairs.pair(0, draw).first for draw in range(2)} == {"a dog", "ein Hund"}
    assert left_out.counts == {"empty": 1, "without two columns": 2, "with an empty column": 2, "undecodable": 1}
    assert left_out.places["without two columns"] == [f"{file}:3", f"{file}:4"]


def test_translations_that_are_not_there_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(TextPairError, match=r"There is no file of translations .*nowhere.tsv; check the path"):
        read_translations(tmp_path / "nowhere.tsv", LeftOut())
    with pytest.raises(TextPairError, match=r"cannot be read \(Is a directory\)"):
        read_translations(tmp_path, LeftOut())
    (tmp_path / "none.tsv").write_text("no tab\n")
    with pytest.raises(TextPairError, match=r"holds no pair of translations: 1 without two columns"):
        read_translations(tmp_path / "none.tsv", LeftOut())


def test_paragraphs_of_a_text_file_are_documents(tmp_path: Path) -> None:
    file = tmp_path / "tales.txt"
    file.write_bytes(b"\xef\xbb\xbfOne.\r\nTwo.\r\n\r\n\n\xff bad line\nThree.\n")
    left_out = LeftOut()
    documents = read_documents(file, left_out)
    assert list(documents) == ["One.\nTwo.", "Three."]
    assert documents[:1] == ["One.\nTwo."]
    assert left_out.counts == {"undecodable": 1}


def test_rows_of_tables_are_documents_compressed_json_as_c4_has_it_too(tmp_path: Path) -> None:
    rows = [{"text": TALE, "url": "http://a"}, {"text": "Alone.", "url": "http://b"}]
    text = "\n".join(map(json.dumps, rows))
    (tmp_path / "rows.jsonl").write_text(text)
    folder = tmp_path / "c4"
    folder.mkdir()
    with gzip.open(folder / "c4-train.00000-of-00001.json.gz", "wt") as file:
        file.write(text)
    for source, split in ((tmp_path / "rows.jsonl", None), (folder, "train")):
        assert list(read_documents(source, LeftOut(), split=split, column="text")) == [TALE, "Alone."]
    with pytest.raises(CaptionDataError, match=r"has 2 columns of text; name the one"):
        read_documents(tmp_path / "rows.jsonl", LeftOut())
    with pytest.raises(UnknownNameError, match=r"Unknown column of .* 'txt'. Did you mean 'text'"):
        read_documents(tmp_path / "rows.jsonl", LeftOut(), column="txt")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("nowhere.txt", None, r"There is no file or folder .*nowhere.txt"),
        ("empty.txt", b"", r"empty.txt holds no document; give text in UTF-8"),
        ("empty.jsonl", b"", r"empty.jsonl is empty; fetch it again"),
        ("broken.jsonl", b"{", r"Cannot read .*broken.jsonl"),
        ("broken.parquet", b"PAR1", r"Cannot read .*broken.parquet"),
    ],
)
def test_what_holds_no_documents_is_one_line(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CaptionDataError, match=words):
        read_documents(tmp_path / name, LeftOut())


def test_a_pair_is_first_second_group() -> None:
    assert TextPair("a", "b", 1)._fields == ("first", "second", "group")
