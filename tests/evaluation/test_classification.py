"""Classification and shift: counts that add up, controls beside them, classes without photos named."""

from __future__ import annotations

import pytest
import torch

from linmap.errors import EvaluationError
from linmap.evaluation import classification_scores, classify, distribution_shift

NAMES = ["cat", "dog", "horse"]
TARGETS = [0, 0, 0, 0, 1, 1, 2, 2, 2, 2]
PREDICTIONS = [0, 0, 1, 2, 1, 1, 0, 0, 1, 2]


@pytest.fixture
def scores():
    return classification_scores(PREDICTIONS, torch.tensor(TARGETS), NAMES)


def test_a_case_counted_by_hand(scores):
    assert scores.accuracy == 50
    assert [one.accuracy for one in scores.per_class] == [50, 100, 25]
    assert scores.mean_per_class == pytest.approx(175 / 3)
    assert scores.confusion.tolist() == [[2, 1, 1], [0, 2, 0], [2, 1, 1]]
    assert [one.mistaken_for for one in scores.per_class] == ["dog", None, "cat"]
    assert scores.n == 10


def test_chance_and_majority_stand_beside_the_score(scores):
    assert scores.chance == pytest.approx(100 / 3)
    assert (scores.majority, scores.majority_class) == (40, "cat")
    assert classification_scores([0] * 10, TARGETS, NAMES).accuracy == scores.majority


def test_rows_of_the_confusion_add_up_to_the_photos(scores):
    assert scores.confusion.sum(dim=1).tolist() == [one.photos for one in scores.per_class] == [4, 2, 4]
    assert scores.confusion.diagonal().tolist() == [one.correct for one in scores.per_class]
    assert scores.accuracy == 100 * scores.confusion.trace() / scores.confusion.sum()


def test_the_order_of_the_photos_changes_nothing(scores):
    order = torch.randperm(10)
    mixed = classification_scores(torch.tensor(PREDICTIONS)[order], torch.tensor(TARGETS)[order], NAMES)
    assert mixed == scores
    assert mixed.confusion.equal(scores.confusion)


def test_classes_of_one_size_weigh_as_photos_do():
    scores = classification_scores([0, 1, 1, 1], [0, 0, 1, 1], NAMES[:2])
    assert scores.mean_per_class == scores.accuracy == 75


def test_a_classifier_that_is_always_right_scores_100():
    scores = classification_scores(TARGETS, TARGETS, NAMES)
    assert scores.accuracy == scores.mean_per_class == 100


@pytest.mark.parametrize(
    ("predictions", "targets", "names", "message"),
    [
        ([0, 2], [0, 2], NAMES, "1 of 3 classes have no photo in the test set: 'dog'. Their accuracy is unknown; add"),
        ([0], [0, 1], NAMES[:2], r"predictions are of shape \(1,\); expected \(2,\)"),
        ([0, 1], [0, 3], NAMES, "targets run from 0 to 3; expected 0 to 2"),
        ([0, -1], [0, 1], NAMES[:2], "predictions run from -1 to 0; expected 0 to 1"),
        ([0], [0], [], "There are no class names"),
        ([0], [0], ["cat"], "There is one class, 'cat'; classifying tells at least two apart"),
        ([0], [0], ["cat"] * 25_001, "There are 25,001 classes; what is taken .* for at most 25,000. Measure on fewer"),
    ],
)
def test_what_cannot_be_counted_is_an_error(predictions, targets, names, message):
    with pytest.raises(EvaluationError, match=message):
        classification_scores(predictions, targets, names)


def test_a_thousand_classes_are_counted_in_four_bytes_a_cell():
    targets = torch.arange(1000).repeat(3)
    scores = classification_scores(targets.roll(1), targets, [str(number) for number in range(1000)])
    assert (scores.confusion.dtype, scores.confusion.shape) == (torch.int32, (1000, 1000))
    assert (scores.accuracy, int(scores.confusion.sum())) == (0, 3000)
    assert scores.per_class[7].mistaken_for == "6"


def test_many_classes_without_a_photo_are_counted_and_some_named():
    names = [f"class {number}" for number in range(10)]
    with pytest.raises(EvaluationError, match=r"9 of 10 classes .*'class 1', .*'class 5' and 4 more"):
        classification_scores([0], [0], names)


@pytest.fixture
def test_sets():
    targets = torch.arange(3).repeat(40)
    draw = torch.randn(120, 3, generator=torch.Generator().manual_seed(0))
    return {
        name: (torch.eye(3)[targets] + noise * draw, targets)
        for name, noise in {"photos": 0.3, "sketches": 1, "drawings": 3}.items()
    }


def test_the_drop_is_named_against_the_first_test_set(test_sets):
    rows = distribution_shift(lambda images: classify(images, torch.eye(3)), test_sets, NAMES)
    first = rows[0].scores.accuracy
    assert [row.name for row in rows] == ["photos", "sketches", "drawings"]
    assert (rows[0].drop, rows[0].relative_drop) == (0, 0)
    assert first > rows[1].scores.accuracy > rows[2].scores.accuracy
    for row in rows:
        assert row.drop == first - row.scores.accuracy
        assert row.relative_drop == pytest.approx(100 * (1 - row.scores.accuracy / first))


def test_an_easier_test_set_drops_by_less_than_nothing(test_sets):
    easier = {name: test_sets[name] for name in ("sketches", "photos")}
    rows = distribution_shift(lambda images: images.argmax(dim=1), easier, NAMES)
    assert rows[1].drop < 0


def test_a_first_set_without_a_hit_has_no_relative_drop(test_sets):
    rows = distribution_shift(
        lambda images: (images.argmax(dim=1) + 1) % 3, {"a": (torch.eye(3), [0, 1, 2])} | test_sets, NAMES
    )
    assert (rows[0].scores.accuracy, rows[1].relative_drop) == (0, None)


def test_a_shift_needs_two_test_sets_of_the_same_classes(test_sets):
    with pytest.raises(EvaluationError, match="A shift is between test sets, and there are 1; give at least two"):
        distribution_shift(lambda images: images.argmax(dim=1), {"photos": test_sets["photos"]}, NAMES)
    half = test_sets | {"half": (torch.eye(3)[:2], [0, 1])}
    with pytest.raises(EvaluationError, match=r"Test set 'half': 1 of 3 classes have no photo .*: 'horse'"):
        distribution_shift(lambda images: images.argmax(dim=1), half, NAMES)
