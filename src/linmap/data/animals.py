"""Classes with attributes: the tables of Animals with Attributes 2 (Xian et al., TPAMI 2018), or any such CSV."""

from __future__ import annotations

import csv
import io
import logging
import math
from collections.abc import Sequence
from pathlib import Path

from linmap.data.images import UnreadableImages
from linmap.data.labels import Labelled
from linmap.data.text_files import is_file, is_folder, read_text
from linmap.errors import LabelDataError, UnreadableImageError

__all__ = ["class_name", "read_attributes", "read_listed"]

logger = logging.getLogger(__name__)

CLASSES, PREDICATES, MATRIX = "classes.txt", "predicates.txt", "predicate-matrix-binary.txt"


def class_name(label: str) -> str:
    """A class as people write it: AwA2 has pluses for blanks, folders often underscores.

    Example:
        >>> class_name("grizzly+bear")
        'grizzly bear'
    """
    return " ".join(label.replace("+", " ").replace("_", " ").split())


def read_attributes(path: str | Path) -> dict[str, dict[str, float]]:
    """Reads which class has which attributes.

    Args:
        path: Folder of AwA2 (`classes.txt`, `predicates.txt`, `predicate-matrix-binary.txt`), or a CSV file: the
            heading `class` and the attributes, then a line a class with numbers from 0 (has it not) to 1.

    Returns:
        For each class, by its name in plain words, each attribute's value, 0 to 1.

    Raises:
        LabelDataError: A file is missing, is not of that form, or names a class or an attribute twice.

    Example:
        >>> read_attributes("awa2")["polar bear"]["white"]  # doctest: +SKIP
        1.0
    """
    path = Path(path)
    classes, attributes, rows = _of_folder(path) if is_folder(path) else _of_csv(path)
    for kind, names in (("class", classes), ("attribute", attributes)):
        if not names:
            raise LabelDataError(f"{path} holds no {kind}; give at least one.")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise LabelDataError(f"{path}: the {kind} {twice[0]!r} stands there twice; take one out.")
    return {name: dict(zip(attributes, row, strict=True)) for name, row in zip(classes, rows, strict=True)}


def read_listed(
    images: str | Path, listed: str | Path, classes: str | Path, *, unreadable: UnreadableImages | None = None
) -> list[Labelled]:
    """Reads the photos of one of AwA2's lists, such as `image_label_PS.txt`: a file and the number of its class a line.

    Args:
        images: Folder that the files are named in, AwA2's `JPEGImages`.
        listed: The list; classes are counted from 0.
        classes: Folder with `classes.txt`, or that file.
        unreadable: Counts the photos that are missing, which are then left out up to its limit. By default one missing
            photo is an error.

    Returns:
        In the order of the list; labels are names in plain words.

    Raises:
        LabelDataError: A line is not of that form, or its number has no class; or nothing is left.
        UnreadableImageError: One photo is missing.
        TooManyUnreadableImagesError: Several are.
    """
    images, listed, classes = Path(images), Path(listed), Path(classes)
    names = _numbered(classes / CLASSES if is_folder(classes) else classes, "file of classes")
    if not is_folder(images):
        raise LabelDataError(f"There is no folder of photos {images}; check the path.")
    unreadable = unreadable or UnreadableImages()
    found: list[Labelled] = []
    missing: list[UnreadableImageError] = []
    for number, line in enumerate(read_text(listed, "list of photos", LabelDataError).splitlines(), start=1):
        file, _, label = line.strip().rpartition(" ")
        if not line.strip():
            continue
        if not file or not label.isdecimal() or int(label) >= len(names):
            raise LabelDataError(
                f"{listed}, line {number}: {line.strip()[:80]!r} is not a file and the number of its class, from 0 to "
                f"{len(names) - 1}; mend this line."
            )
        photo = images / file
        if is_file(photo):
            found.append(Labelled(photo, names[int(label)]))
        else:
            reason = f"{listed} lists it, and there is no such file; check the folder"
            missing.append(UnreadableImageError(str(photo), reason))
    if missing:
        unreadable.leave_out(*missing)
    if not found:
        raise LabelDataError(f"{listed} lists no photo that is there; check the list and the folder {images}.")
    return found


def _of_folder(folder: Path) -> tuple[list[str], list[str], list[list[float]]]:
    classes = _numbered(folder / CLASSES, "file of classes")
    attributes = _numbered(folder / PREDICATES, "file of attributes")
    matrix = folder / MATRIX
    lines = [
        line.split() for line in read_text(matrix, "matrix of attributes", LabelDataError).splitlines() if line.strip()
    ]
    if len(lines) != len(classes):
        raise LabelDataError(f"{matrix} has {len(lines)} lines for {len(classes)} classes; fetch the table again.")
    rows = [_row(cells, attributes, f"{matrix}, line {number}") for number, cells in enumerate(lines, start=1)]
    return classes, attributes, rows


def _of_csv(path: Path) -> tuple[list[str], list[str], list[list[float]]]:
    reader = csv.reader(io.StringIO(read_text(path, "table of attributes", LabelDataError), newline=""), strict=True)
    try:
        lines = [(reader.line_num, line) for line in reader if any(cell.strip() for cell in line)]
    except csv.Error as error:
        raise LabelDataError(f"{path}, line {reader.line_num}: {error}; mend this line.") from error
    if not lines or lines[0][1][0].strip().casefold() != "class" or len(lines[0][1]) < 2:
        raise LabelDataError(
            f"{path} does not begin with the heading class,ATTRIBUTE,…; give such a CSV file, or AwA2's folder."
        )
    attributes = [heading.strip() for heading in lines[0][1][1:]]
    if "" in attributes:
        raise LabelDataError(f"{path}: an attribute has no name; every column needs a heading.")
    rows = [_row(cells[1:], attributes, f"{path}, line {number}") for number, cells in lines[1:]]
    return [class_name(cells[0]) for _, cells in lines[1:]], attributes, rows


def _row(cells: Sequence[str], attributes: Sequence[str], where: str) -> list[float]:
    if len(cells) != len(attributes):
        raise LabelDataError(f"{where} has {len(cells)} values for {len(attributes)} attributes; mend this line.")
    values = []
    for cell, attribute in zip(cells, attributes, strict=True):
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not 0 <= value <= 1:
            raise LabelDataError(f"{where}: {attribute!r} is {cell!r}; expected a number from 0 to 1.")
        values.append(value)
    return values


def _numbered(path: Path, what: str) -> list[str]:
    """The names of AwA2's files: a number, which counts from 1, and a name a line."""
    names: list[str] = []
    for number, line in enumerate(read_text(path, what, LabelDataError).splitlines(), start=1):
        if not line.strip():
            continue
        count, _, name = line.strip().partition("\t") if "\t" in line.strip() else line.strip().partition(" ")
        if count.strip() != str(len(names) + 1) or not name.strip():
            raise LabelDataError(
                f"{path}, line {number}: {line.strip()[:80]!r} is not {len(names) + 1} and a name; mend this line."
            )
        names.append(class_name(name) if what == "file of classes" else name.strip())
    return names
