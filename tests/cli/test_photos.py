from __future__ import annotations

import os
from pathlib import Path

import pytest

from linmap.cli.photos import photos_named


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.png", "a.JPG", "notes.txt", ".hidden.jpg", "below/c.jpg", "[1].jpg"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    return tmp_path


def named(*words: object) -> list[str]:
    return [photo for photo, error in photos_named(str(word) for word in words) if error is None]


def missing(*words: object) -> list[str]:
    return [str(error) for _, error in photos_named(str(word) for word in words) if error is not None]


def test_a_folder_stands_for_its_photos_sorted(folder):
    assert named(folder) == [str(folder / name) for name in ("[1].jpg", "a.JPG", "b.png")]


def test_a_pattern_stands_for_its_matches_as_if_written_out(folder):
    assert named(folder / "*.png") == [str(folder / "b.png")]
    assert named(folder / "*.txt") == [str(folder / "notes.txt")]
    assert named(folder / "bel*") == [str(folder / "below" / "c.jpg")]
    assert named(folder / "**" / "*.jpg") == [str(folder / "[1].jpg"), str(folder / "below" / "c.jpg")]


def test_a_file_named_like_a_pattern_is_that_file(folder):
    assert named(folder / "[1].jpg") == [str(folder / "[1].jpg")]


def test_a_photo_named_twice_is_answered_twice(folder):
    assert named(folder / "b.png", folder / "b.png") == [str(folder / "b.png")] * 2


def test_a_word_for_no_photo_says_why(folder):
    words = [folder / "no.jpg", folder / "empty", folder / "*.webp"]
    assert [error.removeprefix(str(word)) for word, error in zip(words, missing(*words), strict=True)] == [
        ": there is no such file; check the path.",
        ": no photo in this folder (a file ending in .avif .bmp .gif .jfif .jpeg .jpg .png .tif .tiff .webp); "
        "folders below are not read.",
        ": nothing matches this pattern; check it.",
    ]


def test_a_word_that_no_system_can_look_up_is_the_reason_for_itself_alone(folder):
    long = "x" * 400
    assert named(long, folder / "b.png") == [str(folder / "b.png")]
    assert missing(long) == [f"{long}: cannot be looked up (File name too long); check the path."]


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_is_closed_to_the_user_is_the_reason_for_itself_alone(folder):
    (folder / "empty").chmod(0)
    assert missing(folder / "empty") == [
        f"{folder / 'empty'}: this folder cannot be read (Permission denied); check its permissions."
    ]
    assert named(folder / "empty", folder / "b.png") == [str(folder / "b.png")]
