"""The page as people use it: in Chromium, on the bundled models.

`LINMAP_SCREENSHOTS=docs/assets python -m pytest tests/cli/app_page -k dropped` renews the pictures of the docs.
"""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.cli.app_page.conftest import PHOTOS

pytestmark = pytest.mark.weights

PHONE = {"width": 390, "height": 844}


def drop(page: Page, photo: Path, box: Locator) -> None:
    """Lets a file fall into a box, as a pointer does."""
    carried = page.evaluate_handle(
        """([name, bytes]) => {
            const carried = new DataTransfer();
            const data = Uint8Array.from(atob(bytes), (one) => one.charCodeAt(0));
            carried.items.add(new File([data], name, { type: "image/jpeg" }));
            return carried;
        }""",
        [photo.name, base64.b64encode(photo.read_bytes()).decode()],
    )
    for event in ("dragenter", "dragover", "drop"):
        box.dispatch_event(event, {"dataTransfer": carried})


def boxes(page: Page) -> Locator:
    """The boxes for files on the tab that is open."""
    return page.get_by_role("tabpanel").filter(visible=True).locator("input[type=file]")


def choose(page: Page, model: str) -> None:
    """Types the name of a model into the list."""
    field = page.get_by_role("tabpanel").filter(visible=True).get_by_label("Model", exact=True)
    field.fill(model)
    field.press("Enter")


def filled(page: Page, place: str) -> str:
    """The text of a field, when there is one."""
    field = page.locator(f"{place} textarea, {place} input")
    expect(field).not_to_have_value("", timeout=90_000)
    return field.input_value()


def said(page: Page) -> Locator:
    """The messages that are on the page."""
    return page.get_by_test_id("toast-body")


def fits_a_phone(page: Page) -> bool:
    """Whether the page, at the width of a phone, need not be pushed sideways."""
    page.set_viewport_size(PHONE)
    page.wait_for_timeout(300)
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_dropped_photo_gets_the_caption_of_linmap_caption_and_its_words(open_page, linmap, tmp_path):
    page = open_page("Caption")
    drop(page, PHOTOS / "birthday.jpg", page.get_by_label("Drop an image file here to upload").first)
    ran = linmap("caption", PHOTOS / "birthday.jpg", "--json")
    assert filled(page, "#caption") == json.loads(ran.out)["caption"]
    expect(page.locator("#words .cells > div")).to_have_count(9)
    expect(page.locator("#summary")).to_contain_text("of 9 vectors have a word nearer than")
    page.get_by_text("All words with their cosines").click()
    expect(page.locator("#words-table tr")).to_have_count(10)
    page.get_by_text("All words with their cosines").click()
    expect(page.locator("#words-table")).not_to_be_visible()
    _picture(page, tmp_path / "app.png")
    assert fits_a_phone(page)
    _picture(page, tmp_path / "app-phone.png")


def _picture(page: Page, path: Path) -> None:
    """Writes the whole page to `path`, or under its name where LINMAP_SCREENSHOTS says."""
    path = Path(os.environ.get("LINMAP_SCREENSHOTS", path.parent)) / path.name
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(500)
    page.screenshot(path=path, full_page=True)
    with Image.open(path) as picture:
        picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=256).save(path, optimize=True)
    assert path.stat().st_size < 400_000


def test_an_answer_stands_beside_the_blind_one_and_examples_come_and_go(open_page):
    page = open_page("Questions")
    boxes(page).first.set_input_files(PHOTOS / "birthday.jpg")
    page.get_by_label("Question", exact=True).fill("what is on the table?")
    page.locator("#ask-button").click()
    assert filled(page, "#answer") != filled(page, "#blind-answer")
    solved = page.locator(".solved")
    for photo, question, answer in (("tennis", "what sport is it?", "tennis"), ("cat", "what is white?", "a cat")):
        had = solved.count()
        with page.expect_response(lambda answered: "upload" in answered.url):
            boxes(page).last.set_input_files(PHOTOS / f"{photo}.jpg")
        page.locator("#support-question textarea").fill(question)
        page.locator("#support-answer textarea").fill(answer)
        page.locator("#add-button").click()
        expect(solved).to_have_count(had + 1)
    page.locator("#ask-button").click()
    assert filled(page, "#answer")
    assert filled(page, "#blind-answer")
    solved.first.get_by_role("button", name="Remove").click()
    expect(solved).to_have_count(1)
    expect(solved).to_contain_text("what is white?")
    assert fits_a_phone(page)


def test_decap_shows_the_sentences_and_their_weights(open_page, linmap):
    page = open_page("DeCap")
    boxes(page).first.set_input_files(PHOTOS / "tennis.jpg")
    (told,) = [json.loads(linmap("caption", PHOTOS / "tennis.jpg", "--decap", "default", "--explain", "--json").out)]
    assert filled(page, "#decap-caption") == told["caption"]
    rows = page.locator("#support tr")
    expect(rows).to_have_count(6)
    first = told["support"][0]
    expect(rows.nth(1)).to_contain_text(f"{first['weight']:.1%}")
    expect(rows.nth(1)).to_contain_text(first["caption"].strip())
    assert fits_a_phone(page)


