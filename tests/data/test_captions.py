"""Readers: what is in the file comes out, and what is wrong with it is named."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import pytest
from PIL import Image

from linmap.data import Captioned, caption_examples, from_dataset, open_photo, read_captions
from linmap.data.captions import load_split, normalise_caption
from linmap.data.images import UnreadableImages
from linmap.errors import CaptionDataError, TooManyUnreadableImagesError, UnknownNameError, UnreadableImageError

RECORDS = [
    {"file": "a.jpg", "captions": ["A dog runs .", "A brown dog."], "split": "train"},
    {"file": "b.jpg", "captions": ["Two cats"], "split": "val"},
    {"file": "c.jpg", "captions": ["A Horse..."], "split": "train"},
]
COCO = {
    "images": [{"id": 7, "file_name": "b.jpg"}, {"id": 3, "file_name": "a.jpg"}],
    "annotations": [
        {"image_id": 3, "id": 1, "caption": "A dog."},
        {"image_id": 7, "id": 2, "caption": "Two cats"},
        {"image_id": 3, "id": 3, "caption": "A brown dog"},
    ],
}
NOCAPS = COCO | {
    "images": [
        {"id": 7, "file_name": "b.jpg", "open_images_id": "0013ea", "domain": "out-domain"},
        {"id": 3, "file_name": "a.jpg", "open_images_id": "0013eb", "domain": "in-domain"},
    ]
}
KARPATHY = {
    "dataset": "flickr8k",
    "images": [
        {
            "filename": "b.jpg",
            "imgid": 0,
            "split": "test",
            "sentences": [{"raw": "Two cats", "tokens": ["two", "cats"]}],
        },
        {"filename": "a.jpg", "split": "restval", "sentences": [{"raw": "A dog."}, {"raw": "A brown dog"}]},
    ],
}


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        Image.new("RGB", (4, 4)).save(folder / name)
    return folder


@pytest.fixture
def write(tmp_path):
    def written(content) -> Path:
        path = tmp_path / "captions.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return written


def test_flickr8k_records_are_read_in_their_order(write, photos):
    read = read_captions(write(RECORDS), photos)
    assert read[0] == Captioned(photos / "a.jpg", ("A dog runs .", "A brown dog."), "train")
    assert [record.image for record in read] == [photos / name for name in ("a.jpg", "b.jpg", "c.jpg")]


def test_only_the_split_asked_for_is_read(write, photos):
    read = read_captions(write(RECORDS), photos, "train")
    assert [Path(str(record.image)).name for record in read] == ["a.jpg", "c.jpg"]


def test_records_without_a_split_are_read(write, photos):
    (read,) = read_captions(write([{"file": "a.jpg", "captions": ["A dog"]}]), photos)
    assert read.split is None


def test_records_of_one_photo_are_one_photo_with_all_its_captions(write, photos, caplog):
    records = [{"file": one["file"], "captions": [text]} for one in RECORDS for text in one["captions"]]
    records[1]["file"] = "./a.jpg"
    read = read_captions(write([*records, {"file": str(photos / "b.jpg"), "captions": ["Cats"]}]), photos)
    assert [(record.image, record.captions) for record in read] == [
        (photos / "a.jpg", ("A dog runs .", "A brown dog.")),
        (photos / "b.jpg", ("Two cats", "Cats")),
        (photos / "c.jpg", ("A Horse...",)),
    ]
    (warned,) = caplog.records
    assert "2 photos stand in several records of" in warned.getMessage()
    assert "captions.json; the captions of each were joined." in warned.getMessage()


def test_a_photo_of_two_splits_is_joined_only_where_both_are_asked_for(write, photos, caplog):
    path = write([*RECORDS, {"file": "a.jpg", "captions": ["A pet"], "split": "val"}])
    assert [record.captions for record in read_captions(path, photos, "val")] == [("Two cats",), ("A pet",)]
    assert not caplog.records
    assert read_captions(path, photos)[0].captions == ("A dog runs .", "A brown dog.", "A pet")
    assert "1 photos stand in several records of" in caplog.text


def test_coco_images_of_one_file_are_one_photo(write, photos, caplog):
    content = COCO | {"images": [*COCO["images"], {"id": 4, "file_name": "a.jpg"}]}
    assert read_captions(write(content), photos)[1].captions == ("A dog.", "A brown dog")
    assert "1 photos stand in several records" in caplog.text


def test_a_byte_order_mark_is_no_part_of_the_json(write, photos):
    assert read_captions(write("\ufeff" + json.dumps(RECORDS)), photos) == read_captions(write(RECORDS), photos)


def test_what_the_operating_system_refuses_is_one_clear_line(write, photos):
    path = write(RECORDS)
    with pytest.raises(CaptionDataError, match=r"captions\.json/x cannot be read \(Not a directory\); check its path"):
        read_captions(path / "x", photos)
    with pytest.raises(CaptionDataError, match=r"cannot be read \(File name too long\)"):
        read_captions("x" * 300, photos)
    with pytest.raises(CaptionDataError, match="There is no folder of photos xxx"):
        read_captions(path, "x" * 300)
    with pytest.raises(UnreadableImageError, match="there is no such file"):
        read_captions(write([{"file": "x" * 300 + "/a.jpg", "captions": ["A dog"]}]), photos)


def test_coco_annotations_are_gathered_by_image(write, photos):
    assert read_captions(write(COCO), photos) == [
        Captioned(photos / "b.jpg", ("Two cats",)),
        Captioned(photos / "a.jpg", ("A dog.", "A brown dog")),
    ]


def test_nocaps_photos_know_their_domains(write, photos):
    read = read_captions(write(NOCAPS), photos)
    assert read == [
        Captioned(photos / "b.jpg", ("Two cats",), domain="out-domain"),
        Captioned(photos / "a.jpg", ("A dog.", "A brown dog"), domain="in-domain"),
    ]
    assert read_captions(write(NOCAPS), photos, format="nocaps") == read
    assert {record.domain for record in read_captions(write(NOCAPS), photos, format="coco")} == {None}


def test_a_nocaps_file_without_captions_or_with_other_domains_is_named(write, photos):
    with pytest.raises(CaptionDataError, match=r'images without "annotations", .* give nocaps_val_4500_captions\.json'):
        read_captions(write({"images": NOCAPS["images"]}), photos, format="nocaps")
    other = NOCAPS | {"images": [NOCAPS["images"][0], {"id": 3, "file_name": "a.jpg", "domain": "far"}]}
    with pytest.raises(CaptionDataError, match=r"a\.jpg is 'far'; expected one of in-domain, near-domain"):
        read_captions(write(other), photos)
    with pytest.raises(CaptionDataError, match=r"b\.jpg is None; expected one of"):
        read_captions(write(COCO), photos, format="nocaps")


def test_karpathys_splits_are_read(write, photos):
    assert read_captions(write(KARPATHY), photos) == [
        Captioned(photos / "b.jpg", ("Two cats",), "test"),
        Captioned(photos / "a.jpg", ("A dog.", "A brown dog"), "restval"),
    ]
    assert read_captions(write(KARPATHY), photos, "test", "karpathy") == read_captions(write(KARPATHY), photos)[:1]


def test_karpathys_coco_photos_lie_in_the_folder_that_the_file_names(write, photos):
    (photos / "val2014").mkdir()
    (photos / "a.jpg").rename(photos / "val2014" / "a.jpg")
    image = {"filepath": "val2014", "filename": "a.jpg", "split": "val", "sentences": [{"raw": "A dog."}]}
    (read,) = read_captions(write({"images": [image]}), photos)
    assert read.image == photos / "val2014" / "a.jpg"


def test_captions_are_untouched_unless_asked(write, photos):
    read = read_captions(write(RECORDS), photos, lowercase=True, strip_final_period=True)
    assert [record.captions for record in read] == [("a dog runs", "a brown dog"), ("two cats",), ("a horse",)]
    assert normalise_caption("A dog . ") == "A dog . "


def test_every_caption_becomes_an_example(write, photos):
    examples = caption_examples(read_captions(write(RECORDS), photos))
    assert len(examples) == 4
    assert examples[1] == {"image": photos / "a.jpg", "caption": "A brown dog."}


def test_one_missing_photo_is_named_up_front(write, photos):
    (photos / "b.jpg").unlink()
    with pytest.raises(UnreadableImageError, match=r"photos/b\.jpg: there is no such file"):
        read_captions(write(RECORDS), photos)


def test_missing_photos_are_counted_and_named_up_front(write, photos):
    (photos / "a.jpg").unlink()
    (photos / "b.jpg").unlink()
    with pytest.raises(TooManyUnreadableImagesError, match=r"2 photos cannot be read, at most 0 .*a\.jpg, .*b\.jpg"):
        read_captions(write(RECORDS), photos)


def test_missing_photos_are_left_out_up_to_the_limit(write, photos):
    (photos / "b.jpg").unlink()
    unreadable = UnreadableImages(limit=1)
    assert len(read_captions(write(RECORDS), photos, unreadable=unreadable)) == 2
    assert [error.image for error in unreadable.errors] == [str(photos / "b.jpg")]


def test_a_missing_photo_of_another_split_does_not_matter(write, photos):
    (photos / "b.jpg").unlink()
    assert len(read_captions(write(RECORDS), photos, "train")) == 2


def test_photos_may_lie_in_folders_below(write, photos):
    (photos / "val").mkdir()
    (photos / "a.jpg").rename(photos / "val" / "a.jpg")
    (read,) = read_captions(write([{"file": "val/a.jpg", "captions": ["A dog"]}]), photos)
    assert read.image == photos / "val" / "a.jpg"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", r"captions\.json is not JSON .*give a captions file in JSON, either a list"),
        ("3", "holds a bare value; expected either a list"),
        ({"pictures": []}, "holds an object with the keys pictures; expected"),
        ([], "holds no list of"),
        ([{"image": "a.jpg"}], 'record 1 has the keys image; expected "file" and "captions"'),
        (["a.jpg"], "record 1 has str; expected"),
        ([{"file": "a.jpg", "captions": "A dog"}], '"captions" of a.jpg is no list of strings'),
        ([{"file": "a.jpg", "captions": []}], "a.jpg has no caption; caption it or take it out"),
        ([{"file": "a.jpg", "captions": ["A dog", " "]}], r"a.jpg: caption 2 \(' '\) is empty"),
        ([{"file": "a.jpg", "captions": [None]}], "a.jpg: caption 1 is None, not a text"),
        ({"images": [{"id": 1}], "annotations": []}, "no COCO captions file: KeyError.'file_name'. while reading"),
        ({"images": [], "annotations": [{"image_id": 5, "caption": "A dog"}]}, '1 image ids .* not in "images": 5'),
        ({"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}, "a.jpg has no caption"),
        ({"images": []}, "as the format karpathy has it"),
        ({"images": [{"id": 1, "file_name": "a.jpg"}]}, 'image 1 has the keys id, file_name; expected "filename" and'),
        ({"images": ["a.jpg"]}, "image 1 has str; expected"),
        ({"images": [{"filename": "a.jpg", "sentences": ["A dog"]}]}, '"sentences" of a.jpg is no list of {"raw"'),
        ({"images": [{"filename": "a.jpg", "sentences": []}]}, "a.jpg has no caption"),
        ("[" * 100_000, "brackets are nested too deeply"),
        ([{"file": None, "captions": ["A dog"]}], '"file" of record 1 is None; expected the name of a file'),
        ([{"file": "a.jpg", "captions": ["A dog"], "split": ["val"]}], r"of a.jpg is \['val'\]; expected one word"),
        ([{"file": "a.jpg", "captions": ["A \ud83d dog"]}], "caption 1 .* holds half of a character"),
        ({"images": [{"id": 1, "file_name": 5}], "annotations": []}, '"file_name" of an image is 5; expected the name'),
        ({"images": [], "annotations": [{"image_id": [5], "caption": "A dog"}]}, "no COCO captions file: TypeError"),
        ({"images": [{"id": 1, "file_name": "a.jpg"}] * 2, "annotations": []}, "two images have the id 1; give each"),
        ({"images": [{"filename": 7, "sentences": []}]}, '"filename" of image 1 is 7; expected the name'),
        ({"images": [{"filename": "a.jpg", "filepath": 7, "sentences": []}]}, '"filepath" of a.jpg is 7; expected'),
        ({"images": [{"filename": "a.jpg", "split": 7, "sentences": []}]}, '"split" of a.jpg is 7; expected one word'),
    ],
)
def test_a_wrong_file_says_what_is_wrong(write, photos, content, message):
    with pytest.raises(CaptionDataError, match=message):
        read_captions(write(content), photos)


def test_a_caption_that_is_only_a_period_is_empty_once_stripped(write, photos):
    content = [{"file": "a.jpg", "captions": ["."]}]
    assert read_captions(write(content), photos)
    with pytest.raises(CaptionDataError, match=r"a\.jpg: caption 1 \('\.'\) is empty"):
        read_captions(write(content), photos, strip_final_period=True)


def test_a_missing_captions_file_is_named(tmp_path, photos):
    with pytest.raises(CaptionDataError, match=r"no captions file .*none\.json; check the path"):
        read_captions(tmp_path / "none.json", photos)
    with pytest.raises(CaptionDataError, match="is a directory; name the captions file in it"):
        read_captions(tmp_path, photos)


def test_a_missing_folder_of_photos_is_named(write, tmp_path):
    with pytest.raises(CaptionDataError, match=r"no folder of photos .*nowhere; check the path"):
        read_captions(write(RECORDS), tmp_path / "nowhere")


def test_an_unknown_split_gets_a_suggestion(write, photos):
    with pytest.raises(UnknownNameError, match=r"Unknown split 'vall'. Did you mean 'val'\? Known: train, val"):
        read_captions(write(RECORDS), photos, "vall")


def test_a_split_of_a_file_that_names_none_is_an_error(write, photos):
    with pytest.raises(
        CaptionDataError, match=r"no splits, so there is no 'val' in it; leave the split out.*or give each"
    ):
        read_captions(write(COCO), photos, "val")


def test_an_unknown_format_gets_a_suggestion(write, photos):
    with pytest.raises(UnknownNameError, match=r"Unknown captions format 'cocoa'. Did you mean 'coco'"):
        read_captions(write(COCO), photos, format="cocoa")


def test_the_other_format_by_name_says_what_it_expected(write, photos):
    with pytest.raises(CaptionDataError, match="no COCO captions file"):
        read_captions(write(RECORDS), photos, format="coco")
    with pytest.raises(CaptionDataError, match="as the format flickr8k has it"):
        read_captions(write(COCO), photos, format="flickr8k")


def rows(photos, **columns) -> datasets.Dataset:
    names = [str(photos / name) for name in ("a.jpg", "b.jpg", "c.jpg")]
    features = {"image": datasets.Image()}
    return datasets.Dataset.from_dict({"image": names} | columns).cast_column("image", features["image"])


def test_a_dataset_with_one_caption_a_row_is_read(photos):
    read = from_dataset(
        rows(photos, caption=["A dog .", "Two cats", "A horse"]), lowercase=True, strip_final_period=True
    )
    assert len(read) == 3
    assert [record.captions for record in read] == [("a dog",), ("two cats",), ("a horse",)]
    assert open_photo(read[0].image).size == (4, 4)
    assert read[-1].captions == ("a horse",)
    assert [record.captions for record in read[1:]] == [("two cats",), ("a horse",)]


def test_a_dataset_with_several_captions_a_row_and_other_columns_is_read(photos):
    dataset = rows(photos, texts=[["A dog", "A pet"], ["Two cats"], ["A horse"]], more=[1, 2, 3])
    dataset = dataset.rename_column("image", "photo")
    read = from_dataset(dataset, image_column="photo", caption_column="texts")
    assert read[0].captions == ("A dog", "A pet")


def test_a_damaged_photo_of_a_dataset_is_named_when_it_is_opened(photos):
    (photos / "b.jpg").write_text("no photo")
    dataset = rows(photos, caption=["A dog", "Two cats", "A horse"])
    read = from_dataset(dataset)
    with pytest.raises(UnreadableImageError, match=r"b\.jpg.*: it holds text"):
        open_photo(read[1].image)


def test_photos_embedded_in_a_dataset_are_read(photos):
    cells = [{"bytes": photo.read_bytes(), "path": None} for photo in sorted(photos.iterdir())]
    dataset = datasets.Dataset.from_dict({"image": cells, "caption": ["A dog", "Two cats", "A horse"]})
    read = from_dataset(dataset.cast_column("image", datasets.Image()))
    assert open_photo(read[2].image).size == (4, 4)
    assert str(read[2].image) == "row 2 of the dataset"


def test_a_dataset_of_paths_is_read(photos):
    dataset = datasets.Dataset.from_dict({"image": [str(photos / "a.jpg")], "caption": ["A dog"]})
    assert from_dataset(dataset)[0].image == photos / "a.jpg"


def test_an_empty_caption_of_a_dataset_names_its_row(photos):
    read = from_dataset(rows(photos, caption=["A dog", "", "A horse"]))
    with pytest.raises(CaptionDataError, match=r"row 1 of the dataset: caption 1 .* is empty"):
        read[1]


@pytest.mark.parametrize("captions", [[5], [{"raw": ["A dog"], "id": [1]}]])
def test_a_column_that_holds_no_texts_names_its_row(captions):
    read = from_dataset(datasets.Dataset.from_dict({"image": ["a.jpg"], "caption": captions}))
    with pytest.raises(CaptionDataError, match=r"row 0 of the dataset has the captions .*; expected a list of texts"):
        read[0]


def test_a_column_that_is_not_there_gets_a_suggestion(photos):
    with pytest.raises(UnknownNameError, match=r"Unknown column 'captions'. Did you mean 'caption'"):
        from_dataset(rows(photos, caption=["A dog", "Two cats", "A horse"]), caption_column="captions")


def test_a_column_that_holds_no_images_is_an_error():
    read = from_dataset(datasets.Dataset.from_dict({"image": [3], "caption": ["A dog"]}))
    with pytest.raises(
        CaptionDataError, match="row 0 of the dataset: column 'image' holds int, no image, path or bytes"
    ):
        read[0]


def test_a_dictionary_of_splits_and_a_stream_say_what_to_give(photos):
    dataset = rows(photos, caption=["A dog", "Two cats", "A horse"])
    with pytest.raises(CaptionDataError, match="dictionary of splits; give one of them: 'train'"):
        from_dataset(datasets.DatasetDict({"train": dataset}))
    with pytest.raises(CaptionDataError, match="load it without streaming=True"):
        from_dataset(dataset.to_iterable_dataset())


@pytest.fixture
def saved(photos, tmp_path):
    def save(content: datasets.Dataset | datasets.DatasetDict) -> str:
        content.save_to_disk(tmp_path / "saved")
        return str(tmp_path / "saved")

    return save


def with_captions(photos, split: str | None = None) -> datasets.Dataset:
    dataset = rows(photos, caption=["A dog", "Two cats", "A horse"])
    return datasets.Dataset(dataset.data, info=dataset.info, split=datasets.Split(split) if split else None)


def test_a_split_of_a_saved_dictionary_of_splits_is_loaded(photos, saved):
    whole = with_captions(photos)
    name = saved(datasets.DatasetDict({"train": whole.select([0, 2]), "val": whole.select([1])}))
    assert [len(from_dataset(load_split(name, split))) for split in ("train", "val")] == [2, 1]
    with pytest.raises(UnknownNameError, match=r"Unknown split 'vall'. Did you mean 'val'"):
        load_split(name, "vall")
    with pytest.raises(CaptionDataError, match="dictionary of splits; give one of them: 'train', 'val'"):
        from_dataset(load_split(name))


@pytest.mark.parametrize(
    ("split", "found"), [(None, "names no split"), ("train", "is the split 'train'"), ("test", "is the split 'test'")]
)
def test_a_saved_dataset_is_not_taken_for_a_split_it_is_not(photos, saved, split, found):
    name = saved(with_captions(photos, split))
    message = f"{found}, and 'val' is asked for. Leave the split out .*, or save a DatasetDict that holds both splits"
    with pytest.raises(CaptionDataError, match=message):
        load_split(name, "val")
    assert len(load_split(name, split)) == len(load_split(name)) == 3


@pytest.mark.parametrize("name", ["/nowhere/x", "nobody/no-such-dataset", "not a name?"])
def test_a_dataset_that_is_not_to_be_had_is_one_clear_line(name):
    with pytest.raises(
        CaptionDataError, match=r"Give a folder that save_to_disk wrote or that .* or the name"
    ) as caught:
        load_split(name, "train")
    assert str(caught.value).startswith(f"Cannot read the dataset {name!r}: ")
    assert "\n" not in str(caught.value)


def test_a_folder_that_holds_no_dataset_or_half_of_one_is_one_clear_line(photos, saved, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CaptionDataError, match=r"Cannot read the dataset '.*empty': .* contain any data files\. Give"):
        load_split(str(tmp_path / "empty"), "train")
    name = saved(with_captions(photos))
    (Path(name) / "state.json").write_text("{")
    with pytest.raises(CaptionDataError, match=r"Cannot read the dataset '.*saved': "):
        load_split(name)
    (Path(name) / "state.json").unlink()
    with pytest.raises(CaptionDataError, match=r"Cannot read the dataset '.*saved': Directory .*saved is neither"):
        load_split(name)


@pytest.fixture
def photo_folder(photos, tmp_path, monkeypatch):
    """A folder of photos as the imagefolder builder of `datasets` reads it: a metadata.jsonl for each split."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "folder"
    for split, captions in {
        "train": {"a.jpg": "A dog", "c.jpg": "A horse"},
        "validation": {"b.jpg": "Two cats"},
    }.items():
        (folder / split).mkdir(parents=True)
        for name in captions:
            (photos / name).rename(folder / split / name)
        lines = [json.dumps({"file_name": name, "caption": caption}) for name, caption in captions.items()]
        (folder / split / "metadata.jsonl").write_text("\n".join(lines))
    return folder


