"""Features on disk: what comes back is what the encoder gave, and what is not whole is not read."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from linmap.data.feature_identity import FeatureIdentity
from linmap.data.feature_store import FeatureStore
from linmap.data.feature_store_building import (
    SHARD_BYTES,
    SHARD_ROWS,
    Extracted,
    PhotoShard,
    PlacedPhoto,
    extract_features,
    rows_of_a_shard,
)
from linmap.data.feature_store_sources import photo_source
from linmap.data.images import UnreadableImages
from linmap.data.shard_writing import write_caption_shards
from linmap.encoders.preprocessing import LinmapImageProcessor, resize_and_crop
from linmap.errors import (
    CaptionDataError,
    FeatureMismatchError,
    FeatureStoreError,
    TooManyUnreadableImagesError,
    UnknownNameError,
    UnreadableImageError,
)

SETTINGS = resize_and_crop(8, crop_fraction=1.0, squash=True, interpolation="bilinear", mean=[0.5] * 3, std=[0.5] * 3)
PROCESSOR = LinmapImageProcessor.from_dict(SETTINGS)
ENCODER = {"name": "timm:of_a_test", "library": "timm", "id": "of_a_test", "pretrained": True, "sha256": "a" * 64}
ARCHITECTURE = {"grid": [2, 2], "feature_dim": 6, "pooled_dim": 5}
IDENTITY = FeatureIdentity(ENCODER, SETTINGS, ARCHITECTURE, "grid")


def encode(pixels: Tensor) -> Tensor:
    """(batch, 3, 8, 8) to (batch, 4, 6): what is known of each quarter, the same whatever is beside it in the batch."""
    quarters = torch.nn.functional.unfold(pixels, kernel_size=4, stride=4).unflatten(1, (3, 16)).transpose(1, 3)
    return torch.cat([quarters.mean(2), quarters.amax(2)], dim=-1)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with `captions.json` (11 photos, 1 to 3 captions each, splits train and val) and `images`."""
    folder = tmp_path / "set"
    (folder / "images" / "in").mkdir(parents=True)
    random = np.random.default_rng(0)
    rows = []
    for number in range(11):
        name = f"in/{number}.png" if number % 2 else f"photo {number} ü.png"
        Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8)).save(folder / "images" / name)
        captions = [f"Caption {number}.{k} žába ." for k in range(number % 3 + 1)]
        rows.append({"file": name, "captions": captions, "split": "val" if number % 4 == 3 else "train"})
    (folder / "captions.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder


def extract(photos: Path, output: Path, *, rows: int = 4, split: str | None = None, **options: Any) -> Extracted:
    source = photo_source(photos / "captions.json", photos / "images", rows=rows, split=split)
    return extract_features(
        source.shards, encode, PROCESSOR, output, IDENTITY, source=source.facts, **{"batch_size": 3, **options}
    )


@pytest.fixture
def store(photos: Path, tmp_path: Path) -> Path:
    extract(photos, tmp_path / "store", dtype="float32")
    return tmp_path / "store"


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_every_photo_comes_back_with_its_features_its_key_its_captions_and_its_split(photos: Path, store: Path) -> None:
    rows = json.loads((photos / "captions.json").read_text())
    opened = FeatureStore(store)
    assert (len(opened), [shard["rows"] for shard in opened.shards]) == (11, [4, 4, 3])
    pictures = [Image.open(photos / "images" / row["file"]).convert("RGB") for row in rows]
    expected = encode(PROCESSOR(images=pictures, return_tensors="pt")["pixel_values"])
    for row, photo, features, wanted in zip(rows, opened.photos(), opened.features(), expected, strict=True):
        assert (photo.image, list(photo.captions), photo.split) == (row["file"], row["captions"], row["split"])
        torch.testing.assert_close(features, wanted, rtol=0, atol=1e-6)
    torch.testing.assert_close(opened.features()[2:7], expected[2:7], rtol=0, atol=1e-6)
    assert opened.photos()[-1].image == rows[-1]["file"]
    assert opened.photos().caption_counts().tolist() == [len(row["captions"]) for row in rows]


def test_a_worker_process_is_handed_the_folder_and_not_the_features(store: Path) -> None:
    features = FeatureStore(store).features("val")
    assert features[0].sum() != 0
    handed = pickle.dumps(features)
    assert len(handed) < 2000
    torch.testing.assert_close(pickle.loads(handed)[1], features[1])


def test_a_split_is_read_alone_and_cleaned_as_asked(photos: Path, store: Path) -> None:
    opened = FeatureStore(store)
    assert opened.splits == ["train", "val"]
    kept, features = opened.photos("val", lowercase=True, strip_final_period=True), opened.features("val")
    assert [photo.image for photo in kept] == ["in/3.png", "in/7.png"]
    assert kept[0].captions == ("caption 3.0 žába",)
    assert kept.caption_counts().tolist() == [1, 2]
    torch.testing.assert_close(features[1], opened.features()[7])
    assert len(kept[:1]) == len(features.first(1)) == 1
    with pytest.raises(UnknownNameError, match=r"Unknown split 'test'\. .*Known: train, val"):
        opened.photos("test")


@pytest.mark.parametrize(("dtype", "off"), [("float16", 1e-3), ("bfloat16", 8e-3), ("float32", 0.0)])
def test_each_number_format_is_kept_as_it_is(photos: Path, store: Path, tmp_path: Path, dtype: str, off: float) -> None:
    extract(photos, tmp_path / dtype, dtype=dtype)
    opened = FeatureStore(tmp_path / dtype)
    assert opened.features()[0].dtype == getattr(torch, dtype)
    torch.testing.assert_close(opened.features()[0:11].float(), FeatureStore(store).features()[0:11], rtol=0, atol=off)


def test_however_many_processes_share_the_work_the_bytes_are_the_same(
    photos: Path, store: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    assert extract(photos, shared, dtype="float32", job=(1, 2)).shards == 1
    with pytest.raises(FeatureStoreError, match=r"not complete: 2 of 3 shards are missing, the first is features-"):
        FeatureStore(shared)
    assert extract(photos, shared, dtype="float32", job=(0, 2)).shards == 2
    assert files_of(shared) == files_of(store)
    assert extract(photos, tmp_path / "many", dtype="float32", job=(7, 8)).shards == 0


def test_a_cut_off_extraction_goes_on_to_the_same_bytes_and_encodes_no_finished_shard_again(
    photos: Path, store: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut"
    shutil.copytree(store, cut)
    (cut / "features-00002.json").unlink()
    (cut / "features-00003.json").unlink()
    (cut / "features-00003.safetensors").rename(cut / "features-00003.safetensors.part")
    (cut / "features-00003.rows.part").write_bytes(b"half a row")
    encoded: list[int] = []

    def counting(pixels: Tensor) -> Tensor:
        encoded.append(len(pixels))
        return encode(pixels)

    source = photo_source(photos / "captions.json", photos / "images", rows=4)
    done = extract_features(
        source.shards, counting, PROCESSOR, cut, IDENTITY, source=source.facts, dtype="float32", batch_size=3
    )
    assert (done.shards, done.found, done.rows, done.captions) == (3, 1, 11, 21)
    assert encoded == [3, 1, 3]
    assert files_of(cut) == files_of(store)


def test_a_finished_shard_that_was_damaged_is_named_and_extracted_again(
    photos: Path, store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = files_of(store)
    file = store / "features-00002.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-8] + bytes(byte ^ 1 for byte in whole[-8:]))
    with pytest.raises(FeatureStoreError, match=r"features-00002\.safetensors is damaged or another file: its sha256"):
        FeatureStore(store).verify()
    assert extract(photos, store, dtype="float32").found == 2
    assert "Shard 00002 is extracted again" in caplog.text
    assert files_of(store) == before
    assert FeatureStore(store).verify() == sum(len(held) for name, held in before.items() if name.endswith("tensors"))


def test_photos_that_cannot_be_read_are_left_out_named_and_counted_again_when_the_extraction_goes_on(
    photos: Path, tmp_path: Path
) -> None:
    (photos / "images" / "in" / "5.png").write_bytes(b"no photo")
    with pytest.raises(UnreadableImageError, match=r"in/5\.png: it holds text"):
        extract(photos, tmp_path / "store")
    for _ in range(2):
        done = extract(photos, tmp_path / "store", unreadable=UnreadableImages(1))
        assert (done.rows, [key for key, _ in done.unreadable]) == (10, ["in/5.png"])
    opened = FeatureStore(tmp_path / "store")
    assert "in/5.png" not in [photo.image for photo in opened.photos()]
    assert opened.unreadable[0][1].startswith("it holds text")
    (photos / "images" / "in" / "9.png").unlink()
    (tmp_path / "store" / "features-00003.json").unlink()
    source = photo_source(
        photos / "captions.json", photos / "images", rows=4, unreadable=(missing := UnreadableImages(1))
    )
    assert len(missing.errors) == 1
    with pytest.raises(TooManyUnreadableImagesError, match="2 photos cannot be read, at most 1"):
        extract_features(
            source.shards, encode, PROCESSOR, tmp_path / "new", IDENTITY, source=source.facts, unreadable=missing
        )


@pytest.mark.parametrize(
    ("options", "changed"),
    [({"dtype": "bfloat16"}, "dtype"), ({"dtype": "float32", "batch_size": 2}, "batch_size"),
     ({"dtype": "float32", "split": "val"}, "source, shards"), ({"dtype": "float32", "rows": 5}, "source")],
)  # fmt: skip
def test_an_extraction_with_other_values_does_not_go_into_the_same_folder(
    photos: Path, store: Path, options: dict[str, Any], changed: str
) -> None:
    before = files_of(store)
    with pytest.raises(FeatureStoreError, match=rf"extracted with other values of {changed}\. Choose another --output"):
        extract(photos, store, **options)
    assert files_of(store) == before


def test_captions_that_changed_under_an_extraction_are_noticed(photos: Path, store: Path) -> None:
    rows = json.loads((photos / "captions.json").read_text())
    rows[6]["captions"] = ["another caption"]
    (photos / "captions.json").write_text(json.dumps(rows))
    with pytest.raises(FeatureStoreError, match="extracted with other values of source"):
        extract(photos, store, dtype="float32")


def test_a_folder_with_other_files_is_left_alone(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FeatureStoreError, match="holds files that are not of a feature store; choose another --output"):
        extract(photos, tmp_path)
    with pytest.raises(FeatureStoreError, match="is a file; choose a folder as --output"):
        extract(photos, tmp_path / "thesis.txt")


def damaged_index(store: Path, **changes: Any) -> None:
    index = json.loads((store / "index.json").read_text())
    (store / "index.json").write_text(json.dumps({**index, **changes}))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda store: (store / "index.json").unlink(), r"holds no index\.json, so it is no feature store"),
        (lambda store: (store / "index.json").write_text("{"), r"index\.json is not JSON"),
        (lambda store: (store / "index.json").write_text("[]"), r"index\.json is not that of a feature store"),
        (lambda store: damaged_index(store, version=2), r"of version 2, and this linmap reads version 1\. Install a"),
        (lambda store: damaged_index(store, identity={}), r"index\.json is damaged: identity is not as it must be"),
        (lambda store: damaged_index(store, dtype="int8"), r"index\.json is damaged: dtype"),
        (lambda store: damaged_index(store, shards=[]), r"index\.json is damaged: shards"),
        (lambda store: damaged_index(store, shards=[7]), r"index\.json is damaged: shards"),
        (lambda store: (store / "features-00002.safetensors").unlink(), r"features-00002\.safetensors is missing"),
        (lambda store: (store / "features-00002.safetensors").write_bytes(b"x"), r"it has 1 bytes, expected"),
        (lambda store: (store / "features-00002.json").write_text("{}"), r"00002\.json is damaged: file is not as"),
        (lambda store: (store / "features-00002.json").write_text("7"), r"00002\.json is damaged: what it holds"),
        (
            lambda store: shutil.copy(store / "features-00001.json", store / "features-00002.json"),
            r"speaks of 'features-00001\.safetensors', which is another shard",
        ),
        (
            lambda store: damaged_index(
                store, identity={**IDENTITY.to_dict(), "architecture": {**ARCHITECTURE, "feature_dim": 7}}
            ),
            r"features-00001\.safetensors holds features \(4, 4, 6\) torch\.float32, and the index says \(4, 4, 7\)",
        ),
    ],
)  # fmt: skip
def test_what_is_damaged_is_named_in_one_line(store: Path, damage: Callable[[Path], Any], said: str) -> None:
    damage(store)
    with pytest.raises(FeatureStoreError, match=said):
        FeatureStore(store).features()[0]


def test_a_shard_that_is_no_safetensors_file_is_damaged(store: Path) -> None:
    file = store / "features-00001.safetensors"
    file.write_bytes(b"\xff" * file.stat().st_size)
    with pytest.raises(FeatureStoreError, match=r"features-00001\.safetensors is damaged \("):
        FeatureStore(store).features()[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"encoder": {**ENCODER, "sha256": "b" * 64}}, r"encoder 'timm:of_a_test' \(aaaaaaaaaaaa\), and the model has"),
        ({"encoder": {**ENCODER, "sha256": None, "id": "other"}}, "encoder 'timm:of_a_test'"),
        ({"encoder": {**ENCODER, "sha256": None, "pretrained": False, "seed": 3}}, "random weights, seed 3"),
        ({"features": "pooled"}, r'features "grid", and the model has "pooled"'),
        ({"grid_size": 1}, "grid_size null, and the model has 1"),
        (
            {"preprocessing": {**SETTINGS, "image_mean": [0.0] * 3}},
            r"preprocessing image_mean \[0\.5, 0\.5, 0\.5\]",
        ),
    ],
)
def test_features_of_another_encoder_preprocessing_or_pooling_are_refused(change: dict[str, Any], said: str) -> None:
    other = FeatureIdentity(**{**IDENTITY.to_dict(), **change})
    with pytest.raises(FeatureMismatchError, match=said):
        IDENTITY.require(other, "store")
    IDENTITY.require(FeatureIdentity.from_dict(json.loads(json.dumps(IDENTITY.to_dict()))), "store")
    IDENTITY.require(FeatureIdentity(**{**IDENTITY.to_dict(), "encoder": {**ENCODER, "sha256": None}}), "store")


