from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from linmap.data.left_out import LeftOut
from linmap.data.sentences import LONGEST, Sentence, read_sentences
from linmap.errors import CaptionDataError, UnknownNameError


def texts(sources: list[Path], left_out: LeftOut | None = None, **settings: str) -> list[str]:
    return [sentence.text for sentence in read_sentences(sources, left_out or LeftOut(), **settings)]


def test_what_is_no_sentence_in_a_text_file_costs_only_itself(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes(
        b"\xef\xbb\xbfa dog\r\n\n  \t\n"
        + b"x" * 10_000_000
        + b"\nbad \xff byte\nnul \x00 byte\nlost \xef\xbf\xbd\n\xc5\xbeluv\xc3\xa1 cat\nno end of line"
    )
    left_out = LeftOut()
    read = list(read_sentences([file], left_out))
    assert read == [
        Sentence("a dog", f"{file}:1"),
        Sentence("žluvá cat", f"{file}:8"),
        Sentence("no end of line", f"{file}:9"),
    ]
    assert left_out.counts == {"empty": 2, "too long": 1, "undecodable": 3}
    assert left_out.places["too long"] == [f"{file}:4"]
    assert left_out.places["undecodable"] == [f"{file}:{line}" for line in (5, 6, 7)]


def test_a_long_line_is_never_held(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes(b"x" * 10_000_000 + b"\nlast")
    tracemalloc.start()
    assert texts([file]) == ["last"]
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 1_000_000


@pytest.mark.parametrize(("length", "kept"), [(LONGEST, True), (LONGEST + 1, False), (LONGEST + 2, False)])
@pytest.mark.parametrize("end", [b"", b"\n", b"\nnext\n"])
def test_the_longest_sentence_is_the_longest_whatever_follows(tmp_path, length, kept, end):
    file = tmp_path / "a.txt"
    file.write_bytes(b"y" * length + end)
    left_out = LeftOut()
    read = texts([file], left_out)
    assert (read[:1] == ["y" * length]) is kept
    assert left_out.counts == ({} if kept else {"too long": 1})
    assert read[-1:] == (["next"] if b"next" in end else read[:1])


def test_an_empty_file_of_any_kind_is_counted_and_named(tmp_path):
    files = [tmp_path / name for name in ("a.txt", "b.json", "c.csv", "d.jsonl")]
    for file in files:
        file.touch()
    left_out = LeftOut()
    assert texts(files, left_out) == []
    assert left_out.to_dict() == {"empty file": {"count": 4, "first": [str(file) for file in files]}}


def test_captions_in_json_know_their_photo_and_their_split(tmp_path):
    file = tmp_path / "captions.json"
    records = [
        {"file": "a.jpg", "captions": ["a dog", " "], "split": "train"},
        {"file": "b.jpg", "captions": ["a cat", "half \ud83d"], "split": "val"},
    ]
    file.write_text(json.dumps(records), encoding="utf-8")
    left_out = LeftOut()
    assert list(read_sentences([file], left_out)) == [
        Sentence("a dog", f"{file}: caption 1 of a.jpg"),
        Sentence("a cat", f"{file}: caption 1 of b.jpg"),
    ]
    assert left_out.counts == {"empty": 1, "undecodable": 1}
    assert texts([file], split="val") == ["a cat"]
    with pytest.raises(UnknownNameError, match=r"Unknown split 'vall'\. Did you mean 'val'\? Known: train, val"):
        texts([file], split="vall")


def test_a_list_of_strings_is_read_as_it_stands(tmp_path):
    file = tmp_path / "list.json"
    file.write_text('["a dog", "", "a cat"]', encoding="utf-8")
    assert texts([file]) == ["a dog", "a cat"]
    with pytest.raises(CaptionDataError, match=r"list\.json names no splits, so there is no 'train' in it"):
        texts([file], split="train")


def test_json_lines_hold_objects_or_strings(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_bytes(
        b'{"id": 1, "caption": "a dog"}\n"a cat"\n\n{"caption": ["a car", "a bus"]}\n{"caption": "\xff"}\n'
        b'{"caption": null}\n'
    )
    left_out = LeftOut()
    assert texts([file], left_out) == ["a dog", "a cat", "a car", "a bus"]
    assert left_out.places == {"empty": [f"{file}:3", f"{file}:6"], "undecodable": [f"{file}:5"]}


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "saved", "saved splits"])
def test_tables_are_read_by_column(tmp_path, kind):
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_dict({"id": [1, 2, 3], "caption": ["a dog", None, "a cat"], "url": ["u", "u", "u"]})
    place = tmp_path / (f"rows.{kind}" if "saved" not in kind else "saved")
    if kind == "parquet":
        table.to_parquet(place)
    elif "saved" in kind:
        (table if kind == "saved" else datasets.DatasetDict(train=table, val=table)).save_to_disk(place)
    else:
        table.to_csv(place, sep="," if kind == "csv" else "\t")
    left_out = LeftOut()
    settings = {"split": "val"} if kind == "saved splits" else {}
    assert texts([place], left_out, column="caption", **settings) == ["a dog", "a cat"]
    assert left_out.counts == {"empty": 1}
    with pytest.raises(
        CaptionDataError, match=r"row 1.* has 2 columns of text; name the one .* \(--column\)\. Columns: id"
    ):
        texts([place], **settings)
    with pytest.raises(UnknownNameError, match=r"Unknown column 'captoin'\. Did you mean 'caption'\?"):
        texts([place], column="captoin", **settings)


def test_bytes_of_a_csv_file_that_are_no_text_cost_only_their_row(tmp_path):
    pytest.importorskip("datasets")
    file = tmp_path / "rows.csv"
    file.write_bytes(b"caption\na dog\nbad \xff\na cat\n")
    left_out = LeftOut()
    assert texts([file], left_out) == ["a dog", "a cat"]
    assert left_out.places == {"undecodable": [f"{file}: row 2"]}


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.json", "{", r"a\.json is not JSON \("),
        ("a.json", '{"a": 1}', r"a\.json holds an object with the keys a; expected"),
        ("a.json", "[1, 2]", r"a\.json: string 1 holds 1, which is no text"),
        ("a.jsonl", "{]\n", r"a\.jsonl:1 is no JSON \(.*\); give an object or a string a line"),
        ("a.jsonl", "7\n", r"a\.jsonl:1 holds 7, which is no text; mend it, or name another column"),
        ("a.jsonl", '{"a": 1}\n', r"a\.jsonl:1 has no columns of text; .* Columns: a"),
    ],
)
def test_a_file_that_is_not_of_its_format_is_one_clear_error(tmp_path, name, content, match):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(CaptionDataError, match=match):
        texts([tmp_path / name])


def test_a_source_that_is_not_there_is_said_first(tmp_path):
    there = tmp_path / "a.txt"
    there.write_text("a dog\n", encoding="utf-8")
    stream = read_sentences([there, tmp_path / "b.txt"], LeftOut())
    with pytest.raises(CaptionDataError, match=r"There is no file or folder '.*b\.txt'\. Name text files"):
        next(stream)


def test_only_the_first_places_are_named():
    left_out = LeftOut()
    for line in range(1, 8):
        left_out.add("empty", f"a.txt:{line}")
    assert str(left_out) == "7 empty (a.txt:1, a.txt:2, a.txt:3, a.txt:4, a.txt:5, …)"
