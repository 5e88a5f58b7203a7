"""Reading labelled photos: a folder with one folder a class, or a labels file (CSV, JSON) about a folder of photos."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linmap.data.images import PHOTO_SUFFIXES, Photo, UnreadableImages
from linmap.data.text_files import is_file, is_folder, is_unicode, place_of, read_json, read_text
from linmap.errors import LabelDataError, UnknownNameError, UnreadableImageError

__all__ = ["Labelled", "class_targets", "labels_of", "read_class_names", "read_labelled"]

logger = logging.getLogger(__name__)


MEND = "mend it, or give a CSV file"


@dataclass(frozen=True, slots=True)
class Labelled:
    """One photo and its class.

    Args:
        image: What `open_photo` opens.
        label: As it stands in the labels file, or the name of the photo's folder.
    """

    image: Photo
    label: str


def read_labelled(
    photos: str | Path,
    labels: str | Path | None = None,
    *,
    classes: Iterable[str] | None = None,
    unreadable: UnreadableImages | None = None,
) -> list[Labelled]:
    """Reads which class each photo is of.

    Args:
        photos: Folder of the photos. Without `labels` it holds one folder a class, whose photos may lie in folders
            below; what lies beside those folders or is no photo is left out and counted in a warning.
        labels: A CSV file with the heading `file,label`, or a JSON list of `{"file", "label"}`; file names are relative
            to `photos`, or absolute. Photos that it does not name are left out and counted in a warning.
        classes: The labels there may be, such as `read_class_names` gives them; each needs at least one photo.
        unreadable: Counts the photos that are missing, which are then left out up to its limit. By default one missing
            photo is an error.

    Returns:
        In the order of the labels file; of a folder sorted by class and name.

    Raises:
        LabelDataError: The file or folder is not of that form; a photo has two labels, or an empty one; a class
            has no photo; a label is not among `classes`.
        UnreadableImageError: One photo is missing.
        TooManyUnreadableImagesError: Several are, named and counted.
    """
    folder = Path(photos)
    if not is_folder(folder):
        raise LabelDataError(f"There is no folder of photos {folder}; check the path.")
    found = _by_folder(folder) if labels is None else _by_file(folder, Path(labels), unreadable or UnreadableImages())
    if not found:
        raise LabelDataError(f"No labelled photo is left in {folder}; there is nothing to classify.")
    if halves := [label for label in labels_of(found) if not is_unicode(label)]:
        raise LabelDataError(
            f"{labels or folder}: {_some(halves)} is no text in UTF-8 (it holds a lone surrogate); rename this class."
        )
    if classes is not None:
        _check_classes(found, list(classes), labels or folder)
    return found


def read_class_names(path: str | Path) -> dict[str, str]:
    """The classes of a file, in its order: label to the name that stands in a prompt.

    Args:
        path: Text with one name a line, or a JSON list of names (label and name are then the same), or a JSON object
            `{"n01440764": "tench"}`.

    Raises:
        LabelDataError: There is no such file, it holds no name, or one twice, or one that is no text.
    """
    path = Path(path)
    is_json = path.suffix.lower() == ".json"
    content = (
        read_json(path, "file", LabelDataError, MEND, pairs=True)
        if is_json
        else [line for line in read_text(path, "file", LabelDataError).splitlines() if line.strip()]
    )
    if not isinstance(content, list) or not content:
        raise LabelDataError(f"{path} holds no class name; give one a line, or a JSON list, or an object label: name.")
    names: dict[str, str] = {}
    for entry in content:
        label, name = entry if isinstance(entry, tuple) else (entry, entry)
        if not isinstance(label, str) or not isinstance(name, str) or not name.strip():
            raise LabelDataError(f"{path}: class {label!r} has the name {name!r}; give every class a name in letters.")
        if not is_unicode(label + name):
            raise LabelDataError(f"{path}: class {label!r} ({name!r}) holds half of a character; mend its name.")
        label, name = label.strip(), name.strip()
        if label in names:
            raise LabelDataError(f"{path}: class {label!r} stands there twice; take one out.")
        names[label] = name
    return names


def labels_of(labelled: Iterable[Labelled]) -> list[str]:
    """The labels there are, sorted, each once.

    Example:
        >>> labels_of([Labelled("a.jpg", "dog"), Labelled("b.jpg", "cat"), Labelled("c.jpg", "dog")])
        ['cat', 'dog']
    """
    return sorted({one.label for one in labelled})


def class_targets(labelled: Iterable[Labelled], classes: Sequence[str]) -> list[int]:
    """For every photo the place of its label in `classes`.

    Raises:
        UnknownNameError: A label is not among them.

    Example:
        >>> class_targets([Labelled("a.jpg", "dog"), Labelled("b.jpg", "cat")], ["cat", "dog"])
        [1, 0]
    """
    places = {label: place for place, label in enumerate(classes)}
    found = []
    for one in labelled:
        if one.label not in places:
            raise UnknownNameError("class", one.label, places)
        found.append(places[one.label])
    return found


def _by_folder(folder: Path) -> list[Labelled]:
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise LabelDataError(
            f"The folder {folder} cannot be read ({error.strerror}); check its permissions."
        ) from error
    below = [entry for entry in entries if entry.is_dir()]
    if not below:
        raise LabelDataError(f"{folder} holds no folders; give one folder a class, or a labels file (CSV or JSON).")
    photos = {entry.name: _photos(entry) for entry in below}
    if empty := [label for label, files in photos.items() if not files]:
        raise LabelDataError(
            f"{len(empty)} of {len(photos)} classes have no photo in {folder}: {_some(empty)}. Add photos (files "
            f"ending in {' '.join(PHOTO_SUFFIXES)}), or take these folders away."
        )
    beside = sum(entry.is_file() for entry in entries)
    within = sum(file.is_file() and not _hidden(file, entry) for entry in below for file in entry.rglob("*"))
    if others := beside + within - sum(map(len, photos.values())):
        logger.warning("Left out %d files in %s that lie in no class's folder or are no photos.", others, folder)
    return [Labelled(file, label) for label, kept in photos.items() for file in kept]


def _by_file(folder: Path, path: Path, unreadable: UnreadableImages) -> list[Labelled]:
    labels: dict[str, Labelled] = {}  # by the place of the photo, which may be written in several ways
    repeated = 0
    for name, label in _records(path):
        known = labels.setdefault(place_of(folder / name), Labelled(folder / name, label))
        if known.label != label:
            raise LabelDataError(f"{path}: {name} is labelled {known.label!r} and {label!r}; decide on one.")
        repeated += 1
    repeated -= len(labels)
    if repeated:
        logger.warning("%s names %d photos again, with the same label; each is taken once.", path, repeated)
    there = {place_of(file): str(file.relative_to(folder)) for file in _photos(folder)}
    missing = {
        place: str(one.image) for place, one in labels.items() if place not in there and not is_file(Path(place))
    }
    if missing:
        reason = f"{path} labels it, and there is no such file; check the folder"
        unreadable.leave_out(*(UnreadableImageError(image, reason) for image in missing.values()))
    if unlabelled := sorted(name for place, name in there.items() if place not in labels):
        logger.warning(
            "Left out %d of %d photos in %s that %s does not label: %s.",
            len(unlabelled),
            len(there),
            folder,
            path,
            _some(unlabelled),
        )
    return [one for place, one in labels.items() if place not in missing]


def _records(path: Path) -> Iterator[tuple[str, str]]:
    """File name and label, checked."""
    rows: Iterable[tuple[str, Any]]
    if path.suffix.lower() == ".json":
        content = read_json(path, "file", LabelDataError, MEND)
        if not isinstance(content, list) or not content:
            raise LabelDataError(f'{path} holds no list of {{"file", "label"}}; give one record a photo.')
        rows = ((f"record {number}", row) for number, row in enumerate(content, start=1))
    else:
        rows = _csv(path)
    for where, row in rows:
        if not isinstance(row, dict) or not {"file", "label"} <= row.keys():
            found = f"the keys {', '.join(map(str, row)) or '(none)'}" if isinstance(row, dict) else type(row).__name__
            raise LabelDataError(f'{path}: {where} has {found}; expected "file" and "label".')
        for key in ("file", "label"):
            if not isinstance(row[key], str) or not row[key].strip():
                raise LabelDataError(f"{path}: the {key} of {where} is {row[key]!r}, no text; mend it.")
        yield row["file"].strip(), row["label"].strip()


def _csv(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The rows below the heading, each with its line."""
    reader = csv.DictReader(io.StringIO(read_text(path, "file", LabelDataError), newline=""), strict=True)
    try:
        found = ", ".join(reader.fieldnames or []) or "nothing"
        reader.fieldnames = [heading.strip().casefold() for heading in reader.fieldnames or []]
        rows = [(f"line {reader.line_num}", row) for row in reader]
    except csv.Error as error:
        raise LabelDataError(f"{path}, line {reader.reader.line_num}: {error}; mend this line.") from error
    if any(list(reader.fieldnames).count(heading) != 1 for heading in ("file", "label")):
        raise LabelDataError(f"{path} begins with {found}; expected a CSV file with the heading file,label.")
    if not rows:
        raise LabelDataError(f"{path} labels no photo; give one line a photo below the heading.")
    if long := [where for where, row in rows if None in row]:
        raise LabelDataError(f"{path}: {long[0]} has more cells than the heading; quote text with commas.")
    return rows


def _check_classes(labelled: Sequence[Labelled], classes: list[str], where: str | Path) -> None:
    try:
        class_targets(labelled, classes)
    except UnknownNameError as error:
        raise LabelDataError(f"{where}: {error} Add it to the class names, or mend the label.") from error
    there = {one.label for one in labelled}
    if empty := [name for name in classes if name not in there]:
        raise LabelDataError(
            f"{len(empty)} of {len(classes)} classes have no photo in {where}: {_some(empty)}. Add photos of them, or "
            "take these classes out of the class names."
        )


def _photos(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in PHOTO_SUFFIXES and not _hidden(file, folder) and file.is_file()
    )


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
