from __future__ import annotations

import csv
import json

from PIL import Image

from benchmarks.classes_of_captions import class_of, main


def test_a_class_needs_three_captions_and_no_rival():
    assert class_of(["a dog runs", "the dog", "two puppies", "an animal", "grass"]) == "dog"
    assert class_of(["a dog runs", "the dog", "an animal", "grass", "a pet"]) is None
    assert class_of(["a dog runs", "the dog", "a dog and a horse", "a dog", "a dog"]) is None
    assert class_of(["a hotdog stand"] * 5) is None


def test_the_labels_of_a_split_are_written_as_csv(tmp_path, capsys):
    photos = [
        ("a.png", "a dog", "val"),
        ("b.png", "a car", "val"),
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
        assert list(csv.reader(file)) == [["file", "label"], ["a.png", "dog"], ["b.png", "car"]]
    assert "2 photos of 2 classes" in capsys.readouterr().out
