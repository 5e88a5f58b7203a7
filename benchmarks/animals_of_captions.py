"""Photos with captions become photos of animals with labels, for want of a labelled set: `file,label` as CSV.

A photo gets a class when at least three of its captions name that animal and none names an animal of another class; the
rest is left out. What the captions do not say decides nothing, and whoever wrote them chose a word that comes to mind
at once: these are clear cases of usual animals, on which a captioner looks better than on others.

    python -m benchmarks.animals_of_captions --data captions.json --images photos/ --split val --output animals.csv
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from linmap.data import read_captions
from linmap.evaluation import Animal, AnimalNames

CLASSES = [
    "bear",
    "bird",
    "camel",
    "cat",
    "cow",
    "deer",
    "dog",
    "elephant",
    "fish",
    "giraffe",
    "goat",
    "horse",
    "monkey",
    "rabbit",
    "sheep",
    "zebra",
]
"""The animals of Flickr8k's and COCO's captions that are on photos by themselves."""

NAMED_BY = 3  # captions of five


def class_of(captions: Sequence[str], animals: Sequence[Animal], names: AnimalNames) -> str | None:
    """The one class that at least three captions name while none names another animal."""
    said: Counter[str] = Counter()
    for caption in captions:
        senses = {one.sense for one in names.in_caption(caption)}
        known = [[animal.name for animal in animals if animal.covers(sense)] for sense in senses]
        said.update({(of or ["another"])[0] for of in known})
    only = next(iter(said)) if len(said) == 1 else None
    return only if only not in (None, "another") and said[only] >= NAMED_BY else None


def main(argv: Sequence[str] | None = None) -> None:
    """Reads the captions, writes the labels, prints how many there are of each class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--split")
    parser.add_argument("--output", type=Path, required=True)
    said = parser.parse_args(argv)
    animals = [Animal.called(name) for name in CLASSES]
    names = AnimalNames(animals)
    rows = [
        (Path(str(photo.image)).relative_to(said.images).as_posix(), class_of(photo.captions, animals, names))
        for photo in read_captions(said.data, said.images, said.split)
    ]
    kept = [row for row in rows if row[1] is not None]
    with said.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "label"))
        writer.writerows(kept)
    counts = Counter(name for _, name in kept)
    print(f"{len(kept)} photos of {len(counts)} classes: {', '.join(f'{n} {c}' for n, c in counts.most_common())}")


if __name__ == "__main__":
    main()
