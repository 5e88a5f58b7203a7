"""Streams of shards: every sample once, to one reader, in an order of seed and epoch; and on from where one stood."""

from __future__ import annotations

import logging
import random
import tarfile
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from torch.utils.data import DataLoader

from linmap.data import open_photo
from linmap.data.images import EncodedPhoto, UnreadableImages
from linmap.data.shard_writing import write_caption_shards
from linmap.data.shards import ShardSample
from linmap.data.stream_loading import StreamLoader
from linmap.data.streams import CaptionStream
from linmap.errors import CaptionDataError, TooManyUnreadableImagesError, UnreadableImageError

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # more workers than cores

SIZES = (5, 3, 7, 4, 6, 2, 5)  # samples of each shard: 32


def captions(samples: Sequence[dict[str, Any]]) -> list[str]:
    return [sample["caption"] for sample in samples]


def pixels_and_captions(samples: Sequence[dict[str, Any]]) -> list[tuple[int, str]]:
    return [(open_photo(sample["image"]).getpixel((0, 0))[0], sample["caption"]) for sample in samples]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("shards")
    found, number = [], 0
    for shard, size in enumerate(SIZES):
        photos = [
            {"image": Image.new("RGB", (2, 2), (n, n, n)), "caption": str(n)} for n in range(number, number + size)
        ]
        (one,) = write_caption_shards(photos, folder / str(shard))
        found.append(one.rename(folder / f"{shard:05d}.tar"))
        number += size
    return found


def test_an_epoch_is_every_sample_once_in_an_order_of_its_own(shards):
    stream = CaptionStream(shards, seed=1, shuffle_buffer=4)
    first = pixels_and_captions(list(stream))
    assert sorted(first) == [(n, str(n)) for n in range(sum(SIZES))]
    assert pixels_and_captions(list(stream)) == first
    stream.set_epoch(1)
    assert sorted(captions(stream)) == sorted(caption for _, caption in first)
    assert captions(stream) != [caption for _, caption in first]


def test_seed_and_epoch_alone_decide_the_order(shards):
    one = CaptionStream(shards, seed=1)
    random.seed(5)
    other = CaptionStream(reversed(shards), seed=1)
    assert captions(one) == captions(other)
    assert captions(one) != captions(CaptionStream(shards, seed=2))


def test_a_window_of_one_sample_keeps_the_order_within_shards(shards):
    read = [int(caption) for caption in captions(CaptionStream(shards, shuffle_buffer=1))]
    assert sum(after != before + 1 for before, after in pairwise(read)) < len(SIZES)


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_readers_share_no_shard_and_miss_none(shards, world_size, workers):
    for epoch in (0, 1):
        read = []
        for rank in range(world_size):
            stream = CaptionStream(shards, shuffle_buffer=3, rank=rank, world_size=world_size)
            stream.set_epoch(epoch)
            read += [caption for (caption,) in StreamLoader(stream, captions, 1, workers=workers)]
        assert sorted(read, key=int) == [str(n) for n in range(sum(SIZES))]
    readers = world_size * max(workers, 1)
    dealt = [CaptionStream(shards)._dealt(epoch, reader, readers) for reader in range(readers)]
    assert sorted(shard for hand in dealt for shard in hand) == shards


def test_the_same_batches_come_again_with_workers(shards):
    stream = CaptionStream(shards, shuffle_buffer=3)
    assert list(StreamLoader(stream, captions, 2, workers=3)) == list(StreamLoader(stream, captions, 2, workers=3))


def test_two_processes_see_together_what_one_with_twice_the_workers_sees(shards):
    def first(batches: int, workers: int, **process: int) -> list[list[str]]:
        loader = StreamLoader(CaptionStream(shards, endless=True, **process), captions, 3, workers=workers)
        return [batch for batch, _ in zip(loader, range(batches), strict=False)]

    ranks = [first(20, 1, rank=rank, world_size=2) for rank in range(2)]
    assert first(40, 2) == [batch for pair in zip(*ranks, strict=True) for batch in pair]


@pytest.mark.parametrize("taken", [0, 1, 13, 31, 32])
def test_an_epoch_goes_on_at_the_next_sample(shards, taken):
    whole = captions(CaptionStream(shards, shuffle_buffer=4))
    stream = CaptionStream(shards, shuffle_buffer=4)
    stream.skip(taken)
    assert captions(stream) == whole[taken:]
    stream.set_epoch(1)
    assert len(captions(stream)) == len(whole)  # what was skipped belongs to its epoch


@pytest.mark.parametrize("workers", [0, 2, 3])
def test_an_epoch_goes_on_at_the_next_batch_of_its_workers(shards, workers):
    whole = list(StreamLoader(CaptionStream(shards, shuffle_buffer=4), captions, 2, workers=workers))
    for taken in range(0, len(whole) + 1, 1 if workers == 0 else 7):  # starting workers is what takes the time
        loader = StreamLoader(CaptionStream(shards, shuffle_buffer=4), captions, 2, workers=workers)
        loader.skip(taken)
        assert list(loader) == whole[taken:]


@pytest.mark.parametrize("workers", [0, 3])
def test_an_endless_stream_goes_on_at_the_next_batch_through_all_epochs(shards, workers):
    def first(batches: int, skipped: int) -> list[list[str]]:
        stream = CaptionStream(shards, shuffle_buffer=4, endless=True)
        loader = StreamLoader(stream, captions, 3, workers=workers)
        loader.skip(skipped)
        return [batch for batch, _ in zip(loader, range(batches), strict=False)]

    whole = first(40, 0)
    assert {len(batch) for batch in whole} == {3}
    assert {Counter(caption for batch in whole for caption in batch)[str(n)] for n in range(sum(SIZES))} <= {
        2,
        3,
        4,
        5,
        6,
    }
    for skipped in (1, 10, 11, 25, 37) if workers == 0 else (11, 37):
        assert first(40 - skipped, skipped) == whole[skipped:]


