"""Pictures and tables of scores: they are written whole, and say what the scores say."""

from __future__ import annotations

import io

import pytest
import torch
from matplotlib.text import Text
from PIL import Image
from rich.console import Console

from linmap.errors import EvaluationError
from linmap.evaluation import (
    GapPairs,
    classification_scores,
    distribution_shift,
    fivefold_recall,
    least_squares_shots,
    linear_probe,
    n_shot,
    per_class_table,
    plot_captions,
    plot_confusion,
    plot_gap,
    plot_gaps,
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
        lambda path: plot_confusion(confusion(200), path),
        lambda path: plot_shift(shift_rows(), path),
        lambda path: plot_sweep(probe(), path),
        lambda path: plot_shots(shots(), path),
        lambda path: plot_gap(EYE + 0.1, EYE[:, [1, 2, 0]], path),
        lambda path: plot_gap(torch.randn(400, 8) + 1, torch.randn(2000, 8), path, torch.arange(2000) % 400),
        lambda path: plot_gaps({f"a $5 model {number}": GapPairs(EYE + number, EYE) for number in range(5)}, path),
        lambda path: plot_shots(shots(), path, least_squares_shots(EYE, TARGETS, EYE, TARGETS, shots=(1, 2))),
    ],
    ids=[
        "recall",
        "named and counted",
        "named",
        "unnamed",
        "shift",
        "sweep",
        "shots",
        "gap",
        "large gap",
        "gaps",
        "fits",
    ],
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


def test_a_plot_that_cannot_be_written_is_a_clear_error_and_leaves_nothing(tmp_path):
    (tmp_path / "plot.png").mkdir()
    with pytest.raises(EvaluationError, match=r"plot\.png cannot be written \(Is a directory\); name another file"):
        plot_shots(shots(), tmp_path / "plot.png")
    assert [path.name for path in tmp_path.iterdir()] == ["plot.png"]
    with pytest.raises(EvaluationError, match=r"cannot be written \(No such file or directory\)"):
        plot_shots(shots(), tmp_path / "no" / "plot.png")


def test_the_confusion_of_very_many_classes_is_not_drawn(tmp_path):
    with pytest.raises(EvaluationError, match="confusion of 201 classes cannot be drawn, at most 200; print per_class"):
        plot_confusion(confusion(201), tmp_path / "plot.png")


def test_names_that_the_font_cannot_draw_are_said_once(tmp_path, caplog):
    scores = classification_scores(TARGETS, TARGETS, ["cat", "\u732b", "\u72ac dog"])
    plot_confusion(scores, tmp_path / "plot.png")
    (warned,) = caplog.records
    assert warned.getMessage().startswith("2 names in the plot hold characters that its font lacks")
    assert "'\u732b', '\u72ac dog'" in warned.getMessage()


def written(monkeypatch) -> list[str]:
    """What stands in the next plots."""
    texts: list[str] = []

    def note(figure, path):
        texts.extend(text.get_text() for text in figure.findobj(Text))

    monkeypatch.setattr("linmap.evaluation.plots.save_figure", note)
    return texts


def test_an_equal_test_set_has_a_drop_without_a_sign_in_front_of_nothing(monkeypatch):
    again = {"photos": (EYE, TARGETS), "again": (EYE, TARGETS)}
    rows = distribution_shift(lambda images: images.argmax(dim=1), again, NAMES)
    texts = written(monkeypatch)
    plot_shift(rows, "plot.png")
    assert "100.0\n(+0.0)" in texts
    assert "-0.0" not in " ".join(shown(shift_table(rows))[2])


def test_folds_are_named_in_table_and_plot_and_ranks_are_of_a_part(monkeypatch):
    scores = fivefold_recall(torch.eye(20), torch.eye(20)[torch.arange(40) % 20], torch.arange(40) % 20)
    rows = shown(retrieval_table(scores))
    assert rows[0][:4] == ["mean", "over", "5", "parts"]
    assert (rows[1][-1], rows[3][-1]) == ("4", "8")
    texts = written(monkeypatch)
    plot_recall(scores, "plot.png")
    assert "20 photos, 40 captions; mean over 5 parts" in texts


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


def test_no_model_is_no_picture_of_gaps(tmp_path):
    with pytest.raises(EvaluationError, match="There is no model to draw"):
        plot_gaps({}, tmp_path / "plot.png")


def test_photos_stand_in_a_row_above_their_captions(tmp_path):
    photos = [Image.new("RGB", (60, 40), colour) for colour in ("red", "blue", "green")]
    plot_captions(photos, ["a $5 red", "blue", "green " * 12], tmp_path / "captions.png")
    with Image.open(tmp_path / "captions.png") as picture:
        seen = picture.convert("RGB")
    middle = [seen.getpixel((seen.width * (2 * place + 1) // 6, seen.height // 3)) for place in range(3)]
    assert middle == [(255, 0, 0), (0, 0, 255), (0, 128, 0)]
    below = seen.crop((0, seen.height * 3 // 4, seen.width, seen.height)).convert("L")
    assert below.getextrema()[0] < 100  # the captions are written there
