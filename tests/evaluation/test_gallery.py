"""The gallery: a page that needs nothing but its thumbnails."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from PIL import Image

from linmap.evaluation import GalleryPhoto, gallery_page, thumbnail

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NASTY = "a <b>dog</b> & \"cat\" 'é' 犬 </li><script>alert(1)</script> {{ 7 * 7 }}"
VALUES = {"a": (30.0, 1.0), "b": (200.0, 2.0), "c": (4.5, 3.0), "d": (30.0, 0.0)}


def photo(name, mine, other):
    scores = {"mine": {"CIDEr-D": mine}, "the other": {"CIDEr-D": other}}
    return GalleryPhoto(name, f"thumbnails/{name}.jpg", (20, 10), {"mine": NASTY, "the other": "x"}, [NASTY], scores)


PAGE = gallery_page([photo(name, *values) for name, values in VALUES.items()], title=NASTY, notes=[NASTY])


class Read(HTMLParser):
    """The tags of a page, and the text between them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open and self.open[-1] not in ("style", "script"):
            self.texts.append(text)


def test_every_tag_is_closed_and_texts_stand_as_they_are():
    read = Read(PAGE)
    assert read.open == []
    assert sum(NASTY in text for text in read.texts) == 3 + 2 * len(VALUES)  # title twice, note
    assert sum(tag == "script" for tag, _ in read.tags) == 1


def test_the_page_asks_for_nothing_but_its_thumbnails():
    asked = [
        value for _, attributes in Read(PAGE).tags for name, value in attributes.items() if name in ("src", "href")
    ]
    assert asked == [f"thumbnails/{name}.jpg" for name in VALUES]
    assert not re.search(r"https?:|//[a-z]|@import|url\(", PAGE)


def test_every_photo_carries_its_scores_under_the_number_of_what_it_is_sorted_by():
    read = Read(PAGE)
    offered = [attributes["value"] for tag, attributes in read.tags if tag == "option"]
    assert offered == ["", "0", "1", "-1", "1"]
    items = [attributes for tag, attributes in read.tags if tag == "li" and "data-s0" in attributes]
    assert [(float(item["data-s0"]), float(item["data-s1"])) for item in items] == list(VALUES.values())


def test_without_scores_there_is_nothing_to_sort_by():
    page = gallery_page([GalleryPhoto("a", "a.jpg", (1, 1), {"mine": "a dog"}, domain="in-domain")], title="Captions")
    assert "<script>" not in page
    assert "<select" not in page
    assert "a · in-domain" in page


def test_a_page_of_no_photos_is_a_page():
    assert Read(gallery_page([], title="Captions")).open == []


@pytest.mark.parametrize(("size", "small"), [((1024, 512), (256, 128)), ((20, 10), (20, 10)), ((9000, 10), (256, 1))])
def test_a_thumbnail_is_a_small_jpeg(size, small):
    data, found = thumbnail(Image.new("RGBA", size))
    assert found == small
    with Image.open(io.BytesIO(data)) as opened:
        assert (opened.format, opened.size) == ("JPEG", small)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize(
    ("by", "order", "expected"),
    [
        ("", "-1", "abcd"),
        ("0", "-1", "badc"),  # a and d tie: in the order of the data
        ("0", "1", "cadb"),
        ("1", "-1", "cbad"),
        ("1", "1", "dabc"),
    ],
)
def test_a_browser_sorts_the_photos(tmp_path, by, order, expected):
    choose = f"by.value = '{by}'; order.value = '{order}'; by.dispatchEvent(new Event('change'));"
    page = tmp_path / "gallery.html"
    page.write_text(PAGE.replace("</body>", f"<script>{choose}</script></body>"), encoding="utf-8")
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    ran = subprocess.run(
        [CHROMIUM, *quiet, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=60, check=True
    )
    assert "".join(re.findall(r'src="thumbnails/(\w)\.jpg"', ran.stdout)) == expected
