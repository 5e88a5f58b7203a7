"""Mixed batches: every batch of the same mixture, every caption once, the same order again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linmap.data.captions import Captioned
from linmap.data.images import EncodedPhoto
from linmap.data.text_pairs import CaptionPairs, WordDropout
from linmap.errors import RecipeError
from linmap.recipes.clippo.batches import PHOTOS, EndlessRows, MixedBatches, MixedExamples, evenly_mixed
from linmap.recipes.pairs import PairExamples, PairSplit
from linmap.recipes.processes import SharedBatches

PHOTO_SET = [
    Captioned(EncodedPhoto(str(number), str(number).encode()), tuple(f"text {letter} of {number}" for letter in "abc"))
    for number in range(10)
]


def examples(views: int = 1) -> MixedExamples:
    photos = PairExamples(PairSplit(PHOTO_SET, None, None), views=views)
    sentences = [f"one two three {number}" for number in range(5)]
    return MixedExamples(photos, [CaptionPairs(PHOTO_SET, range(10)), WordDropout(sentences)])


def test_every_batch_has_the_same_mixture_and_every_caption_comes_once_an_epoch() -> None:
    order = MixedBatches(examples(), photo_rows=6, text_rows=[3, 1], seed=4)
    drawn = list(order)
    assert len(drawn) == len(order) == 50
    for start in range(0, 50, 10):
        assert Counter(one.source for one in drawn[start : start + 10]) == {PHOTOS: 6, 0: 3, 1: 1}
    assert sorted(one.row for one in drawn if one.source == PHOTOS) == list(range(30))
    assert sorted(one.row for one in drawn if one.source == 1) == list(range(5))


def test_text_pairs_go_on_from_one_epoch_to_the_next() -> None:
    order = MixedBatches(examples(), photo_rows=6, text_rows=[3, 1])
    rows = []
    for epoch in range(2):
        order.set_epoch(epoch)
        rows += [one.row for one in order if one.source == 0]
    assert all(sorted(rows[start : start + 10]) == list(range(10)) for start in (0, 10, 20))


def test_an_epoch_comes_again_as_it_was_and_another_is_another() -> None:
    order, again = (MixedBatches(examples(2), photo_rows=6, text_rows=[3, 1], seed=7) for _ in range(2))
    first = list(order)
    assert first == list(again)
    order.set_epoch(1)
    assert first != list(order)
    assert {one.row >= 30 for one in first if one.source == PHOTOS} == {True, False}  # as they are and mirrored


def test_a_batch_holds_no_photo_twice_where_that_can_be() -> None:
    mixed = examples()
    drawn = list(MixedBatches(mixed, photo_rows=4, text_rows=[0, 0]))
    for start in range(0, len(drawn), 4):
        assert len({mixed[one]["image_id"] for one in drawn[start : start + 4]}) == 4


def test_every_process_has_its_share_of_the_text_pairs() -> None:
    order = MixedBatches(examples(), photo_rows=4, text_rows=[4, 2], seed=1)
    for index in (0, 1):
        for part in SharedBatches(order, 10, 2, index):
            assert 1 <= sum(one.source == 0 for one in part) <= 3
            assert len(part) == 5


def test_too_few_photos_for_a_batch_are_an_error_and_text_alone_needs_none() -> None:
    with pytest.raises(RecipeError, match=r"There are 30 captions to learn from, and a batch takes 31 of them: take"):
        MixedBatches(examples(), photo_rows=31, text_rows=[1, 1])
    alone = MixedExamples(None, [WordDropout(["a b", "c d", "e f"])])
    order = MixedBatches(alone, photo_rows=0, text_rows=[2])
    assert [set(alone[one]) for one in order] == [{"first_caption", "caption", "image_id"}] * 2


def test_an_example_is_a_photo_with_a_caption_or_a_pair_of_texts() -> None:
    mixed = examples()
    kinds = {one.source: mixed[one] for one in MixedBatches(mixed, photo_rows=1, text_rows=[1, 1])}
    assert set(kinds[PHOTOS]) == {"image", "mirrored", "caption", "image_id"}
    assert kinds[0]["first_caption"] != kinds[0]["caption"]
    number = int(kinds[0]["caption"].rsplit(maxsplit=1)[1])
    assert kinds[0]["image_id"] == number  # the photo's: its captions are never negatives
    assert kinds[1]["image_id"] < 0
    assert Path(str(kinds[PHOTOS]["image"])).name == str(kinds[PHOTOS]["image_id"])


def test_a_photo_is_cropped_anew_each_time_and_texts_are_not() -> None:
    mixed = MixedExamples(examples().photos, examples().texts, crop=0.5)
    order = MixedBatches(mixed, photo_rows=2, text_rows=[1, 1], seed=3)
    crops = [mixed[one].get("crop") for one in order]
    photos = [crop for crop in crops if crop is not None]
    assert len(photos) == len(set(photos)) == len(crops) / 2
    order.set_epoch(1)
    assert not set(photos) & {mixed[one].get("crop") for one in order}


@given(st.lists(st.integers(0, 20), min_size=1, max_size=4))
def test_kinds_are_spread_evenly(counts: list[int]) -> None:
    places = evenly_mixed(counts)
    assert Counter(kind for kind, _ in places) == Counter({kind: count for kind, count in enumerate(counts) if count})
    for half in (places[: len(places) // 2], places[len(places) // 2 :]):
        for kind, count in enumerate(counts):
            assert abs(sum(one == kind for one, _ in half) - count / 2) <= len(counts)


@given(st.integers(1, 9), st.integers(0, 40), st.integers(0, 30))
def test_rows_without_an_end_are_permutations_one_behind_another(count: int, first: int, many: int) -> None:
    rows = EndlessRows(count, seed=3)
    whole = rows.taken(0, first + many)
    assert rows.taken(first, many) == whole[first:]
    for start in range(0, len(whole) - count + 1, count):
        assert sorted(whole[start : start + count]) == list(range(count))
