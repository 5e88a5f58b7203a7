from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from linmap.data.captions import Captioned
from linmap.recipes.examples import (
    TOKENISED_AT_ONCE,
    CaptionExamples,
    EveryCaption,
    LengthGroupedBatches,
    ShuffledExamples,
    caption_lengths,
)

PHOTOS = [Captioned("a.jpg", ("a", "b")), Captioned("b.jpg", ("c", "d")), Captioned("c.jpg", ("e", "f"))]


def test_every_caption_comes_with_the_features_of_its_own_photo() -> None:
    features = torch.arange(3.0).reshape(3, 1, 1).half()
    examples = CaptionExamples.every_caption(PHOTOS, features)
    seen = [(float(example["image_features"]), example["caption"]) for example in map(examples.__getitem__, range(6))]
    assert seen == [(0, "a"), (0, "b"), (1, "c"), (1, "d"), (2, "e"), (2, "f")]
    assert examples[0]["image_features"].dtype == torch.float32


def test_a_caption_is_found_by_its_number_as_when_all_are_read_in_turn() -> None:
    photos = [Captioned("a.jpg", ("a",)), Captioned("b.jpg", ("b", "c", "d")), Captioned("c.jpg", ("e", "f"))]
    pairs = EveryCaption(photos)
    assert list(pairs) == [pairs[number] for number in range(len(pairs))] == pairs[0:6]
    assert (pairs[3], pairs[-1], len(EveryCaption([]))) == ((1, "d"), (2, "f"), 0)


def test_captions_are_measured_in_portions_as_together(tiny_tokenizer: Callable[..., Any]) -> None:
    captions = ["a dog", "a brown horse jumps"] * (TOKENISED_AT_ONCE // 2) + ["two"]
    lengths = caption_lengths(tiny_tokenizer(), captions)
    assert lengths[:2] * (TOKENISED_AT_ONCE // 2) + lengths[-1:] == lengths


def test_without_features_the_photo_itself_is_the_example() -> None:
    assert CaptionExamples.one_caption_each(PHOTOS)[1] == {"image": "b.jpg", "caption": "d"}


def test_one_caption_each_takes_the_captions_in_turn() -> None:
    assert [caption for _, caption in CaptionExamples.one_caption_each(PHOTOS).pairs] == ["a", "d", "e"]


def test_the_order_is_a_permutation_that_seed_and_epoch_decide() -> None:
    for sampler in (ShuffledExamples(50, seed=1), LengthGroupedBatches(list(range(50)), 4, seed=1)):
        first = list(sampler)
        assert sorted(first) == list(range(50))
        torch.manual_seed(123)  # the global state has no say
        assert list(sampler) == first
        sampler.set_epoch(1)
        assert list(sampler) != first
        sampler.set_epoch(0)
        assert list(sampler) == first


def test_batches_hold_captions_about_equally_long_and_come_in_no_order_of_length() -> None:
    lengths = torch.randint(5, 40, (4000,), generator=torch.Generator().manual_seed(0)).tolist()
    order = list(LengthGroupedBatches(lengths, 8))
    batches = [[lengths[i] for i in order[start : start + 8]] for start in range(0, 4000, 8)]
    padded, shuffled = sum(8 * max(batch) for batch in batches), 4000 * 40
    assert padded < 1.05 * sum(lengths) < shuffled
    means = torch.tensor([sum(batch) / 8 for batch in batches])
    assert abs(torch.corrcoef(torch.stack([means[:-1], means[1:]]))[0, 1]) < 0.15


def test_only_the_last_batch_is_shorter() -> None:
    lengths = [3, 9, 4, 4, 8, 2, 7, 7, 1, 5]
    order = list(LengthGroupedBatches(lengths, 4, seed=3))
    assert sorted(order) == list(range(10))
    assert len(order) == 10