def test_clippo_shows_what_the_tower_sees_and_how_near_photos_and_texts_are(open_page, clippo_dir, bad_photos):
    page = open_page("CLIPPO")
    photos = [PHOTOS / "cat.jpg", PHOTOS / "tennis.jpg", PHOTOS / "street.jpg", bad_photos / "text.jpg"]
    with page.expect_response(lambda answered: "upload" in answered.url):
        boxes(page).first.set_input_files(photos)
    page.get_by_label("Texts, one a line").fill("a man playing tennis\n\n海滩上的狗")
    page.locator("#see-button").click()
    expect(page.locator("#tower figure")).to_have_count(5)
    expect(page.locator("#tower .left-out")).to_contain_text("Cannot read text.jpg: it holds text")
    page.locator("#compare-button").click()
    expect(page.locator("#matrix td")).to_have_count(6)
    bundled = page.locator("#matrix td").all_inner_texts()
    choose(page, str(clippo_dir))
    page.locator("#compare-button").click()
    expect(page.locator("#matrix td").first).not_to_have_text(bundled[0])
    assert fits_a_phone(page)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("text.jpg", "Cannot read text.jpg: it holds text, whatever its name says"),
        ("cut.jpg", "Cannot read cut.jpg: the file is damaged or cut off"),
        ("bomb.png", "Cannot read bomb.png: it is 9500 x 9500 = 90,250,000 pixels"),
    ],
)
def test_an_upload_that_is_no_photo_is_told_and_the_next_one_is_captioned(open_page, bad_photos, name, words):
    page = open_page("DeCap")
    boxes(page).first.set_input_files(bad_photos / name)
    expect(said(page)).to_contain_text(words)
    _another(page)
    assert filled(page, "#decap-caption")


def test_a_photo_of_50_mb_is_captioned_and_a_larger_file_is_told_the_limit(open_page, heavy_photo, tmp_path):
    assert heavy_photo.stat().st_size > 50e6
    page = open_page("DeCap")
    boxes(page).first.set_input_files(heavy_photo)
    assert filled(page, "#decap-caption")
    huge = tmp_path / "huge.jpg"
    huge.write_bytes((PHOTOS / "cat.jpg").read_bytes())
    with huge.open("r+b") as file:
        file.truncate(101 * 2**20)
    _another(page, huge)
    expect(said(page)).to_contain_text("exceed the maximum allowed size of 100.0 Mb")


def _another(page: Page, photo: Path = PHOTOS / "tennis.jpg") -> None:
    """Takes the photo out of its box, and puts another one in."""
    page.get_by_role("tabpanel").filter(visible=True).get_by_label("Remove Image").click()
    boxes(page).first.set_input_files(photo)


def test_ten_clicks_at_once_leave_the_page_up_and_the_caption_right(open_page):
    page = open_page("DeCap")
    boxes(page).first.set_input_files(PHOTOS / "tennis.jpg")
    caption = filled(page, "#decap-caption")
    page.get_by_label("Sentences shown").first.fill("3")
    page.evaluate("for (let n = 0; n < 10; n++) document.querySelector('#decap-button').click()")
    expect(page.locator("#support tr")).to_have_count(4)
    _another(page, PHOTOS / "cat.jpg")
    expect(page.locator("#decap-caption textarea")).not_to_have_value(re.compile(f"^({re.escape(caption)})?$"))
    assert said(page).count() == 0


def test_a_caption_goes_on_from_the_words_it_is_given(app_url):
    from gradio_client import Client, handle_file

    client = Client(app_url, verbose=False, analytics_enabled=False)
    photo = handle_file(PHOTOS / "tennis.jpg")
    own, begun = (client.predict(photo, "default", text, api_name="/caption") for text in ("", "in the snow,"))
    assert own != begun


def test_ten_visitors_at_once_are_all_answered(app_url):
    from gradio_client import Client, handle_file

    client = Client(app_url, verbose=False, analytics_enabled=False)
    photos = [handle_file(PHOTOS / f"{name}.jpg") for name in ("cat", "tennis")]
    jobs = [client.submit(photos[number % 2], "default", "", 1, api_name="/decap") for number in range(10)]
    answers = [job.result(timeout=90)[0] for job in jobs]
    assert answers == answers[:2] * 5
    assert len(set(answers)) == 2


def test_a_model_that_is_not_there_is_told_and_the_page_goes_on(open_page):
    page = open_page("Caption")
    choose(page, "./nowhere")
    boxes(page).first.set_input_files(PHOTOS / "tennis.jpg")
    expect(said(page)).to_contain_text("There is no folder './nowhere'. Name a folder")
