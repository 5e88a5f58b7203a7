from __future__ import annotations

import csv
import json

import pytest
from PIL import Image

from benchmarks.animals_of_captions import class_of, main
from linmap.evaluation import Animal, AnimalNames

pytestmark = pytest.mark.weights


def test_a_class_needs_three_captions_and_no_other_animal():
    animals = [Animal.called("dog"), Animal.called("horse")]
    names = AnimalNames(animals)
    assert class_of(["a dog runs", "the poodle", "two puppies", "a man", "grass"], animals, names) == "dog"
    assert class_of(["a dog runs", "the dog", "a man", "grass", "a boy"], animals, names) is None
    assert class_of(["a dog", "the dog", "a dog and a horse", "a dog"], animals, names) is None
    assert class_of(["a dog", "the dog", "a dog and a swan", "a dog"], animals, names) is None
    assert class_of(["a swan"] * 5, animals, names) is None
    assert class_of(["a hot dog stand"] * 5, animals, names) is None


def test_the_labels_of_a_split_are_written_as_csv(tmp_path, capsys):
    photos = [
        ("a.png", "a dog", "val"),
        ("b.png", "two horses", "val"),
        ("c.png", "nothing", "val"),
        ("d.png", "a dog", "train"),
    ]
    for name, _, _ in photos:
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    records = [{"file": name, "captions": [said] * 5, "split": split} for name, said, split in photos]
    (tmp_path / "captions.json").write_text(json.dumps(records))
    labels = tmp_path / "labels.csv"
    words = ["--data", tmp_path / "captions.json", "--images", tmp_path, "--split", "val", "--output", labels]
    main([str(word) for word in words])
    with labels.open(newline="") as file:
        assert list(csv.reader(file)) == [["file", "label"], ["a.png", "dog"], ["b.png", "horse"]]
    assert "2 photos of 2 classes: dog 1, horse 1" in capsys.readouterr().out