def test_tar_shards_become_one_shard_each(photos: Path, store: Path, tmp_path: Path) -> None:
    from linmap.data.captions import read_captions

    captioned = read_captions(photos / "captions.json", photos / "images")
    tars = write_caption_shards(
        ({"image": photo.image, "caption": photo.captions[0]} for photo in captioned), tmp_path / "tars", 4
    )
    source = photo_source(tmp_path / "tars", None, rows=2)
    extract_features(source.shards, encode, PROCESSOR, tmp_path / "out", IDENTITY, source=source.facts, dtype="float32")
    opened = FeatureStore(tmp_path / "out")
    assert [shard["rows"] for shard in opened.shards] == [4, 4, 3] == [4] * (len(tars) - 1) + [3]
    assert [photo.captions for photo in opened.photos()] == [photo.captions[:1] for photo in captioned]
    torch.testing.assert_close(opened.features()[0:11], FeatureStore(store).features()[0:11])
    assert not opened.splits
    with pytest.raises(FeatureStoreError, match="have no splits, so there is no 'val'"):
        opened.photos("val")
    limited = photo_source(str(tmp_path / "tars" / "{00000..00002}.tar"), None, rows=2, limit=6)
    assert [len(shard.photos()[0]) for shard in limited.shards] == [4, 2]
    for option in ({"images": photos}, {"split": "val"}):
        with pytest.raises(CaptionDataError, match=r"was given with .*tars, which is no captions file"):
            photo_source(tmp_path / "tars", option.get("images"), rows=2, split=option.get("split"))
    with pytest.raises(CaptionDataError, match="is a captions file: name the folder of its photos as --images"):
        photo_source(photos / "captions.json", None, rows=2)


