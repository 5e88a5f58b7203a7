"""The gallery of the docs: which photos, what is said of them, and that nobody's photo stands there without a name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.gallery import LICENCE, Photo, Seen, main, photos_to_show, remarks_on, write_page
from linmap.decap.strategies import SupportSentence


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photos, the second of which may not be shown."""
    (tmp_path / "images").mkdir()
    licences, captions = {}, []
    for number, licence in ((7, LICENCE), (3, LICENCE.replace("by", "by-nc")), (5, LICENCE)):
        name = f"{number:012d}.jpg"
        Image.new("RGB", (640, 320), (number * 20, 0, 0)).save(tmp_path / "images" / name)
        urls = {"flickr_url": f"http://farm1.staticflickr.com/1/99{number}_a_z.jpg"}
        licences[name] = {"license_url": licence, **urls}
        captions.append({"file": name, "captions": [f"photo {number}.", "another"]})
    (tmp_path / "licences.json").write_text(json.dumps(licences))
    (tmp_path / "captions.json").write_text(json.dumps(captions))
    return tmp_path


def _seen(photo: Photo) -> Seen:
    sentence = SupportSentence("a dog .", 0.5, 0)
    return Seen(photo, "a man", "a dog runs .", (sentence,), "another", nearest_photo=1, rank=2)


def _remark(prefix: str = "a man") -> dict:
    return {
        "heading": "Red",
        "prefix": {"caption": prefix, "verdict": "wrong"},
        "decap": {"caption": "a dog runs .", "verdict": "partly"},
        "why": "It is red.",
    }


def test_all_photos_that_may_be_shown_are_shown_in_their_order(folder):
    photos = photos_to_show(folder)
    assert [(photo.coco_id, photo.flickr_id) for photo in photos] == [("7", "997"), ("5", "995")]


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(SystemExit, match=r"is not here; name a folder with images/, captions\.json and licences\.json"):
        photos_to_show(tmp_path / "nothing")


def test_a_remark_about_another_caption_is_refused(folder):
    seen = [_seen(photo) for photo in photos_to_show(folder)]
    remarks = {"7": _remark(), "5": _remark()}
    assert remarks_on(seen, remarks) == [_remark(), _remark()]
    for others in ({"7": _remark()}, {**remarks, "5": _remark(prefix="a woman")}):
        with pytest.raises(SystemExit, match="says nothing of these captions of photo 5"):
            remarks_on(seen, others)


def test_the_page_counts_the_verdicts_and_names_where_each_photo_is_from(folder, tmp_path):
    seen = [_seen(photo) for photo in photos_to_show(folder)]
    write_page(tmp_path / "docs", seen, [_remark(), _remark()])
    page = (tmp_path / "docs" / "gallery.md").read_text()
    assert "| captioner, the linear prefix | 0 | 0 | 2 |" in page
    assert "| DeCap | 0 | 2 | 0 |" in page
    for one in seen:
        assert f"https://www.flickr.com/photo.gne?id={one.photo.flickr_id}" in page
        with Image.open(tmp_path / "docs" / "assets" / "gallery" / f"{one.photo.coco_id}.jpg") as picture:
            assert picture.size == (480, 240)
    assert page.count(LICENCE) == 2


def test_every_picture_of_the_page_in_the_docs_has_its_licence_and_its_source(repository):
    page = (repository / "docs" / "gallery.md").read_text(encoding="utf-8")
    pictures = sorted((repository / "docs" / "assets" / "gallery").glob("*.jpg"))
    sections = page.split("\n## ")[1:-1]
    assert len(sections) == len(pictures)
    for picture in pictures:
        (section,) = [section for section in sections if f"assets/gallery/{picture.name}" in section]
        assert f"[CC BY 2.0]({LICENCE})" in section
        assert "https://www.flickr.com/photo.gne?id=" in section


@pytest.mark.shared
@pytest.mark.weights
def test_the_models_say_today_what_was_judged(capsys):
    main(["--quick"])
    assert capsys.readouterr().out.count("| rank ") == 2
