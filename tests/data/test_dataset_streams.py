"""Datasets as streams: rows come as they are, encoded; what is wrong with one is named."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import datasets
import pytest
from PIL import Image

from linmap.data import open_photo
from linmap.data.dataset_streams import stream_dataset
from linmap.data.images import EncodedPhoto, UnreadableImages
from linmap.data.shard_writing import write_caption_shards
from linmap.data.shards import read_shard
from linmap.errors import CaptionDataError, UnknownNameError, UnreadableImageError

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def png(grey: int) -> dict[str, Any]:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (grey, grey, grey)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def table(rows: list[dict[str, Any]], captions: Any = None) -> datasets.Dataset:
    features = datasets.Features({"image": datasets.Image(), "caption": captions or datasets.Value("string")})
    return datasets.Dataset.from_list(rows, features=features)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As on the Hub: two splits, one in two files of Parquet."""
    made = tmp_path / "dataset"
    made.mkdir()
    rows = [{"image": png(n), "caption": f"Number {n} ."} for n in range(6)]
    for name, part in (("train-0", rows[:2]), ("train-1", rows[2:5]), ("validation-0", rows[5:])):
        table(part).to_parquet(made / f"{name}.parquet")
    return made


def test_rows_come_in_their_order_and_encoded(folder):
    read = list(stream_dataset(str(folder), "train", lowercase=True, strip_final_period=True))
    assert [example["caption"] for example in read] == [f"number {n}" for n in range(5)]
    assert [example["key"] for example in read] == ["0", "1", "2", "3", "4"]
    assert all(isinstance(example["image"], EncodedPhoto) for example in read)
    assert [open_photo(example["image"]).getpixel((0, 0))[0] for example in read] == list(range(5))


def test_every_caption_of_a_row_is_an_example(tmp_path):
    several = table([{"image": png(1), "caption": ["A dog", "A pet"]}], datasets.List(datasets.Value("string")))
    several.save_to_disk(tmp_path / "saved")
    assert [one["caption"] for one in stream_dataset(str(tmp_path / "saved"))] == ["A dog", "A pet"]


def test_a_stream_is_written_into_shards(folder, tmp_path):
    shards = write_caption_shards(stream_dataset(str(folder), "train"), tmp_path / "shards", per_shard=2)
    assert [sample.caption for shard in shards for sample in read_shard(shard)] == [f"Number {n} ." for n in range(5)]


def test_a_row_without_photo_or_caption_is_named_and_costs_only_itself(tmp_path):
    rows = [{"image": png(1), "caption": "A dog"}, {"image": png(2), "caption": " "}, {"image": None, "caption": "x"}]
    table([*rows, {"image": png(3), "caption": "A cat"}]).save_to_disk(tmp_path / "saved")
    with pytest.raises(UnreadableImageError, match=r"Cannot read row 1 of .*: caption 1 \(' '\) is empty"):
        list(stream_dataset(str(tmp_path / "saved")))
    unreadable = UnreadableImages(limit=2)
    read = [one["caption"] for one in stream_dataset(str(tmp_path / "saved"), unreadable=unreadable)]
    assert read == ["A dog", "A cat"]
    assert "row 2" in unreadable.errors[1].image
    assert "holds NoneType, no image" in str(unreadable.errors[1])


def test_what_is_not_there_is_named(folder, tmp_path):
    with pytest.raises(CaptionDataError, match="has several splits; name one of them: train, validation"):
        list(stream_dataset(str(folder)))
    with pytest.raises(UnknownNameError, match=r"Unknown split 'trian'\. Did you mean 'train'"):
        list(stream_dataset(str(folder), "trian"))
    with pytest.raises(UnknownNameError, match=r"Unknown column 'text'\..* Known: caption, image"):
        list(stream_dataset(str(folder), "train", caption_column="text"))
    with pytest.raises(CaptionDataError, match=r"Cannot read the dataset .*nowhere.*Give a folder that save_to_disk"):
        list(stream_dataset(str(tmp_path / "nowhere"), "train"))
