"""Shards: what was written is read back by its place, and what is damaged is named."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from linmap.data import open_photo
from linmap.data.images import EncodedPhoto, UnreadableImages
from linmap.data.shard_writing import write_caption_shards
from linmap.data.shards import LONGEST_TEXT, caption_shards, read_shard
from linmap.errors import CaptionDataError, OutputFolderError, UnreadableImageError


def examples(count: int) -> list[dict[str, object]]:
    random = np.random.default_rng(0)
    pictures = [Image.fromarray(random.integers(0, 255, (6, 8, 3), dtype=np.uint8)) for _ in range(count)]
    return [{"image": picture, "caption": f"photo number {n}"} for n, picture in enumerate(pictures)]


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG")
    return file.getvalue()


def tar_of(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_what_was_written_is_read_back_in_its_order(tmp_path):
    written = examples(5)
    shards = write_caption_shards(written, tmp_path, per_shard=2)
    assert shards == caption_shards(tmp_path)
    samples = [sample for shard in shards for sample in read_shard(shard)]
    assert [sample.caption for sample in samples] == [example["caption"] for example in written]
    assert [sample.key for sample in samples] == ["000000", "000001", "000010", "000011", "000020"]
    assert [open_photo(sample.photo()).tobytes() for sample in samples] == [e["image"].tobytes() for e in written]


def test_keys_and_members_are_img2datasets(tmp_path):
    (shard,) = write_caption_shards(examples(1), tmp_path, per_shard=10_000)
    with tarfile.open(shard) as tar:
        assert tar.getnames() == ["000000000.png", "000000000.txt", "000000000.json"]
        said = json.load(tar.extractfile("000000000.json"))
    assert said == {"caption": "photo number 0", "key": "000000000", "status": "success"}
    assert json.loads((tmp_path / "00000_stats.json").read_text()) == {"count": 1, "successes": 1}


def test_equal_examples_give_equal_bytes(tmp_path):
    one = write_caption_shards(examples(4), tmp_path / "one", per_shard=2)
    other = write_caption_shards(iter(examples(4)), tmp_path / "other", per_shard=2)
    assert [shard.read_bytes() for shard in one] == [shard.read_bytes() for shard in other]


def test_files_of_photos_go_in_as_they_are(tmp_path):
    (tmp_path / "A.JPG").write_bytes(jpeg())
    (tmp_path / "b").write_bytes(jpeg())
    photos = [tmp_path / "A.JPG", str(tmp_path / "b"), EncodedPhoto("row 3", jpeg())]
    (shard,) = write_caption_shards([{"image": photo, "caption": "x"} for photo in photos], tmp_path / "shards")
    samples = read_shard(shard)
    assert [sample.photo().data for sample in samples] == [jpeg()] * 3
    assert {Path(sample.member).suffix for sample in samples} == {".jpg"}


def test_webdataset_reads_what_was_written(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    shards = write_caption_shards(examples(5), tmp_path, per_shard=2)
    read = list(webdataset.WebDataset([str(shard) for shard in shards], shardshuffle=False))
    assert [sample["txt"].decode() for sample in read] == [f"photo number {n}" for n in range(5)]
    assert read[3]["png"] == read_shard(shards[1])[1].photo().data


@pytest.mark.parametrize(
    ("example", "error", "message"),
    [
        ({"image": "nowhere.jpg", "caption": "x"}, UnreadableImageError, r"nowhere\.jpg: it cannot be opened"),
        ({"image": EncodedPhoto("row 1", b"text"), "caption": "x"}, UnreadableImageError, "no image that Pillow knows"),
        ({"image": EncodedPhoto("a.jpg", b""), "caption": " "}, CaptionDataError, "has the caption ' '; expected a"),
        ({"image": EncodedPhoto("a.jpg", b""), "caption": "a \ud800"}, CaptionDataError, "'a .ud800'; expected a text"),
        ({"caption": "x"}, CaptionDataError, "with the caption 'x' has no image; take it out"),
        (
            {"image": Image.new("CMYK", (4, 3)), "caption": "x"},
            UnreadableImageError,
            r"a picture of 4 x 3 pixels: it cannot be written as PNG \(.*CMYK.*\); convert it to RGB",
        ),
    ],
)
def test_what_cannot_be_written_is_named(tmp_path, example, error, message):
    with pytest.raises(error, match=message):
        write_caption_shards([example], tmp_path)
    assert not list(tmp_path.glob("*.tar"))


def test_shards_are_not_written_over(tmp_path):
    write_caption_shards(examples(1), tmp_path)
    with pytest.raises(OutputFolderError, match=r"holds shards .* already; choose another folder"):
        write_caption_shards(examples(1), tmp_path)
    with pytest.raises(CaptionDataError, match="no example to write"):
        write_caption_shards([], tmp_path / "none")
    with pytest.raises(CaptionDataError, match="per_shard is 0; a shard must hold at least 1"):
        write_caption_shards([], tmp_path / "none", per_shard=0)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("{00000..00002}.tar", ["00000", "00001", "00002"]),
        ("{0..1}0000.tar", ["00000", "10000"]),
        ("0000{1,2}.tar", ["00001", "00002"]),
        ("0000?.tar", ["00000", "00001", "00002"]),
        ("{1,2}0000.tar", ["10000", "20000"]),
        ("00001.tar", ["00001"]),
        ("[12]*.tar", ["10000", "20000"]),
    ],
)
def test_braces_and_wildcards_name_shards(tmp_path, pattern, found):
    for name in ("00002", "00001", "00000", "10000", "20000"):
        (tmp_path / f"{name}.tar").touch()
    (tmp_path / "00000.parquet").touch()
    assert [shard.stem for shard in caption_shards(tmp_path / pattern)] == found


def test_a_folder_whose_name_has_braces_is_a_folder(tmp_path):
    folder = tmp_path / "{a}[1]"
    folder.mkdir()
    (folder / "0.tar").touch()
    assert caption_shards(folder) == [folder / "0.tar"]
    assert caption_shards(folder / "0.tar") == [folder / "0.tar"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{00000..00009}.tar", r"There is no .*00001\.tar, .*and 4 more; give a folder of tar files, or a pattern"),
        ("x*.tar", r"There is no .*x\*\.tar; give"),
        ("none", r"There is no .*none; give"),
        ("{00003..00000}.tar", r"There is no .*\{00003\.\.00000\}\.tar; give"),
        ("00000.tar.gz", r"00000\.tar\.gz is no \*\.tar \(a compressed one cannot be streamed\)"),
    ],
)
def test_shards_that_are_not_there_are_named(tmp_path, pattern, message):
    for name in ("00000.tar", "00000.tar.gz"):
        (tmp_path / name).touch()
    with pytest.raises(CaptionDataError, match=message):
        caption_shards(tmp_path / pattern)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CaptionDataError, match=r"The folder .*empty holds no shards \(\*\.tar\); give"):
        caption_shards(tmp_path / "empty")


def test_a_caption_may_stand_in_the_json_alone_and_other_members_do_not_matter(tmp_path):
    members = {
        "README.md": b"about these photos",
        "a/1.jpg": jpeg(),
        "a/1.json": json.dumps({"caption": "A dog .", "url": "x"}).encode(),
        "a/2.JPG": jpeg(),
        "a/2.txt": "\ufeffa caf\u00e9\n".encode(),
        "a/2.npy": b"numbers",
        "a/2.seg.png": b"a mask",
    }
    samples = read_shard(tar_of(tmp_path / "s.tar", members), lowercase=True, strip_final_period=True)
    assert [(sample.key, sample.caption, sample.member) for sample in samples] == [
        ("a/1", "a dog", "a/1.jpg"),
        ("a/2", "a caf\u00e9", "a/2.JPG"),
    ]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_read(tmp_path, form):
    key = "k" * 150
    with tarfile.open(tmp_path / "s.tar", "w", format=form) as tar:
        for name, data in ((f"{key}.jpg", jpeg()), (f"{key}.txt", b"a dog")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    (sample,) = read_shard(tmp_path / "s.tar")
    assert sample.key == key
    assert sample.photo().data == jpeg()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"2.jpg": jpeg()}, r"s\.tar/2\.jpg: it has no caption \(KEY\.txt, or KEY\.json\) beside it"),
        ({"2.txt": b"a cat"}, r"s\.tar/2: there is a caption and no photo beside it"),
        ({"2.jpg": jpeg(), "2.txt": b"  "}, "its caption is empty; caption it or take it out"),
        ({"2.jpg": jpeg(), "2.txt": b"\xff\xfe"}, r"its 2\.txt is no text in UTF-8"),
        ({"2.jpg": jpeg(), "2.json": b"{"}, r"its 2\.json is no JSON"),
        ({"2.jpg": jpeg(), "2.json": b"[1]"}, r'its 2\.json holds no text as "caption"'),
        ({"2.jpg": jpeg(), "2.json": b'{"caption": null}'}, r'its 2\.json holds no text as "caption"'),
        ({"2.jpg": jpeg(), "2.json": b'{"caption": "\\ud83d"}'}, r'its 2\.json holds no text as "caption"'),
        ({"2.jpg": jpeg(), "2.txt": b"x" * (LONGEST_TEXT + 1)}, r"its 2\.txt has 1,048,577 bytes, which is no caption"),
    ],
)
def test_a_damaged_sample_is_named_and_costs_only_itself(tmp_path, bad, message):
    good = {"1.jpg": jpeg(), "1.txt": b"a dog"}, {"3.jpg": jpeg(), "3.txt": b"a horse"}
    shard = tar_of(tmp_path / "s.tar", {**good[0], **bad, **good[1]})
    with pytest.raises(UnreadableImageError, match=message):
        read_shard(shard)
    unreadable = UnreadableImages(limit=1)
    assert [sample.caption for sample in read_shard(shard, unreadable)] == ["a dog", "a horse"]
    assert len(unreadable.errors) == 1


def cut_in_a_photo(data: bytes) -> bytes:
    return data[: data.index(b"1.jpg") + 600]


def cut_between_members(data: bytes) -> bytes:
    return data[: data.index(b"2.jpg")]


def zeroed_from_the_second_sample_on(data: bytes) -> bytes:
    at = data.index(b"2.jpg")
    return data[:at] + b"\x07" * 512 + data[at + 512 :]


def no_tar(data: bytes) -> bytes:
    return b"<html>404</html>" * 100


@pytest.mark.parametrize(
    ("damage", "left", "message"),
    [
        (cut_in_a_photo, 1, r"damaged or cut off after 0\.txt \(1\.jpg is not all there\); fetch it again"),
        (cut_between_members, 2, r"cut off after 1\.txt \(its end mark is missing\)"),
        (zeroed_from_the_second_sample_on, 2, r"damaged or cut off after 1\.txt \(there is no header at byte [\d,]+\)"),
        (no_tar, 0, "damaged or cut off after its first member"),
        (lambda data: b"", 0, "damaged or cut off after its first member"),
    ],
)
def test_a_damaged_shard_is_named_and_what_lies_before_the_damage_is_kept(tmp_path, damage, left, message):
    members = {f"{n}.{kind}": data for n in range(3) for kind, data in (("jpg", jpeg()), ("txt", b"a dog"))}
    shard = tar_of(tmp_path / "s.tar", members)
    shard.write_bytes(damage(shard.read_bytes()))
    unreadable = UnreadableImages(limit=1)
    assert len(read_shard(shard, unreadable)) == left
    with pytest.raises(UnreadableImageError, match=message):
        read_shard(shard)
    assert [error.image for error in unreadable.errors] == [str(shard)]


def test_a_shard_that_shrinks_or_goes_away_afterwards_is_said_to(tmp_path):
    (sample,) = read_shard(tar_of(tmp_path / "s.tar", {"1.jpg": jpeg(), "1.txt": b"a dog"}))
    sample.shard.write_bytes(sample.shard.read_bytes()[: sample.offset + 10])
    with pytest.raises(UnreadableImageError, match=r"s\.tar/1\.jpg: its shard is shorter than it was"):
        sample.photo()
    sample.shard.unlink()
    with pytest.raises(UnreadableImageError, match=r"s\.tar/1\.jpg: its shard cannot be read \(No such file"):
        sample.photo()
    with pytest.raises(CaptionDataError, match=r"shard .*s\.tar cannot be read \(No such file or directory\)"):
        read_shard(sample.shard)
