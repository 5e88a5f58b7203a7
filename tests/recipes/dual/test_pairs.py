"""The order of pairs: each once an epoch, a photo's captions apart, views drawn by seed and epoch."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from linmap.data import Captioned
from linmap.recipes.pairs import PairExamples, PairSplit, PhotosApart, even_batch_size


def batches_of(sampler: PhotosApart) -> list[list[int]]:
    order = list(sampler)
    return [order[start : start + sampler.batch_size] for start in range(0, len(order), sampler.batch_size)]


@pytest.mark.parametrize(("photos", "captions", "batch_size"), [(60, 5, 40), (17, 3, 8), (9, 5, 9), (50, 1, 16)])
def test_no_batch_holds_a_photo_twice(photos: int, captions: int, batch_size: int) -> None:
    ids = [photo for photo in range(photos) for _ in range(captions)]
    for seed in range(5):
        batches = batches_of(PhotosApart(ids, batch_size, seed=seed))
        assert sorted(pair for batch in batches for pair in batch) == list(range(len(ids)))
        assert {len(batch) for batch in batches[:-1]} <= {batch_size}
        for batch in batches:
            assert max(Counter(ids[pair] for pair in batch).values()) == 1


def test_a_photo_with_more_captions_than_batches_is_spread_evenly() -> None:
    ids = [0] * 9 + list(range(1, 12))
    counts = [Counter(ids[pair] for pair in batch)[0] for batch in batches_of(PhotosApart(ids, 5))]
    assert sum(counts) == 9
    assert max(counts) <= 3


def test_photos_meet_others_in_each_epoch() -> None:
    ids = [photo for photo in range(40) for _ in range(5)]
    sampler = PhotosApart(ids, 20)

    def companies() -> set[frozenset[int]]:
        return {frozenset(ids[pair] for pair in batch) for batch in batches_of(sampler)}

    first = companies()
    assert len(first) == 10
    sampler.set_epoch(1)
    assert not first & companies()


def test_seed_and_epoch_alone_decide_order_and_views() -> None:
    sampler = PhotosApart(list(range(50)), 8, views=2, seed=1)
    first = list(sampler)
    torch.manual_seed(123)  # the global state has no say
    assert list(sampler) == first
    assert sorted(index % 50 for index in first) == list(range(50))
    assert 10 < sum(index >= 50 for index in first) < 40
    sampler.set_epoch(1)
    assert list(sampler) != first


def test_a_pair_comes_with_its_own_photo_in_the_view_it_is_drawn_in() -> None:
    photos = [Captioned(Path("a.jpg"), ("a", "b")), Captioned(Path("b.jpg"), ("c",))]
    images = torch.tensor([[[0.0], [10.0]], [[1.0], [11.0]]])
    texts = torch.tensor([[100.0], [101.0], [102.0]])
    examples = PairExamples(PairSplit(photos, images, texts), views=2)
    seen = [
        (e["image_features"].item(), e["text_features"].item(), e["image_id"])
        for e in map(examples.__getitem__, range(6))
    ]
    assert seen == [(0, 100, 0), (0, 101, 0), (1, 102, 1), (10, 100, 0), (10, 101, 0), (11, 102, 1)]
    plain = PairExamples(PairSplit(photos, None, None), views=2)
    assert plain[5] == {"image_id": 1, "image": Path("b.jpg"), "mirrored": True, "caption": "c"}


def test_photos_whose_files_are_equal_count_as_one(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "copy.png").write_bytes((tmp_path / "a.png").read_bytes())
    photos = [Captioned(tmp_path / f"{name}.png", (f"of {name}",)) for name in ("a", "b", "copy")]
    assert PairExamples(PairSplit(photos, None, None)).image_ids == [0, 1, 0]


def test_batches_are_even() -> None:
    for pairs in range(2, 200):
        for largest in (2, 7, 64):
            size = even_batch_size(pairs, largest)
            assert size <= largest
            assert -(-pairs // size) == -(-pairs // largest)
