"""MAGMA's folder format: what its files say comes out, and what is wrong with one is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from linmap.data import Captioned
from linmap.data.images import UnreadableImages
from linmap.data.magma import read_magma
from linmap.errors import CaptionDataError, UnreadableImageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, content in {
        "0/2.json": {"image_path": "images/0/2.jpg", "captions": ["A cat ."], "metadata": {"width": 4}},
        "0/1.json": {"image_path": "images/0/1.jpg", "captions": ["A dog .", "A pet"]},
        "1/3.json": {"captions": ["A horse"]},
    }.items():
        file = tmp_path / "image_data" / number
        photo = tmp_path / "images" / Path(number).with_suffix(".jpg")
        for path in (file, photo):
            path.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content), encoding="utf-8")
        Image.new("RGB", (4, 4)).save(photo)
    return tmp_path


def test_photos_come_in_the_order_of_their_files(folder):
    assert read_magma(folder, lowercase=True, strip_final_period=True) == [
        Captioned(folder / "images/0/1.jpg", ("a dog", "a pet")),
        Captioned(folder / "images/0/2.jpg", ("a cat",)),
        Captioned(folder / "images/1/3.jpg", ("a horse",)),
    ]


def test_a_missing_photo_is_named_and_never_replaced_by_another(folder):
    (folder / "images/0/2.jpg").unlink()
    with pytest.raises(UnreadableImageError, match=r"images/0/2\.jpg: there is no such file"):
        read_magma(folder)
    assert len(read_magma(folder, unreadable=UnreadableImages(limit=1))) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1", r"0/2\.json is not JSON .*; give \{\"image_path\", \"captions\"\}"),
        ("[1]", r"0/2\.json holds no \{\"image_path\": \"...\", \"captions\""),
        ('{"captions": "A cat"}', r"0/2\.json holds no"),
        ('{"captions": []}', r"0/2\.json has no caption"),
        ('{"captions": [" "]}', r"0/2\.json: caption 1 \(' '\) is empty"),
        ('{"captions": ["A cat"], "image_path": 7}', r'0/2\.json: "image_path" is 7; expected the path of a photo'),
    ],
)
def test_a_wrong_file_says_what_is_wrong(folder, content, message):
    (folder / "image_data/0/2.json").write_text(content, encoding="utf-8")
    with pytest.raises(CaptionDataError, match=message):
        read_magma(folder)


def test_a_folder_that_is_none_of_magmas_is_named(tmp_path):
    with pytest.raises(CaptionDataError, match=r"There is no folder .*image_data; give a folder that holds image_data"):
        read_magma(tmp_path)
    (tmp_path / "image_data").mkdir()
    with pytest.raises(CaptionDataError, match=r"image_data holds no \*\.json; MAGMA's format has one for each photo"):
        read_magma(tmp_path)