def test_a_folder_of_photos_with_metadata_is_read_split_by_split(photo_folder):
    train, validation = (from_dataset(load_split(str(photo_folder), split)) for split in ("train", "validation"))
    assert [record.captions for record in train] == [("A dog",), ("A horse",)]
    assert [record.captions for record in validation] == [("Two cats",)]
    assert {record.split for record in train} == {"train"}
    assert all(open_photo(record.image).size == (4, 4) for record in [*train, *validation])


def test_a_split_that_a_folder_of_photos_lacks_is_one_clear_line(photo_folder):
    with pytest.raises(CaptionDataError, match=r"""Unknown split "val"\. Should be one of \['train', 'v""") as caught:
        load_split(str(photo_folder), "val")
    assert "\n" not in str(caught.value)


def test_a_folder_of_photos_without_captions_names_its_columns(photo_folder):
    for metadata in photo_folder.glob("*/metadata.jsonl"):
        metadata.unlink()
    with pytest.raises(UnknownNameError, match="Unknown column 'caption'"):
        from_dataset(load_split(str(photo_folder), "train"))


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("Couldn't reach the Hugging Face Hub\nmore"),
        datasets.exceptions.DatasetNotFoundError("Dataset 'a/b' doesn't exist"),
        datasets.exceptions.DatasetGenerationError(),
        RuntimeError("Dataset scripts are no longer supported, but found b.py"),
        ValueError('Unknown split "val"'),
    ],
)
def test_what_datasets_raises_is_said_in_the_error(monkeypatch, error):
    def failing(name, split):
        raise error

    monkeypatch.setattr(datasets, "load_dataset", failing)
    reason = str(error).split("\n")[0] or "DatasetGenerationError"
    with pytest.raises(CaptionDataError) as caught:
        load_split("a/b", "val")
    assert f"Cannot read the dataset 'a/b': {reason}. Give a folder" in str(caught.value)
    assert caught.value.__cause__ is error


@pytest.mark.shared
def test_flickr8k_is_read_whole(shared):
    folder = shared / "data" / "flickr8k"
    for split, count in (("train", 6000), ("val", 1000)):
        read = read_captions(
            folder / "captions.json", folder / "images", split, lowercase=True, strip_final_period=True
        )
        assert len(read) == count
        assert all(len(record.captions) == 5 for record in read)


@pytest.mark.shared
def test_coco_mini_is_read_whole(shared):
    folder = shared / "data" / "coco_mini"
    assert len(read_captions(folder / "captions.json", folder / "images")) == 80


@pytest.mark.shared
def test_coco_captions_are_read_whole(shared, tmp_path):
    path = shared / "data" / "coco_captions" / "captions_val2017.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    for image in content["images"]:
        (tmp_path / image["file_name"]).touch()
    read = read_captions(path, tmp_path)
    assert len(read) == 4921
    assert sum(len(record.captions) for record in read) == 24619
