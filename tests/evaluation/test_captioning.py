"""Scoring a captioner and its blind control."""

from __future__ import annotations

import pytest

from linmap.errors import CaptionDataError
from linmap.evaluation import CaptioningExample, blinded, derangement, evaluate_captions

WORDS = ["dog", "cat", "horse", "bird", "sheep", "cow", "fish"]
EXAMPLES = [CaptioningExample(word, [f"one {word} runs", f"some {word} there"]) for word in WORDS]


def caption(seen):
    return [f"one {word} runs" for word in seen]


def test_captions_come_in_the_order_of_the_examples_whatever_the_batch_size():
    whole = evaluate_captions(caption, EXAMPLES, batch_size=100, tokenizer="simple")
    assert whole.captions == tuple(caption(WORDS))
    assert evaluate_captions(caption, EXAMPLES, batch_size=3, tokenizer="simple") == whole


def test_batches_are_as_large_as_asked_and_told_about():
    sizes, told = [], []

    def counting(seen):
        sizes.append(len(seen))
        return caption(seen)

    evaluate_captions(counting, EXAMPLES, batch_size=3, tokenizer="simple", on_batch=told.append)
    assert sizes == told == [3, 3, 1]


def test_a_captioner_that_sees_scores_far_above_its_blind_control():
    seen = evaluate_captions(caption, EXAMPLES, tokenizer="simple").score.value
    blind = evaluate_captions(caption, blinded(EXAMPLES), tokenizer="simple").score.value
    assert seen > 4 * blind


def test_a_captioner_that_sees_nothing_scores_the_same_blind():
    def same(seen):
        return ["one dog runs"] * len(seen)

    seen = evaluate_captions(same, EXAMPLES, tokenizer="simple")
    assert evaluate_captions(same, blinded(EXAMPLES), tokenizer="simple") == seen


def test_the_blind_control_shows_every_photo_once_and_none_its_own():
    control = blinded(EXAMPLES, seed=5)
    assert [example.references for example in control] == [example.references for example in EXAMPLES]
    assert sorted(example.seen for example in control) == sorted(WORDS)
    assert all(theirs.seen != own.seen for theirs, own in zip(control, EXAMPLES, strict=True))


@pytest.mark.parametrize("count", [2, 3, 10, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_a_derangement_leaves_nothing_in_its_place(count, seed):
    order = derangement(count, seed)
    assert sorted(order) == list(range(count))
    assert all(place != item for place, item in enumerate(order))


def test_a_derangement_depends_on_its_seed_alone():
    assert derangement(50, 3) == derangement(50, 3)
    assert derangement(50, 3) != derangement(50, 4)
    assert derangement(10) == [7, 8, 1, 5, 3, 4, 2, 0, 9, 6]  # the same on every machine and Python version


def test_every_derangement_is_drawn_about_equally_often():
    drawn = [tuple(derangement(4, seed)) for seed in range(1800)]
    counts = {order: drawn.count(order) for order in set(drawn)}
    assert len(counts) == 9
    assert all(140 < count < 260 for count in counts.values())


def test_one_photo_cannot_be_blinded():
    with pytest.raises(CaptionDataError, match="One photo cannot be shuffled with others"):
        blinded(EXAMPLES[:1])


def test_a_captioner_that_leaves_photos_out_is_an_error():
    with pytest.raises(CaptionDataError, match="gave 2 captions for 3 photos; expected one each"):
        evaluate_captions(lambda seen: caption(seen)[1:], EXAMPLES[:3], tokenizer="simple")
