from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from linmap.cli.inspect.spelling import shown
from linmap.cli.models import load_captioner
from linmap.prefix.inspection import inspect_photo


@pytest.fixture(scope="module")
def pooled_dir(tmp_path_factory, tiny_lm_dir) -> Path:
    """A self-contained model whose image is three vectors without a grid."""
    from linmap import LinearVisionPrefixModel, LinearVisionPrefixProcessor

    model = LinearVisionPrefixModel.from_backbones(
        "timm:test_vit",
        str(tiny_lm_dir("gpt2")),
        features="pooled",
        prefix_length=3,
        encoder_kwargs={"pretrained": False, "seed": 0},
    )
    folder = tmp_path_factory.mktemp("pooled")
    model.save_pretrained(folder, include_backbones=True)
    LinearVisionPrefixProcessor.for_model(model).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def fine_dir(tmp_path_factory, tiny_lm_dir) -> Path:
    """One that keeps the encoder's whole grid, 10 x 10 cells."""
    from linmap import LinearVisionPrefixModel, LinearVisionPrefixProcessor

    model = LinearVisionPrefixModel.from_backbones(
        "timm:test_vit", str(tiny_lm_dir("llama")), encoder_kwargs={"pretrained": False, "seed": 0}
    )
    folder = tmp_path_factory.mktemp("fine")
    model.save_pretrained(folder, include_backbones=True)
    LinearVisionPrefixProcessor.for_model(model).save_pretrained(folder)
    return folder


class Page(HTMLParser):
    """What stands in a page: the tags with their attributes, and the text of each cell drawn over the photo."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["span"]:
            self.texts.append(data)


def test_json_is_one_line_with_every_vector_and_its_words(linmap, model_dir, photos):
    ran = linmap("inspect", photos / "a.jpg", "--model", model_dir, "--json", "--top", 3)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.count("\n") == 1
    report = json.loads(ran.out)
    found = inspect_photo(*load_captioner(str(model_dir)), photos / "a.jpg", top=3)
    assert report["grid"] == [2, 2]
    assert [(vector["row"], vector["column"]) for vector in report["vectors"]] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [[word["id"] for word in vector["words"]] for vector in report["vectors"]] == [
        [word.id for word in words] for words in found.words
    ]
    assert report["chance"] == pytest.approx(found.chance, abs=1e-4)
    assert (report["measure"], report["output"]) == ("cosine to the input embeddings", None)


def test_people_read_a_line_a_vector_and_what_chance_reaches(linmap, model_dir, photos):
    ran = linmap("inspect", photos / "b.png", "--model", model_dir, "--centred")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0].endswith(f"b.png: 4 vectors of {model_dir}")
    assert lines[2].startswith("  row 1, column 2: ")
    assert "both without their mean; a random direction's nearest word is at 0." in lines[5]
    assert lines[6] == "picture: none written; -o FILE.png or -o FILE.html draws it"


@pytest.mark.parametrize("kind", ["model_dir", "fine_dir", "pooled_dir"])
def test_a_picture_is_drawn_for_grids_and_lists(linmap, request, photos, tmp_path, kind):
    path = tmp_path / "out.png"
    ran = linmap("inspect", photos / "a.jpg", "--model", request.getfixturevalue(kind), "-o", path, "--json")
    assert (ran.code, json.loads(ran.out)["output"]) == (0, str(path))
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 500
    assert [file.name for file in tmp_path.glob("*.part.*")] == []


def test_a_page_stands_alone_and_has_a_cell_for_every_vector(linmap, model_dir, photos, tmp_path):
    path = tmp_path / "out.html"
    ran = linmap("inspect", photos / "a.jpg", "--model", model_dir, "-o", path, "--json")
    report = json.loads(ran.out)
    page = Page(path)
    assert page.open == []
    linked = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")]
    assert [link.split(",")[0] for link in linked] == ["data:image/png;base64"]
    assert page.texts == [shown(word["text"]) for vector in report["vectors"] for word in vector["words"][:3]]
    titles = [attributes["title"] for tag, attributes in page.tags if tag == "div" and "title" in attributes]
    assert len(titles) == 4
    assert all(len(title.splitlines()) == 5 for title in titles)


def test_a_name_of_a_photo_cannot_write_into_the_page(linmap, pooled_dir, photos, tmp_path):
    odd = photos / "<script>$x$ & 'é'.jpg"
    (photos / "a.jpg").rename(odd)
    path = tmp_path / "out.html"
    assert linmap("inspect", odd, "--model", pooled_dir, "-o", path).code == 0
    text = path.read_text(encoding="utf-8")
    assert "<script>" not in text
    assert "&lt;script&gt;$x$ &amp; &#x27;é&#x27;.jpg" in text
    assert 'class="cells"' not in text
    assert linmap("inspect", odd, "--model", pooled_dir, "-o", tmp_path / "out.png").code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("missing.jpg",), "Cannot read missing.jpg: there is no such file"),
        ((".",), "it is a directory; name the photos in it"),
        (("a.jpg", "-o", "out.gif"), "out.gif names no picture and no page; give a name that ends in .png or .html"),
        (("a.jpg", "-o", "nowhere/out.png"), "there is no folder nowhere; make it first"),
        (("a.jpg", "-o", "x" * 300 + ".png"), "cannot be written"),
        (("a.jpg", "--top", "0"), "Invalid value for '--top'"),
        (("a.jpg", "--device", "gpu"), "Unknown device 'gpu'"),
        (("a.jpg", "--model", "./nowhere"), "There is no folder './nowhere'"),
    ],
)
def test_what_cannot_be_inspected_is_one_line(linmap, model_dir, photos, monkeypatch, words, said):
    monkeypatch.chdir(photos)
    model = () if "--model" in words else ("--model", model_dir)
    ran = linmap("inspect", *words, *model, "--json")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
    assert said in ran.err


def test_blanks_and_what_is_invisible_are_spelt_out():
    assert [shown(text) for text in ("dog", " ", "\n", "\u200b", "é")] == ["dog", "␣", "\\n", "\\u200b", "é"]
    assert shown("x" * 30) == "x" * 17 + "…"