def test_a_photo_that_the_captions_file_names_by_its_whole_path_keeps_that_name(photos: Path, tmp_path: Path) -> None:
    file = photos / "images" / "in" / "1.png"
    (tmp_path / "c.json").write_text(json.dumps([{"file": str(file), "captions": ["A dog"]}]))
    (tmp_path / "empty").mkdir()
    (shard,) = photo_source(tmp_path / "c.json", tmp_path / "empty", rows=2).shards
    assert [photo.key for photo in shard.photos()[0]] == [file.as_posix()]


def test_what_overflows_half_precision_is_said_and_not_stored(photos: Path, tmp_path: Path) -> None:
    source = photo_source(photos / "captions.json", photos / "images", rows=4)

    def large(pixels: Tensor) -> Tensor:
        return encode(pixels) + 1e5

    with pytest.raises(FeatureStoreError, match=r"are not finite in float16; keep them in float32 or bfloat16"):
        extract_features(source.shards, large, PROCESSOR, tmp_path / "store", IDENTITY, source=source.facts)
    assert [file.name for file in (tmp_path / "store").iterdir()] == ["index.json"]


def test_what_cannot_be_asked_is_said(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown dtype 'int8'"):
        extract(photos, tmp_path / "store", dtype="int8")
    with pytest.raises(FeatureStoreError, match=r"There is no shard index 2 of 2; indices go from 0 to 1"):
        extract(photos, tmp_path / "store", job=(2, 2))
    with pytest.raises(FeatureStoreError, match="There is no photo to extract features of"):
        extract_features([], encode, PROCESSOR, tmp_path / "store", IDENTITY, source={})


def test_a_shard_without_a_readable_photo_is_finished_all_the_same(photos: Path, tmp_path: Path) -> None:
    for number in range(4):
        name = f"in/{number}.png" if number % 2 else f"photo {number} ü.png"
        (photos / "images" / name).write_bytes(b"")
    extract(photos, tmp_path / "store", unreadable=UnreadableImages(4))
    opened = FeatureStore(tmp_path / "store")
    assert [shard["rows"] for shard in opened.shards] == [0, 4, 3]
    assert [photo.image for photo in opened.photos("val")] == ["in/7.png"]
    assert len(opened.features()[0:7]) == 7
    assert opened.photos().caption_counts().sum() == 14


def test_shards_are_as_large_as_their_features_allow() -> None:
    wide = FeatureIdentity(ENCODER, SETTINGS, {"grid": [12, 12], "feature_dim": 3072, "pooled_dim": 768}, "grid")
    assert rows_of_a_shard(IDENTITY, "float16") == SHARD_ROWS
    assert (
        rows_of_a_shard(wide, "float32") * 144 * 3072 * 4
        <= SHARD_BYTES
        < (rows_of_a_shard(wide, "float32") + 1) * 144 * 3072 * 4
    )


def test_reading_a_few_rows_reads_no_others(tmp_path: Path) -> None:
    """A store of 64 MB, of which ten rows are asked for: memory grows by their pages, not by the store."""
    from benchmarks.process import forget_peak, peak

    identity = FeatureIdentity(ENCODER, SETTINGS, {"grid": [1, 1], "feature_dim": 1 << 14, "pooled_dim": 1}, "grid")
    photo = Image.new("RGB", (8, 8))
    placed = [PlacedPhoto(str(number), photo, ("a",)) for number in range(1024)]

    def taken() -> tuple[Sequence[PlacedPhoto], list[UnreadableImageError]]:
        return placed, []

    shard = PhotoShard("00001", {}, taken)
    extract_features(
        [shard], lambda pixels: torch.rand(len(pixels), 1, 1 << 14), PROCESSOR, tmp_path, identity, source={},
        dtype="float32",
    )  # fmt: skip
    opened = FeatureStore(tmp_path)
    before = forget_peak()
    features = opened.features()
    total = sum(float(features[row].sum()) for row in range(0, 1024, 100))
    assert total > 0
    assert peak() - before < 32 << 20