def test_every_reader_meets_all_of_its_epoch_before_the_next(shards):
    stream = CaptionStream(shards, shuffle_buffer=4, endless=True)
    read = [sample["caption"] for sample, _ in zip(stream, range(3 * sum(SIZES)), strict=False)]
    for epoch in range(3):
        assert len(set(read[epoch * sum(SIZES) : (epoch + 1) * sum(SIZES)])) == sum(SIZES)


def test_skipping_reads_no_photo(shards, monkeypatch):
    read: list[str] = []
    plain = ShardSample.photo

    def counted(sample: ShardSample) -> EncodedPhoto:
        read.append(sample.key)
        return plain(sample)

    monkeypatch.setattr(ShardSample, "photo", counted)
    stream = CaptionStream(shards, shuffle_buffer=4)
    stream.skip(30)
    assert len(list(stream)) == len(read) == 2


def test_workers_that_outlive_an_epoch_see_the_next(shards):
    stream = CaptionStream(shards, shuffle_buffer=4)
    loader = DataLoader(stream, batch_size=None, num_workers=2, persistent_workers=True)
    first = captions(loader)
    stream.set_epoch(1)
    assert captions(loader) != first
    stream.set_epoch(0)
    assert captions(loader) == first


def test_samples_are_counted_beforehand(shards):
    stream = CaptionStream(shards)
    assert stream.count() == sum(SIZES)
    assert list(stream.counts.values()) == list(SIZES)


def test_too_few_shards_are_said_before_anything_starts(shards):
    message = (
        r"There are 7 shards for 8 readers \(processes: 2, workers: 4\), and each needs its own\. Take fewer workers, "
        r"or cut the photos into more shards"
    )
    with pytest.raises(CaptionDataError, match=message):
        StreamLoader(CaptionStream(shards, rank=0, world_size=2), captions, 2, workers=4)
    with pytest.raises(CaptionDataError, match=r"There are 0 shards for 1 readers"):
        list(CaptionStream([]))


def test_another_number_of_workers_cannot_go_on(shards):
    stream = CaptionStream(shards)
    stream.skip(3)
    with pytest.raises(CaptionDataError, match="where 1 readers had stood, and there are 2 workers now"):
        list(StreamLoader(stream, captions, 2, workers=2))


def test_a_shuffle_buffer_of_nothing_is_refused(shards):
    with pytest.raises(CaptionDataError, match="buffer is 0; it must hold at least 1"):
        CaptionStream(shards, shuffle_buffer=0)


def without_captions(shards: Sequence[Path], folder: Path, numbers: set[int]) -> list[Path]:
    """The shards again, some of them without their captions."""
    found = []
    for number, shard in enumerate(shards):
        found.append(folder / shard.name)
        with tarfile.open(shard) as old, tarfile.open(found[-1], "w") as new:
            for info in old:
                if number not in numbers or info.name.endswith(".png"):
                    new.addfile(info, old.extractfile(info))
    return found


@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_damaged_is_named_and_stops_as_an_error_of_ours(shards, tmp_path, workers):
    damaged = without_captions(shards, tmp_path, {3})
    with pytest.raises(TooManyUnreadableImagesError, match=r"4 photos .* at most 3 .*: .*00003\.tar/\d+\.png, "):
        list(StreamLoader(CaptionStream(damaged, unreadable=UnreadableImages(3)), captions, 2, workers=workers))


def test_what_is_damaged_is_left_out_and_named_once(shards, tmp_path, caplog):
    unreadable = UnreadableImages(limit=4)
    stream = CaptionStream(without_captions(shards, tmp_path, {3}), unreadable=unreadable)
    with caplog.at_level(logging.WARNING, logger="linmap"):
        assert stream.count() == sum(SIZES) - 4
        for epoch in range(2):
            stream.set_epoch(epoch)
            assert len(list(stream)) == sum(SIZES) - 4
    assert len(unreadable.errors) == 4
    assert caplog.text.count("Left out") == 4


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_the_collator_comes_out_as_it_was_raised(shards, workers):
    def collate(samples: Sequence[dict[str, Any]]) -> list[str]:
        raise UnreadableImageError(samples[0]["key"], "it is too dark")

    with pytest.raises(UnreadableImageError, match=r"^Cannot read \d+: it is too dark\.$"):
        list(StreamLoader(CaptionStream(shards), collate, 2, workers=workers))


def test_a_shard_that_changes_in_the_middle_is_an_error(shards, tmp_path):
    whole = without_captions(shards, tmp_path, set())
    stream = CaptionStream(whole, endless=True)
    stream.count()
    samples = iter(stream)
    next(samples)
    whole[2].write_bytes(shards[0].read_bytes())
    with pytest.raises(CaptionDataError, match=r"00002\.tar held 7 samples before and holds 5 now; leave shards as"):
        list(zip(samples, range(200), strict=False))


def test_an_endless_stream_of_nothing_ends(tmp_path):
    tarfile.open(tmp_path / "0.tar", "w").close()
    with pytest.raises(CaptionDataError, match="None of the 1 shards holds a photo with a caption"):
        list(CaptionStream([tmp_path / "0.tar"], endless=True))


def test_the_launcher_says_which_process_this_is(shards, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    stream = CaptionStream(shards)
    assert (stream.rank, stream.world_size) == (1, 2)
    assert captions(stream) == captions(CaptionStream(shards, rank=1, world_size=2))
