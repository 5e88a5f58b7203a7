"""The Python in README and docs runs, page by page, as a reader would run it.

A comment in front of a block says what it needs: `<!-- weights -->` the embedded real weights, `<!-- tiny -->` a tiny
language model under the name `language_model`, `<!-- not run: reason -->` more than a test can have.
"""

from __future__ import annotations

import re

import pytest

from .documented import PAGES, ROOT, Block, blocks, named


def _python(page) -> list[Block]:
    return blocks(page, "python")


def _pages_with_python() -> list:
    pages = [page for page in PAGES if any(block.runs for block in _python(page))]
    return [
        pytest.param(
            page,
            id=named(page),
            marks=[pytest.mark.weights] if any(block.needs == "weights" for block in _python(page)) else [],
        )
        for page in pages
    ]


@pytest.mark.parametrize("page", _pages_with_python())
def test_the_python_of_a_page_runs(page, tiny_lm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    namespace: dict[str, object] = {"__name__": "page"}
    for block in _python(page):
        if not block.runs:
            continue
        if block.needs == "tiny":
            namespace["language_model"] = tiny_lm("gptj")
        exec(compile(block.code, f"{page.name}, a python block", "exec", dont_inherit=True), namespace)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_block_says_what_it_needs_in_a_word_that_is_known(page):
    for block in blocks(page):
        assert block.needs in ("", "weights", "tiny") or re.fullmatch(r"not run: .+", block.needs), block.needs


def test_the_readme_has_exactly_the_two_commands_of_the_set_up():
    commands = [
        line
        for block in blocks(ROOT / "README.md", "bash")
        for line in block.code.splitlines()
        if "pip install" in line
    ]
    assert commands == [
        "python -m pip install . && linmap caption examples/photos/*.jpg",
        'python -m pip install ".[test]" && python -m pytest',
    ]


def test_every_example_photo_is_attributed(repository):
    attributed = (repository / "examples" / "photos" / "LICENSES.md").read_text(encoding="utf-8")
    photos = sorted(path.name for path in (repository / "examples" / "photos").glob("*.jpg"))
    assert 4 <= len(photos) <= 6
    for photo in photos:
        (line,) = [line for line in attributed.splitlines() if line.startswith(f"| `{photo}` |")]
        assert "[CC BY 2.0](http://creativecommons.org/licenses/by/2.0/)" in line
        assert "https://www.flickr.com/photo.gne?id=" in line
