"""Captions kept as they are made: what was cut off goes on, to the same bytes."""

from __future__ import annotations

import itertools
import json
import logging

import pytest

from linmap.errors import EvaluationError, OutputFolderError
from linmap.evaluation import WrittenCaption, WrittenCaptions

IMAGES = [f"{number}.jpg" for number in range(11)]
UNREADABLE = {"0.jpg", "4.jpg", "5.jpg", "10.jpg"}
IDENTITY = {"model": "abc", "decoding": {"num_beams": 3}}


def answer(name):
    if name in UNREADABLE:
        return WrittenCaption(name, error="the file is empty")
    return WrittenCaption(name, f"a »dog« nr {name}\nruns")


def writing(starts=None):
    """Captions the images from a place on, noting where it began."""

    def write(start):
        if starts is not None:
            starts.append(start)
        return map(answer, IMAGES[start:])

    return write


def open_at(path, identity=IDENTITY, batch_size=2, images=IMAGES):
    return WrittenCaptions(path, identity, images, batch_size)


@pytest.fixture
def whole(tmp_path):
    """The bytes of a run that was not cut off."""
    path = tmp_path / "whole.jsonl"
    open_at(path).complete(writing())
    return path.read_bytes()


def test_the_file_says_what_it_is_of_and_then_one_photo_a_line(whole):
    header, *lines = map(json.loads, whole.decode().splitlines())
    assert header == {"captions of": IDENTITY}
    assert [line["image"] for line in lines] == IMAGES
    assert lines[0] == {"image": "0.jpg", "error": "the file is empty"}
    assert lines[1] == {"image": "1.jpg", "caption": "a »dog« nr 1.jpg\nruns"}


def test_captions_come_back_as_they_were_written(tmp_path, whole):
    path = tmp_path / "whole.jsonl"
    again = open_at(path)
    assert again.missing == 0
    assert again.complete(lambda start: pytest.fail("nothing is missing")) == list(map(answer, IMAGES))
    assert path.read_bytes() == whole


def test_a_file_cut_off_anywhere_goes_on_to_the_same_bytes(tmp_path, whole):
    path = tmp_path / "cut.jsonl"
    for length in range(0, len(whole), 5):
        path.write_bytes(whole[:length])
        open_at(path).complete(writing())
        assert path.read_bytes() == whole, f"cut off after {length} bytes"


@pytest.mark.parametrize(("kept", "begins"), [(1, 1), (2, 1), (3, 3), (5, 3), (6, 3), (7, 7), (8, 7), (10, 9)])
def test_it_goes_on_where_a_batch_began(tmp_path, whole, kept, begins):
    path = tmp_path / "cut.jsonl"  # batches: 1 and 2; 3 and 6, as 4 and 5 cannot be read; 7 and 8; 9
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[: kept + 1]) + b'{"image": "torn')
    starts = []
    open_at(path).complete(writing(starts))
    assert starts == [begins]


def test_nothing_is_written_before_a_batch_is_whole(tmp_path):
    path = tmp_path / "captions.jsonl"
    written = open_at(path, batch_size=3)

    def stopping(start):
        yield from map(answer, IMAGES[:3])
        assert not path.exists()
        yield answer(IMAGES[3])
        assert len(path.read_bytes().splitlines()) == 5
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written.complete(stopping)


def test_what_is_forgotten_is_written_anew(tmp_path, whole):
    path = tmp_path / "whole.jsonl"
    written = open_at(path)
    written.start_over()
    starts = []
    written.complete(writing(starts))
    assert starts == [0]
    assert path.read_bytes() == whole


def test_every_photo_made_now_is_told_of(tmp_path, whole):
    path = tmp_path / "cut.jsonl"
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:5]))
    told = itertools.count()
    written = open_at(path)
    missing = written.missing
    written.complete(writing(), lambda: next(told))
    assert next(told) == missing < len(IMAGES)


def test_a_damaged_line_is_named_and_made_anew(tmp_path, whole, caplog):
    path = tmp_path / "whole.jsonl"
    lines = whole.splitlines(keepends=True)
    lines[6] = b"\xff\xfe not JSON\n"
    path.write_bytes(b"".join(lines))
    with caplog.at_level(logging.WARNING):
        open_at(path).complete(writing())
    assert "line 7 is damaged" in caplog.text
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("identity", "said"),
    [
        ({**IDENTITY, "model": "xyz"}, r'model was "abc", and is "xyz" now'),
        ({**IDENTITY, "decoding": {"num_beams": 1}}, r'decoding was {"num_beams": 3}, and is {"num_beams": 1} now'),
        ({**IDENTITY, "dtype": "auto"}, r'dtype was null, and is "auto" now'),
    ],
)
def test_captions_of_another_run_are_refused_by_the_fact_that_differs(tmp_path, whole, identity, said):
    with pytest.raises(OutputFolderError, match=f"holds captions of another run: {said}"):
        open_at(tmp_path / "whole.jsonl", identity)
    assert (tmp_path / "whole.jsonl").read_bytes() == whole


@pytest.mark.parametrize("content", [b"a dog\n", b"[]\n", b'{"image": "a.jpg"}\n', b"\xff\n"])
def test_a_file_of_something_else_is_refused(tmp_path, content):
    path = tmp_path / "notes.jsonl"
    path.write_bytes(content)
    with pytest.raises(OutputFolderError, match="does not say what its captions are of"):
        open_at(path)
    assert path.read_bytes() == content


def test_a_folder_in_the_place_of_the_file_is_an_error_of_ours(tmp_path):
    with pytest.raises(OutputFolderError, match="cannot be read"):
        open_at(tmp_path)


def test_a_place_that_cannot_be_written_is_an_error_of_ours(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputFolderError, match="cannot be written"):
        open_at(tmp_path / "file" / "captions.jsonl").complete(writing())


def test_a_captioner_that_answers_for_other_photos_is_caught():
    with pytest.raises(EvaluationError, match=r"A caption of 1\.jpg came where none was asked for"):
        open_at(None).complete(lambda start: map(answer, IMAGES[1:]))
    with pytest.raises(EvaluationError, match="gave 2 captions for 11 photos"):
        open_at(None).complete(lambda start: map(answer, IMAGES[:2]))


def test_a_batch_of_nothing_is_refused():
    with pytest.raises(EvaluationError, match="The batch size is 0; it must be at least 1"):
        open_at(None, batch_size=0)


def test_what_a_file_is_of_can_be_asked(tmp_path, whole):
    assert WrittenCaptions.identity_in(tmp_path / "whole.jsonl") == IDENTITY
    assert WrittenCaptions.identity_in(tmp_path / "nowhere.jsonl") is None
