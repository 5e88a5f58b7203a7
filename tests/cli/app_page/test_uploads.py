"""What is uploaded: read by linmap alone, which says what is wrong with it."""

from __future__ import annotations

import gradio as gr
import pytest
from gradio.data_classes import ImageData
from PIL import Image

from linmap.cli.app_page.uploads import photo_input, thumbnail, uploaded, uploaded_all
from linmap.data.images import open_photo
from linmap.errors import PhotoNotFoundError, UnreadableImageError


def test_a_box_hands_a_file_on_as_it_is_whatever_it_holds(bad_photos, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(bad_photos))
    box = photo_input()
    path = str(bad_photos / "text.jpg")
    assert box.preprocess(ImageData(path=path, orig_name="text.jpg")) == path
    assert box.preprocess(None) is None
    assert box.preprocess(ImageData(path=None)) is None


def test_a_box_opens_no_file_that_was_not_uploaded(photos, bad_photos, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(bad_photos))
    for path in (photos / "a.jpg", bad_photos / ".." / photos.name / "a.jpg", bad_photos / "nowhere.jpg" / ".." / ".."):
        with pytest.raises(gr.Error, match="the page opens no other file"):
            photo_input().preprocess(ImageData(path=str(path)))


def test_a_photo_keeps_its_name_and_its_bytes(photos):
    photo = uploaded(str(photos / "b.png"))
    assert photo.name == "b.png"
    assert open_photo(photo).tobytes() == open_photo(photos / "b.png").tobytes()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("text.jpg", "^Cannot read text.jpg: it holds text, whatever its name says"),
        ("cut.jpg", "^Cannot read cut.jpg: the file is damaged or cut off .* fetch it again"),
        ("bomb.png", "^Cannot read bomb.png: it is 9500 x 9500 = 90,250,000 pixels; at most .* shrink it first"),
        ("gone.jpg", "^Cannot read gone.jpg: it is no longer here; drop it again"),
    ],
)
def test_what_cannot_be_read_is_called_by_its_own_name(bad_photos, name, words):
    with pytest.raises(UnreadableImageError, match=words):
        uploaded(str(bad_photos / name))


@pytest.mark.parametrize("nothing", [None, ""])
def test_an_empty_box_is_told_what_to_do(nothing):
    with pytest.raises(PhotoNotFoundError, match=r"There is no photo yet\. Drop one into the box, or click it"):
        uploaded(nothing)


def test_one_bad_photo_of_several_costs_only_itself(photos, bad_photos):
    paths = [photos / "a.jpg", bad_photos / "text.jpg", photos / "b.png", photos / "c.jpg"]
    kept, left_out = uploaded_all([str(path) for path in paths], most=2)
    assert [photo.name for photo in kept] == ["a.jpg", "b.png"]
    assert [str(error)[:22] for error in left_out] == ["Cannot read text.jpg: ", "Cannot read c.jpg: 2 p"]
    assert uploaded_all(None, most=2) == ([], [])


def test_a_thumbnail_is_small_and_keeps_the_proportions(tmp_path):
    Image.new("RGB", (1000, 500)).save(tmp_path / "wide.png")
    assert thumbnail(uploaded(str(tmp_path / "wide.png"))).size == (320, 160)
