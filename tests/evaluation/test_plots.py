"""Pictures and tables of scores: they are written whole, and say what the scores say."""

from __future__ import annotations

import io

import pytest
import torch
from PIL import Image
from rich.console import Console

from linmap.evaluation import (
    classification_scores,
    distribution_shift,
    linear_probe,
    n_shot,
    per_class_table,
    plot_confusion,
    plot_gap,
    plot_recall,
    plot_shift,
    plot_shots,
    plot_sweep,
    retrieval_recall,
    retrieval_table,
    shift_table,
    shots_table,
)

EYE = torch.eye(3).repeat(4, 1)
TARGETS = torch.arange(3).repeat(4)
NAMES = ["cat", "dog", "a $5 horse"]


def shift_rows():
    half = (torch.cat([EYE, EYE.roll(1, 0)]), torch.cat([TARGETS, TARGETS]))
    return distribution_shift(lambda images: images.argmax(dim=1), {"photos": (EYE, TARGETS), "half": half}, NAMES)


def probe():
    return linear_probe(EYE, TARGETS, EYE, TARGETS)


def shots():
    return n_shot(EYE, TARGETS, EYE, TARGETS, shots=(1, 2), seeds=(0, 1))


def confusion(classes: int):
    targets = torch.arange(classes)
    return classification_scores(targets.roll(1), targets, [f"class {number}" for number in range(classes)])


@pytest.mark.parametrize(
    "draw",
    [
        lambda path: plot_recall(retrieval_recall(torch.eye(12), torch.eye(12), range(12)), path),
        lambda path: plot_confusion(classification_scores(TARGETS, TARGETS, NAMES), path),
        lambda path: plot_confusion(confusion(20), path),
        lambda path: plot_confusion(confusion(300), path),
        lambda path: plot_shift(shift_rows(), path),
        lambda path: plot_sweep(probe(), path),
        lambda path: plot_shots(shots(), path),
        lambda path: plot_gap(EYE + 0.1, EYE[:, [1, 2, 0]], path),
        lambda path: plot_gap(torch.randn(400, 8) + 1, torch.randn(2000, 8), path, torch.arange(2000) % 400),
    ],
    ids=["recall", "named and counted", "named", "unnamed", "shift", "sweep", "shots", "gap", "large gap"],
)
def test_a_plot_is_a_picture_and_nothing_else_is_left(draw, tmp_path):
    draw(tmp_path / "plot.png")
    assert [path.name for path in tmp_path.iterdir()] == ["plot.png"]
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 200
        assert len(picture.convert("RGB").getcolors(2**20)) > 10


def test_a_plot_replaces_an_older_one(tmp_path):
    path = tmp_path / "plot.png"
    path.write_text("old")
    plot_shots(shots(), str(path))
    assert path.read_bytes().startswith(b"\x89PNG")


def shown(table) -> list[list[str]]:
    console = Console(file=io.StringIO(), width=200)
    console.print(table)
    return [line.split() for line in console.file.getvalue().splitlines() if line.strip(" ─")]


def test_the_table_of_classes_begins_with_the_worst():
    rows = shown(per_class_table(classification_scores([0, 0, 1, 1, 0], [0, 0, 1, 1, 1], ["cat", "dog"])))
    assert rows[1:] == [["dog", "3", "2", "66.7", "cat"], ["cat", "2", "2", "100.0"]]


def test_the_table_of_retrieval_has_chance_beside_each_recall():
    rows = shown(retrieval_table(retrieval_recall(torch.eye(4), torch.eye(4), range(4), ks=(1, 2))))
    assert rows[1:3] == [["text", "to", "image", "100.0", "100.0", "1", "4"], ["chance", "25.0", "50.0"]]
    assert rows[3:] == [["image", "to", "text", "100.0", "100.0", "1", "4"], ["chance", "25.0", "50.0"]]


def test_the_table_of_a_shift_names_the_drop():
    rows = shown(shift_table(shift_rows()))
    assert rows[1] == ["photos", "12", "100.0", "100.0", "33.3"]
    assert rows[2] == ["half", "24", "50.0", "50.0", "50.0", "(50.0", "%)", "33.3"]


def test_the_table_of_shots_has_the_spread():
    assert shown(shots_table(shots()))[1:] == [["1", "100.0", "0.0", "2"], ["2", "100.0", "0.0", "2"]]
