"""The docs in a browser, on a desk and on a phone: nothing sticks out, nothing is missing, no other host is asked.

`LINMAP_SCREENSHOTS=FOLDER python -m pytest tests/pages` also writes a picture of each page that is looked at.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

DESK, PHONE = 1280, 390
LOOKED_AT = ("", "gallery/", "getting-started/", "guides/evaluating/", "methods/clip/", "design/")
WIDE = """
() => [...document.querySelectorAll('article *')].filter(element => {
  if (element.getBoundingClientRect().right <= innerWidth + 1) return false
  const scrolls = box => ['auto', 'scroll'].includes(getComputedStyle(box).overflowX)
  for (let box = element.parentElement; box; box = box.parentElement)
    if (scrolls(box) && box.getBoundingClientRect().right <= innerWidth + 1) return false
  return true
}).map(element => element.outerHTML.slice(0, 120))
"""
"""Elements that reach over the right edge and stand in no box that scrolls; the theme would hide them."""


@pytest.mark.parametrize("width", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("path", LOOKED_AT, ids=lambda path: path.strip("/") or "index")
def test_a_page_fits_its_window_and_shows_all_its_pictures(open_page, path, width):
    page = open_page(path, width)
    if folder := os.environ.get("LINMAP_SCREENSHOTS"):
        name = f"{path.strip('/').replace('/', '-') or 'index'}-{width}.png"
        page.screenshot(path=Path(folder) / name, full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(WIDE) == []
    assert page.evaluate("[...document.images].filter(p => !p.naturalWidth).map(p => p.src)") == []
    assert page.evaluate("[...document.images].filter(p => !p.alt).map(p => p.src)") == []


def test_something_too_wide_would_be_found(open_page):
    page = open_page("glossary/", PHONE)
    assert page.evaluate(WIDE) == []
    page.evaluate("document.querySelector('article p').innerHTML = '<b style=\"display:block;width:500px\">wide</b>'")
    assert len(page.evaluate(WIDE)) == 1


def test_equations_are_drawn_without_a_script(open_page):
    page = open_page("methods/decap/", DESK)
    assert page.locator("math").count() > 10
    fraction = page.locator(".equation mfrac").first.bounding_box()
    assert fraction is not None
    assert fraction["height"] > 20  # one above the other, in pixels
    assert not re.search(r"\\(frac|sum|text|lVert)|\$\$|\\\(", page.locator("article").inner_text())


def test_every_equation_of_every_page_is_mathml(site):
    pages = [page.read_text(encoding="utf-8") for page in sorted(site.rglob("*.html"))]
    assert sum(page.count("<math ") for page in pages) > 40
    assert not [page for page in pages if 'class="arithmatex"' in page]
    assert not [page for page in pages if "<merror" in page]


def test_the_search_finds_a_word_of_the_glossary(open_page):
    page = open_page("", DESK)
    page.get_by_role("textbox", name="Search").fill("support memory")
    found = page.locator(".md-search-result__link").first
    found.wait_for()
    assert page.locator(".md-search-result__item").count() > 2


def test_no_page_names_a_script_style_or_picture_of_another_host(site):
    for page in sorted(site.rglob("*.html")):
        text = page.read_text(encoding="utf-8")
        elsewhere = re.findall(r'<(?:script|img|iframe|link rel="stylesheet")[^>]*(?:src|href)="(https?:[^"]*)"', text)
        assert elsewhere == [], page.relative_to(site)


def test_no_field_of_a_configuration_is_called_required(site):
    page = (site / "api" / "prefix" / "index.html").read_text(encoding="utf-8").partition("<article")[2]
    assert "projector_dropout" in page
    assert not re.search(r"\brequired\b", page)


def test_the_pictures_of_the_gallery_are_small(repository):
    pictures = list((repository / "docs" / "assets" / "gallery").glob("*.jpg"))
    assert len(pictures) >= 12
    assert sum(picture.stat().st_size for picture in pictures) < 1_500_000
