"""Strategies side by side, the blind control, scores against a size, and their pictures."""

from __future__ import annotations

import io

import pytest
import torch
from PIL import Image
from rich.console import Console

from linmap.errors import CaptionDataError, EvaluationError
from linmap.evaluation import (
    SizeScores,
    caption_table,
    compare_strategies,
    plot_caption_scores,
    plot_sizes,
    scores_by_size,
    size_table,
)

MEMORY = ["a brown dog runs", "two men ride bicycles", "one lady stands there", "red cars on streets"]
REFERENCES = [[caption] for caption in MEMORY]
LATENTS = torch.eye(4)


def copies(latents):
    return [MEMORY[row] for row in latents.argmax(dim=1)]


def always_the_same(latents):
    return ["a brown dog runs"] * len(latents)


def compared(strategies, **how):
    return compare_strategies(LATENTS, REFERENCES, strategies, tokenizer="simple", **how)


def test_a_captioner_that_copies_the_right_caption_scores_highest_and_blind_nothing():
    found = compared({"same": always_the_same, "copies": copies})
    assert list(found.rows) == ["same", "copies", "blind"]
    assert found.blind_of == "copies"
    assert found.scores["copies"]["CIDEr-D"] == pytest.approx(1000)
    assert found.scores["copies"]["CIDEr-D"] > found.scores["same"]["CIDEr-D"] > found.blind["CIDEr-D"] == 0


def test_blind_loses_nothing_for_a_captioner_that_does_not_look():
    found = compared({"same": always_the_same})
    assert found.blind["BLEU-1"] == pytest.approx(found.scores["same"]["BLEU-1"])


def test_each_strategy_is_asked_once_with_all_latents():
    asked = []

    def counting(latents):
        asked.append(latents)
        return copies(latents)

    compared({"counting": counting})
    assert len(asked) == 1
    assert torch.equal(asked[0], LATENTS)


def test_blind_is_what_the_captioner_gives_for_the_shuffled_photos():
    from linmap.evaluation import caption_metrics, derangement

    found = compared({"copies": copies}, seed=5)
    shuffled = copies(LATENTS[derangement(4, 5)])
    assert found.blind == caption_metrics(shuffled, REFERENCES, "simple")


def test_the_control_can_be_of_some_strategies_alone():
    assert compared({"same": always_the_same, "copies": copies}, blind=["same"]).blind_of == "same"


def test_a_strategy_that_loses_a_photo_is_an_error():
    with pytest.raises(CaptionDataError, match="The strategy 'short' gave 1 captions for 4 photos"):
        compared({"short": lambda latents: ["a dog"]})


def test_no_strategy_is_an_error():
    with pytest.raises(EvaluationError, match="There is no strategy to measure"):
        compared({})


def test_sizes_are_measured_once_a_draw_and_the_whole_once():
    asked = []

    def measure(size, seed):
        asked.append((size, seed))
        return {"PD": float(size + seed)}

    rows = scores_by_size(measure, [10, 2, 2], whole=10, seeds=3)
    assert asked == [(2, 0), (2, 1), (2, 2), (10, 0)]
    assert [(row.size, row.draws, row.mean("PD"), row.range("PD")) for row in rows] == [
        (2, 3, 3.0, (2.0, 4.0)),
        (10, 1, 10.0, (10.0, 10.0)),
    ]


@pytest.mark.parametrize(
    ("sizes", "seeds", "words"),
    [
        ([2, 11], 1, "The size 11 cannot be drawn from 10; give sizes from 1 to 10"),
        ([0], 1, "The size 0 cannot be drawn"),
        ([], 1, "0 sizes with 1 draws each measure nothing"),
        ([2], 0, "1 sizes with 0 draws each measure nothing"),
    ],
)
def test_sizes_that_cannot_be_measured_are_errors(sizes, seeds, words):
    with pytest.raises(EvaluationError, match=words):
        scores_by_size(lambda size, seed: {"PD": 0.0}, sizes, whole=10, seeds=seeds)


ROWS = (SizeScores(100, {"PD": (1.0, 3.0), "blind": (0.5, 0.5)}), SizeScores(1000, {"PD": (4.0,), "blind": (0.5,)}))
SCORES = {"PD": {"CIDEr-D": 47.46, "BLEU-4": 20.0}, "a $5 way": {"CIDEr-D": 30.0}, "blind": {"CIDEr-D": 4.9}}


@pytest.mark.parametrize(
    "draw",
    [
        lambda path: plot_caption_scores(SCORES, path),
        lambda path: plot_sizes(ROWS, path, xlabel="captions in the memory"),
        lambda path: plot_sizes(ROWS[:1], path, xlabel="texts"),
    ],
)
def test_a_plot_is_a_picture_and_nothing_lies_beside_it(draw, tmp_path):
    draw(tmp_path / "plot.png")
    assert [path.name for path in tmp_path.iterdir()] == ["plot.png"]
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.format == "PNG"
        assert len({*picture.convert("L").tobytes()}) > 2


def printed(table):
    text = io.StringIO()
    Console(file=text, width=120).print(table)
    return [line.split() for line in text.getvalue().splitlines() if line.strip()]


def test_the_table_of_strategies_has_a_row_each_and_the_control_last():
    lines = printed(caption_table(SCORES))
    assert lines[0] == ["strategy", "CIDEr-D", "BLEU-4"]
    assert lines[2] == ["PD", "47.5", "20.0"]
    assert lines[-1] == ["blind", "4.9"]


def test_the_table_of_sizes_says_the_range_where_there_are_draws():
    lines = printed(size_table(ROWS, "captions"))
    assert lines[0] == ["captions", "PD", "blind", "draws"]
    assert lines[2] == ["100", "2.0", "(1.0", "to", "3.0)", "0.5", "(0.5", "to", "0.5)", "2"]
    assert lines[3] == ["1,000", "4.0", "0.5", "1"]
