"""Labelled photos: what is in the folder or file comes out, and what does not fit is named or counted."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from PIL import Image

from linmap.data import Labelled, UnreadableImages, class_targets, labels_of, read_class_names, read_labelled
from linmap.errors import LabelDataError, TooManyUnreadableImagesError, UnknownNameError, UnreadableImageError

LABELS = {"a.jpg": "dog", "below/b.jpg": "cat", "c.jpg": "dog"}


def photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path)


@pytest.fixture
def photos(tmp_path):
    for name in LABELS:
        photo(tmp_path / "photos" / name)
    return tmp_path / "photos"


@pytest.fixture
def by_class(tmp_path):
    for name in ("dog/1.jpg", "dog/puppies/2.PNG", "cat/1.jpg"):
        photo(tmp_path / "classes" / name)
    return tmp_path / "classes"


@pytest.fixture
def write(tmp_path):
    def written(content, name: str = "labels.csv") -> Path:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return written


CSV = "file,label\n" + "".join(f"{name},{label}\n" for name, label in LABELS.items())
RECORDS = [{"file": name, "label": label} for name, label in LABELS.items()]


def test_a_folder_of_folders_gives_each_photo_the_name_of_its_folder(by_class):
    assert read_labelled(by_class) == [
        Labelled(by_class / "cat" / "1.jpg", "cat"),
        Labelled(by_class / "dog" / "1.jpg", "dog"),
        Labelled(by_class / "dog" / "puppies" / "2.PNG", "dog"),
    ]


def test_csv_and_json_say_the_same(photos, write):
    read = read_labelled(photos, write(CSV))
    assert read == read_labelled(photos, write(RECORDS, "labels.json"))
    assert read == [Labelled(photos / name, label) for name, label in LABELS.items()]


def test_csv_with_further_columns_quotes_and_a_byte_order_mark_is_read(photos, write):
    text = '\ufefffile,seen,label\r\n./a.jpg,1,"dog, brown"\r\nbelow/b.jpg,2,cat\r\nc.jpg,3,"two\nlines"\r\n'
    read = read_labelled(photos, write(text))
    assert [one.label for one in read] == ["dog, brown", "cat", "two\nlines"]
    assert read[0].image == photos / "a.jpg"


def test_what_is_no_photo_or_in_no_class_is_counted(by_class, caplog):
    photo(by_class / "stray.jpg")
    (by_class / "dog" / "notes.txt").write_text("a good dog")
    (by_class / ".hidden").mkdir()
    assert len(read_labelled(by_class)) == 3
    assert [record.getMessage() for record in caplog.records] == [
        f"Left out 2 files in {by_class} that lie in no class's folder or are no photos."
    ]


def test_what_is_left_out_is_counted_behind_symbolic_links_too(by_class, tmp_path, caplog):
    (tmp_path / "links").mkdir()
    for folder in by_class.iterdir():
        (tmp_path / "links" / folder.name).symlink_to(folder)
    assert len(read_labelled(tmp_path / "links")) == 3
    assert not caplog.records
    (by_class / "dog" / "notes.txt").write_text("a good dog")
    read_labelled(tmp_path / "links")
    assert "Left out 1 files in" in caplog.text


def test_a_photo_is_the_same_however_its_path_is_written(photos, write, caplog):
    names = {str(photos / "a.jpg"): "dog", "../photos/below/b.jpg": "cat", "below/../c.jpg": "dog"}
    rows = "".join(f"{name},{label}\n" for name, label in names.items())
    read = read_labelled(photos, write("file,label\n" + rows))
    assert [one.label for one in read] == ["dog", "cat", "dog"]
    assert not caplog.records
    with pytest.raises(LabelDataError, match=r"labels\.csv: a\.jpg is labelled 'dog' and 'cat'; decide on one"):
        read_labelled(photos, write("file,label\n" + rows + "a.jpg,cat\n"))


def test_a_heading_may_have_blanks_and_capitals(photos, write):
    assert read_labelled(photos, write(CSV.replace("file,label", " File, Label "))) == read_labelled(photos, write(CSV))


def test_what_the_operating_system_refuses_is_one_clear_line(photos, write):
    with pytest.raises(LabelDataError, match=r"labels\.csv/x cannot be read \(Not a directory\); check its path"):
        read_labelled(photos, write(CSV) / "x")
    with pytest.raises(LabelDataError, match="There is no folder of photos xxx"):
        read_labelled("x" * 300)
    with pytest.raises(UnreadableImageError, match="there is no such file"):
        read_labelled(photos, write("file,label\n" + "x" * 300 + ",dog\n"))


def test_photos_that_the_labels_file_does_not_name_are_counted(photos, write, caplog):
    photo(photos / "d.jpg")
    assert len(read_labelled(photos, write(CSV))) == 3
    assert "Left out 1 of 4 photos in" in caplog.text
    assert "does not label: 'd.jpg'" in caplog.text


def test_nothing_is_said_when_everything_fits(photos, by_class, write, caplog):
    caplog.set_level(logging.INFO)
    read_labelled(photos, write(CSV), classes=["cat", "dog"])
    read_labelled(by_class)
    assert not caplog.records


def test_a_labels_file_that_does_not_match_its_folder_is_counted_and_named(by_class, write):
    with pytest.raises(TooManyUnreadableImagesError, match=r"3 photos cannot be read, at most 0 .*classes/a\.jpg"):
        read_labelled(by_class, write(CSV))


def test_one_missing_photo_is_named_with_its_labels_file(photos, write):
    (photos / "c.jpg").unlink()
    with pytest.raises(UnreadableImageError, match=r"c\.jpg: .*labels\.csv labels it, and there is no such file"):
        read_labelled(photos, write(CSV))


def test_missing_photos_are_left_out_up_to_the_limit(photos, write):
    (photos / "c.jpg").unlink()
    unreadable = UnreadableImages(limit=1)
    assert len(read_labelled(photos, write(CSV), unreadable=unreadable)) == 2
    assert [error.image for error in unreadable.errors] == [str(photos / "c.jpg")]


def test_labels_without_a_single_photo_are_an_error_however_many_may_be_missing(by_class, write):
    with pytest.raises(LabelDataError, match=r"No labelled photo is left in .*nothing to classify"):
        read_labelled(by_class, write(CSV), unreadable=UnreadableImages(limit=9))


def test_a_photo_labelled_twice_alike_is_taken_once_and_counted(photos, write, caplog):
    assert len(read_labelled(photos, write(CSV + "./a.jpg,dog\n"))) == 3
    assert "names 1 photos again, with the same label" in caplog.text


def test_a_photo_with_two_labels_is_an_error(photos, write):
    with pytest.raises(LabelDataError, match=r"a\.jpg is labelled 'dog' and 'cat'; decide on one"):
        read_labelled(photos, write(CSV + "a.jpg,cat\n"))


def test_an_empty_class_folder_is_named(by_class):
    (by_class / "horse").mkdir()
    (by_class / "zebra").mkdir()
    with pytest.raises(LabelDataError, match=r"2 of 4 classes have no photo in .*: 'horse', 'zebra'. Add photos"):
        read_labelled(by_class)


def test_a_class_of_the_class_names_without_a_photo_is_named(photos, write):
    with pytest.raises(LabelDataError, match=r"1 of 3 classes have no photo in .*labels\.csv: 'horse'\. Add"):
        read_labelled(photos, write(CSV), classes=["cat", "dog", "horse"])


def test_a_label_that_is_not_among_the_class_names_gets_a_suggestion(photos, write):
    message = r"labels\.csv: Unknown class 'dog'\. Did you mean 'dogs'\? Known: cat, dogs\. Add it to the class names"
    with pytest.raises(LabelDataError, match=message):
        read_labelled(photos, write(CSV), classes=["cat", "dogs"])


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("", "l.csv", "begins with nothing; expected a CSV file with the heading file,label"),
        ("a.jpg,dog\n", "l.csv", r"begins with a\.jpg, dog; expected a CSV file with the heading file,label"),
        ("file,label\n", "l.csv", "labels no photo; give one line a photo below the heading"),
        ("file,label\na.jpg\n", "l.csv", "the label of line 2 is None, no text; mend it"),
        ("file,label\na.jpg,\n", "l.csv", "the label of line 2 is '', no text; mend it"),
        ("file,label\na.jpg,dog, brown\n", "l.csv", "line 2 has more cells than the heading; quote text with commas"),
        ('file,label\na.jpg,"dog\n', "l.csv", "line 2: unexpected end of data; mend this line"),
        ("{", "l.json", "is not JSON .*; mend it, or give a CSV file"),
        ({}, "l.json", 'holds no list of {"file", "label"}; give one record a photo'),
        ([], "l.json", 'holds no list of {"file", "label"}'),
        (["a.jpg"], "l.json", 'record 1 has str; expected "file" and "label"'),
        ([{"image": "a.jpg"}], "l.json", 'record 1 has the keys image; expected "file" and "label"'),
        (
            "file,label,label\n",
            "l.csv",
            "begins with file, label, label; expected a CSV file with the heading file,label",
        ),
        ("[" * 100_000, "l.json", "nested too deeply"),
        ([{"file": None, "label": "dog"}], "l.json", "the file of record 1 is None, no text; mend it"),
        ([{"file": "a.jpg", "label": "\ud83d"}], "l.json", r"'\\ud83d' is no text in UTF-8 .*; rename this class"),
        ([{"file": "a.jpg", "label": 3}], "l.json", "the label of record 1 is 3, no text; mend it"),
    ],
)
def test_a_wrong_labels_file_says_what_is_wrong(photos, write, content, name, message):
    with pytest.raises(LabelDataError, match=message):
        read_labelled(photos, write(content, name))


def test_paths_that_lead_nowhere_are_named(photos, tmp_path):
    with pytest.raises(LabelDataError, match=r"There is no folder of photos .*nowhere; check the path"):
        read_labelled(tmp_path / "nowhere")
    with pytest.raises(LabelDataError, match=r"There is no file .*none\.csv; check the path"):
        read_labelled(photos, tmp_path / "none.csv")
    with pytest.raises(LabelDataError, match="photos is a directory; name the file in it"):
        read_labelled(photos, photos)
    (tmp_path / "latin.csv").write_bytes(b"file,label\na.jpg,caf\xe9\n")
    with pytest.raises(LabelDataError, match=r"is no text in UTF-8 .*; save it as UTF-8"):
        read_labelled(photos, tmp_path / "latin.csv")


def test_a_folder_without_folders_says_what_is_needed(tmp_path):
    photo(tmp_path / "flat" / "a.jpg")
    with pytest.raises(LabelDataError, match=r"holds no folders; give one folder a class, or a labels file \(CSV or"):
        read_labelled(tmp_path / "flat")


def test_class_names_come_as_lines_a_list_or_an_object(write):
    alike = {"cat": "cat", "killer whale": "killer whale"}
    assert read_class_names(write("cat\n\nkiller whale \n", "names.txt")) == alike
    assert read_class_names(write(["cat", "killer whale"], "names.json")) == alike
    assert read_class_names(write({"n01": "cat", "n02": "dog"}, "names.json")) == {"n01": "cat", "n02": "dog"}


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("\n \n", "names.txt", "holds no class name; give one a line, or a JSON list, or an object"),
        ([], "names.json", "holds no class name"),
        ('"cat"', "names.json", "holds no class name"),
        ("cat\ncat\n", "names.txt", "class 'cat' stands there twice; take one out"),
        ('{"a": "cat", "a": "dog"}', "names.json", "class 'a' stands there twice"),
        (["cat", 3], "names.json", "class 3 has the name 3; give every class a name in letters"),
        (["\ud83d"], "names.json", "holds half of a character; mend its name"),
        ({"a": ""}, "names.json", "class 'a' has the name ''; give every class"),
    ],
)
def test_wrong_class_names_say_what_is_wrong(write, content, name, message):
    with pytest.raises(LabelDataError, match=message):
        read_class_names(write(content, name))


def test_targets_are_places_in_the_classes(photos, write):
    read = read_labelled(photos, write(CSV))
    assert labels_of(read) == ["cat", "dog"]
    assert class_targets(read, ["dog", "cat"]) == [0, 1, 0]
    with pytest.raises(UnknownNameError, match="Unknown class 'cat'"):
        class_targets(read, ["dog"])
