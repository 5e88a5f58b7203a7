"""Classifies photos with a dual encoder: by the names of the classes alone, and by a linear probe on its features.

    python examples/zero_shot_and_probe.py
    python examples/zero_shot_and_probe.py --photos my-photos/ --templates imagenet-80
    python examples/zero_shot_and_probe.py --photos my-photos/ --model open_clip:ViT-B-32/openai

`--photos` is a folder with one folder a class, or any folder with `--labels` (a CSV file, `file,label`). Zero-shot
needs no labelled photo: the name of each class is put into sentences, whose mean embedding is the classifier. The
probe learns a logistic regression from half of the photos. Both are measured on the other half, beside chance and the
most frequent class.

Without `--photos` each of the four example photos is a class, and windows cut out of it are the photos of that class.
That is easy, for the probe above all: it shows the moving parts and nothing more. `--quick` takes fewer windows. On a
test set of its own, with n-shot probes, plots and tables: `linmap evaluate zero-shot` and `linmap evaluate probe`.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

from linmap.data import Labelled, class_targets, labels_of, open_photo, read_class_names, read_labelled
from linmap.data.crops import cropped, random_crop
from linmap.dual.embedding import embed_texts, photo_features
from linmap.dual.named import load_dual_encoder
from linmap.evaluation import (
    ClassificationScores,
    classification_scores,
    classify,
    linear_probe,
    load_templates,
    zero_shot_classifier,
)

PHOTOS = Path(__file__).parent / "photos"
CLASSES = {"tennis": "tennis match", "birthday": "birthday party", "street": "car in a street", "cat": "cat"}


def main() -> None:
    """Parses the command line, classifies twice, prints both scores beside their controls."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="folder, one folder a class; default: windows of four photos")
    parser.add_argument("--labels", type=Path, help="CSV (file,label) or JSON about a folder without such folders")
    parser.add_argument("--class-names", type=Path, help="JSON: what a class is called in a sentence")
    parser.add_argument("--templates", default="imagenet-7", help="sentences: imagenet-80, imagenet-7 or plain")
    parser.add_argument("--model", default="default", help="dual encoder: folder, Hub id, or open_clip:NAME/TAG")
    parser.add_argument("--output", type=Path, help="also write scores.json into this folder")
    parser.add_argument("--quick", action="store_true", help="a quarter of the windows")
    arguments = parser.parse_args()
    if arguments.labels and not arguments.photos:
        parser.error("--labels needs --photos, the folder of its photos")

    # 1. Photos and their classes. Of each class every second photo is learned from, the others are measured on.
    if arguments.photos:
        labelled = read_labelled(arguments.photos, arguments.labels)
        names = read_class_names(arguments.class_names) if arguments.class_names else {}
    else:
        labelled, names = _windows(8 if arguments.quick else 32), CLASSES
    labels = labels_of(labelled)
    halves = _halves(labelled)
    named = [names.get(label, label.replace("_", " ")) for label in labels]
    print(f"{len(labels)} classes; {len(halves[0])} photos to learn from, {len(halves[1])} to measure on")

    # 2. Every photo through the frozen image tower, once: features in front of the head for the probe, and behind the
    #    head, in the space of the texts, for zero-shot.
    model, processor = load_dual_encoder(arguments.model)
    features = [photo_features(model, processor, [photo.image for photo in half]).features for half in halves]
    targets = [class_targets(half, labels) for half in halves]

    # 3. Zero-shot: the classifier is made of sentences. No photo is learned from.
    templates = load_templates(arguments.templates)
    classifier = zero_shot_classifier(lambda texts: embed_texts(model, processor, texts), named, templates)
    embedded = model.get_image_features(image_features=features[1]).detach().cpu()
    zero_shot = classification_scores(classify(embedded, classifier), targets[1], named)
    print(
        f"zero-shot, {len(templates)} sentences a class such as {templates[0].format(named[0])!r}: {_said(zero_shot)}"
    )

    # 4. The probe: a logistic regression on the features, its strength chosen on a fifth of what it learns from.
    probe = linear_probe(features[0], targets[0], features[1], targets[1], class_names=named)
    print(f"linear probe on {probe.train} photos: {_said(probe.test)}")

    # 5. What was taken for what, worst class first.
    for one in sorted(zero_shot.per_class, key=lambda one: one.accuracy)[:5]:
        taken = f", mostly taken for {one.mistaken_for!r}" if one.mistaken_for else ""
        print(f"    {one.name}: zero-shot {one.correct} of {one.photos}{taken}")
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        scores = {"zero_shot": zero_shot.accuracy, "probe": probe.test.accuracy, "chance": zero_shot.chance}
        scores |= {"majority": zero_shot.majority, "photos": zero_shot.n}
        (arguments.output / "scores.json").write_text(json.dumps(scores, indent=1), encoding="utf-8")


def _windows(count: int) -> list[Labelled]:
    """Windows of a fifth of a photo's sides and more, of each example photo as many, drawn by a fixed seed."""
    return [
        Labelled(cropped(open_photo(PHOTOS / f"{label}.jpg"), random_crop(draw, smallest=0.2)), label)
        for label in CLASSES
        for draw in range(count)
    ]


def _halves(labelled: list[Labelled]) -> tuple[list[Labelled], list[Labelled]]:
    """Every second photo of each class, and the others."""
    by_class: dict[str, list[Labelled]] = defaultdict(list)
    for photo in labelled:
        by_class[photo.label].append(photo)
    parts = [[photo for photos in by_class.values() for photo in photos[start::2]] for start in (0, 1)]
    return parts[0], parts[1]


def _said(scores: ClassificationScores) -> str:
    return (
        f"{scores.accuracy:.1f} % of {scores.n} photos "
        f"(chance {scores.chance:.1f} %, always {scores.majority_class!r} {scores.majority:.1f} %)"
    )


if __name__ == "__main__":
    main()
