"""Captions in several languages: what is in the lines comes out by language, and what is wrong with one is named."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from linmap.data import read_language_captions
from linmap.data.images import UnreadableImages
from linmap.errors import CaptionDataError, UnknownNameError, UnreadableImageError

LINES = [
    {"image": "a.jpg", "captions": {"th": ["สุนัขวิ่ง"], "en": ["a dog runs", "a brown dog"]}, "split": "test"},
    {"file": "b.jpg", "captions": {"en": ["two men"], "ar": ["رجلان على دراجتين"], "th": []}, "split": "test"},
    {"image": "c.jpg", "captions": {"zh": ["街上的人"]}, "split": "val"},
]


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        Image.new("RGB", (4, 4)).save(folder / name)
    return folder


@pytest.fixture
def write(tmp_path):
    def lines(*records: object, raw: str = ""):
        path = tmp_path / "captions.jsonl"
        text = "\n".join(json.dumps(one, ensure_ascii=False) for one in records)
        path.write_text(f"{text}\n{raw}", encoding="utf-8")
        return path

    return lines


def test_each_language_has_its_own_photos_in_the_order_of_the_file(write, photos):
    found = read_language_captions(write(*LINES), photos)
    assert list(found) == ["th", "en", "ar", "zh"]
    assert [photo.captions for photo in found["en"]] == [("a dog runs", "a brown dog"), ("two men",)]
    assert [photo.image for photo in found["th"]] == [photos / "a.jpg"]
    assert found["ar"][0].captions == ("رجلان على دراجتين",)


def test_crossmodal_3600_is_read_as_it_is_published(write, photos):
    line = {
        "image/key": "a",
        "image/locale": "th",
        "th": {"caption": ["สุนัขวิ่ง"], "caption/tokenized": ["สุนัข วิ่ง"]},
        "en": {"caption": ["a dog runs"]},
    }
    found = read_language_captions(write(line), photos)
    assert {language: [photo.captions for photo in each] for language, each in found.items()} == {
        "th": [("สุนัขวิ่ง",)],
        "en": [("a dog runs",)],
    }
    assert found["th"][0].image == photos / "a.jpg"


def test_a_split_leaves_the_others_out_with_their_languages(write, photos):
    path = write(*LINES)
    assert list(read_language_captions(path, photos, "test")) == ["th", "en", "ar"]
    with pytest.raises(UnknownNameError, match=r"Unknown split 'tset'\. Did you mean 'test'"):
        read_language_captions(path, photos, "tset")
    with pytest.raises(CaptionDataError, match="names no splits, so there is no 'test' in it"):
        read_language_captions(write({"image": "a.jpg", "captions": {"en": ["a"]}}), photos, "test")


def test_lines_about_one_photo_are_joined_and_counted(write, photos, caplog):
    again = {"image": "./a.jpg", "captions": {"en": ["a third"], "hi": ["एक कुत्ता"]}}
    found = read_language_captions(write(*LINES, again), photos)
    assert found["en"][0].captions == ("a dog runs", "a brown dog", "a third")
    assert len(found["hi"]) == 1
    assert "1 photos stand in several lines" in caplog.text


def test_a_line_separator_in_a_caption_ends_no_line(write, photos):
    found = read_language_captions(write({"image": "a.jpg", "captions": {"en": ["a dog\u2028runs"]}}), photos)
    assert found["en"][0].captions == ("a dog\u2028runs",)


def test_a_missing_photo_stops_unless_allowed_for_and_is_counted_once_for_all_languages(write, photos):
    (photos / "a.jpg").unlink()
    path = write(*LINES)
    with pytest.raises(UnreadableImageError, match=r"a\.jpg: there is no such file"):
        read_language_captions(path, photos)
    unreadable = UnreadableImages(1)
    assert list(read_language_captions(path, photos, unreadable=unreadable)) == ["en", "ar", "zh"]
    assert len(unreadable.errors) == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"image": "a.jpg"', "line 2 is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "line 2 has list; expected a line of"),
        ('{"picture": "a.jpg"}', "line 2 has the keys picture; expected a line of"),
        ('{"image": " ", "captions": {}}', "line 2 has the keys image, captions"),
        ('{"image/key": 3, "en": {"caption": ["a"]}}', "line 2 has the keys image/key, en"),
        ('{"image": "a.jpg", "captions": ["a dog"]}', 'line 2: "captions" are not lists of texts by language'),
        ('{"image": "a.jpg", "captions": {"en": "a dog"}}', 'line 2: "captions" are not lists of texts by language'),
        ('{"image": "a.jpg", "captions": {"": ["a dog"]}}', "line 2: a language has no name"),
        ('{"image": "a.jpg", "captions": {"en": [" "]}}', r"a\.jpg \(en\): caption 1 \(' '\) is empty"),
        ('{"image": "a.jpg", "captions": {"en": [3]}}', r"a\.jpg \(en\): caption 1 is 3, not a text"),
        ('{"image": "a.jpg", "captions": {"en": ["\\ud800"]}}', "half of a character"),
        ('{"image": "a.jpg", "captions": {"en": ["a"]}, "split": 3}', 'line 2: "split" is 3'),
    ],
)
def test_a_line_that_is_wrong_is_named(write, photos, line, words):
    with pytest.raises(CaptionDataError, match=words):
        read_language_captions(write(LINES[0], raw=line), photos)


def test_a_file_without_captions_says_what_is_expected(write, photos, tmp_path):
    with pytest.raises(CaptionDataError, match=r"captions\.jsonl holds no captions; expected a line of"):
        read_language_captions(write({"image": "a.jpg", "captions": {"en": []}}), photos)
    with pytest.raises(CaptionDataError, match="There is no captions file"):
        read_language_captions(tmp_path / "nowhere.jsonl", photos)
