from __future__ import annotations

import pytest
from PIL import Image

from linmap.data.animals import class_name, read_attributes, read_listed
from linmap.data.images import UnreadableImages
from linmap.errors import LabelDataError, TooManyUnreadableImagesError, UnreadableImageError


@pytest.fixture
def awa2(tmp_path):
    """AwA2's form with three classes and two attributes, in the numbered, padded lines of its files."""
    folder = tmp_path / "awa2"
    folder.mkdir()
    (folder / "classes.txt").write_text("     1\tantelope\n     2\tgrizzly+bear\n     3\tzebra\n")
    (folder / "predicates.txt").write_text("     1\tblack\n     2\tstripes\n")
    (folder / "predicate-matrix-binary.txt").write_text("0 0\n1 0\n1 1\n")
    return folder


def test_awa2s_table_is_read_by_the_names_of_classes_and_attributes(awa2):
    table = read_attributes(awa2)
    assert list(table) == ["antelope", "grizzly bear", "zebra"]
    assert table["grizzly bear"] == {"black": 1.0, "stripes": 0.0}


@pytest.mark.shared
def test_the_whole_table_of_awa2_is_read(shared):
    table = read_attributes(shared / "data" / "awa2")
    assert len(table) == 50
    assert {len(row) for row in table.values()} == {85}
    assert table["polar bear"]["white"] == 1
    assert (table["zebra"]["stripes"], table["elephant"]["stripes"]) == (1, 0)


def test_a_csv_of_any_classes_gives_the_same(tmp_path, awa2):
    path = tmp_path / "table.csv"
    path.write_text("\ufeffClass,black,stripes\nantelope,0,0\ngrizzly_bear,1,0\n\nzebra,1.0,1\n", encoding="utf-8")
    assert read_attributes(path) == read_attributes(awa2)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "does not begin with the heading class,ATTRIBUTE"),
        ("file,label\na,b\n", "does not begin with the heading class,ATTRIBUTE"),
        ("class\nzebra\n", "does not begin with the heading class,ATTRIBUTE"),
        ("class,big,\nzebra,1,0\n", "an attribute has no name"),
        ("class,big\nzebra,1,0\n", "line 2 has 2 values for 1 attributes"),
        ("class,big\nzebra,2\n", "line 2: 'big' is '2'; expected a number from 0 to 1"),
        ("class,big\nzebra,nan\n", "line 2: 'big' is 'nan'"),
        ("class,big\nzebra,yes\n", "line 2: 'big' is 'yes'"),
        ("class,big\n", "holds no class; give at least one"),
        ("class,big\nzebra,1\nzebra,0\n", "the class 'zebra' stands there twice"),
        ("class,big,big\nzebra,1,0\n", "the attribute 'big' stands there twice"),
        ('class,big\n"zebra,1\n', "line 2: unexpected end of data"),
    ],
)
def test_a_table_that_is_none_says_where(tmp_path, content, said):
    (tmp_path / "table.csv").write_text(content)
    with pytest.raises(LabelDataError, match=said):
        read_attributes(tmp_path / "table.csv")


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("classes.txt", None, "There is no file of classes"),
        ("classes.txt", "1 antelope\n3 zebra\n", r"line 2: '3 zebra' is not 2 and a name"),
        ("classes.txt", "antelope\n", "is not 1 and a name"),
        ("predicate-matrix-binary.txt", "0 0\n1 0\n", "has 2 lines for 3 classes"),
        ("predicate-matrix-binary.txt", "0 0\n1 0\n-1 0\n", "line 3: 'black' is '-1'"),
        ("predicates.txt", "\xff", "is no text in UTF-8"),
    ],
)
def test_a_damaged_folder_of_awa2_says_which_file(awa2, file, content, said):
    if content is None:
        (awa2 / file).unlink()
    else:
        (awa2 / file).write_bytes(content.encode("latin-1"))
    with pytest.raises(LabelDataError, match=said):
        read_attributes(awa2)


@pytest.fixture
def listed(awa2, tmp_path):
    images = tmp_path / "JPEGImages"
    for name in ("zebra", "grizzly+bear"):
        (images / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(images / name / f"{name}_1.jpg")
    (tmp_path / "list.txt").write_text("zebra/zebra_1.jpg 2\ngrizzly+bear/grizzly+bear_1.jpg 1\n")
    return images


def test_a_list_of_awa2_counts_classes_from_0(awa2, listed, tmp_path):
    found = read_listed(listed, tmp_path / "list.txt", awa2)
    assert [(one.image, one.label) for one in found] == [
        (listed / "zebra" / "zebra_1.jpg", "zebra"),
        (listed / "grizzly+bear" / "grizzly+bear_1.jpg", "grizzly bear"),
    ]


@pytest.mark.shared
def test_the_labels_of_awa2s_own_lists_are_the_folders_of_their_photos(shared, tmp_path):
    awa2 = shared / "data" / "awa2"
    names = list(read_attributes(awa2))
    lines = (awa2 / "image_label_PS.txt").read_text().splitlines()
    assert len(lines) > 20_000
    assert all(class_name(line.split("/")[0]) == names[int(line.split()[-1])] for line in lines)


def test_photos_of_a_list_that_are_missing_are_counted(awa2, listed, tmp_path):
    with (tmp_path / "list.txt").open("a") as file:
        file.write("zebra/zebra_2.jpg 2\n")
    with pytest.raises(UnreadableImageError, match=r"zebra_2\.jpg: .*lists it, and there is no such file"):
        read_listed(listed, tmp_path / "list.txt", awa2)
    unreadable = UnreadableImages(1)
    assert len(read_listed(listed, tmp_path / "list.txt", awa2, unreadable=unreadable)) == 2
    assert len(unreadable.errors) == 1
    with (tmp_path / "list.txt").open("a") as file:
        file.write("zebra/zebra_3.jpg 2\n")
    with pytest.raises(TooManyUnreadableImagesError, match="2 photos cannot be read, at most 1"):
        read_listed(listed, tmp_path / "list.txt", awa2, unreadable=UnreadableImages(1))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("zebra/zebra_1.jpg 3", "'zebra/zebra_1.jpg 3' is not a file and the number of its class, from 0 to 2"),
        ("zebra/zebra_1.jpg", "is not a file and the number of its class"),
        ("zebra/zebra_1.jpg zebra", "is not a file and the number of its class"),
        ("", "lists no photo that is there"),
    ],
)
def test_a_list_that_is_none_says_which_line(awa2, listed, tmp_path, line, said):
    (tmp_path / "list.txt").write_text(f"{line}\n")
    with pytest.raises(LabelDataError, match=said):
        read_listed(listed, tmp_path / "list.txt", awa2)


def test_a_list_needs_the_folder_of_its_photos(awa2, listed, tmp_path):
    with pytest.raises(LabelDataError, match="There is no folder of photos nowhere"):
        read_listed("nowhere", tmp_path / "list.txt", awa2)
