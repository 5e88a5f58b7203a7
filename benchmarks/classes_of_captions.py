"""Photos with captions become photos with labels, for want of a labelled set that may be used: `file,label` as CSV.

A photo gets a class when at least three of its captions name that class and none names another; the rest is left out.
What the captions do not say decides nothing, so these are clear cases: scores on them flatter every model alike.

    python -m benchmarks.classes_of_captions --data captions.json --images photos/ --split val --output labels.csv
"""

from __future__ import annotations

import argparse
import csv
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from linmap.data import Captioned, read_captions

CLASSES = {
    "dog": r"dogs?|pupp(?:y|ies)",
    "bicycle": r"bicycl\w*|bik(?:e|es|er|ers|ing)",
    "skateboard": r"skateboard\w*",
    "skiing": r"ski(?:s|er|ers|ing)?",
    "snowboard": r"snowboard\w*",
    "surfing": r"surf(?:s|er|ers|ing|board\w*)?",
    "rock climbing": r"climb(?:s|er|ers|ing)",
    "soccer": r"soccer",
    "basketball": r"basketball",
    "american football": r"football",
    "tennis": r"tennis",
    "baseball": r"baseball",
    "horse": r"horses?",
    "swimming pool": r"pools?",
    "boat": r"boats?|kayak\w*|canoe\w*|raft\w*",
    "swing": r"swing(?:s|ing)?",
    "hockey": r"hockey",
    "bird": r"birds?",
    "car": r"cars?",
}
"""Each class and the words for it; chosen because at least four photos of Flickr8k's validation split are of it."""

NAMED_BY = 3  # captions of five


def class_of(captions: Sequence[str]) -> str | None:
    """The one class that at least three captions name while none names another.

    >>> class_of(["A dog runs", "a brown dog", "two dogs play", "an animal", "grass"])
    'dog'
    """
    said = Counter(
        name
        for caption in captions
        for name, words in CLASSES.items()
        if re.search(rf"\b(?:{words})\b", caption.lower())
    )
    return next((name for name, count in said.items() if count >= NAMED_BY), None) if len(said) == 1 else None


def labelled(photos: Sequence[Captioned], images: Path) -> list[tuple[str, str]]:
    """The file name, relative to `images`, and the class of each photo that has one."""
    classes = [(Path(str(photo.image)).relative_to(images).as_posix(), class_of(photo.captions)) for photo in photos]
    return [(file, name) for file, name in classes if name is not None]


def main(argv: Sequence[str] | None = None) -> None:
    """Reads the captions, writes the labels, prints how many there are of each class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--split")
    parser.add_argument("--output", type=Path, required=True)
    said = parser.parse_args(argv)
    rows = labelled(read_captions(said.data, said.images, said.split), said.images)
    with said.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "label"))
        writer.writerows(rows)
    counts = Counter(name for _, name in rows)
    print(f"{len(rows)} photos of {len(counts)} classes: {', '.join(f'{n} {c}' for n, c in counts.most_common())}")


if __name__ == "__main__":
    main()
