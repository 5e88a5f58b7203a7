"""Labelled photos and the classifier made of their class names, as zero-shot and probe both take them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from linmap.errors import LabelDataError, UnknownNameError

if TYPE_CHECKING:
    from torch import Tensor

    from linmap.cli.dual_encoders import Comparing
    from linmap.data.images import UnreadableImages
    from linmap.data.labels import Labelled

__all__ = ["classifier_of", "first_of_each", "read_named", "templates_named"]

PROMPTS_AT_ONCE = 32_768
"""Prompts sorted by length, and warned of, together."""


def read_named(
    images: Path, labels: Path | None, classes: Path | None, unreadable: UnreadableImages
) -> tuple[list[Labelled], dict[str, str]]:
    """Labelled photos, and for every label the name that stands in a prompt.

    Args:
        images: As `read_labelled` takes it, like `labels` and `unreadable`.
        labels: See there.
        classes: File of the names; None takes the labels there are, with blanks for underscores.
        unreadable: See there.

    Raises:
        LabelDataError: There is one class only; and see `read_labelled`.
    """
    from linmap.data.labels import labels_of, read_class_names, read_labelled

    names = None if classes is None else read_class_names(classes)
    labelled = read_labelled(images, labels, classes=names, unreadable=unreadable)
    names = names or {label: label.replace("_", " ").strip() or label for label in labels_of(labelled)}
    if len(names) < 2:
        raise LabelDataError(
            f"There is one class in {labels or images}, {next(iter(names))!r}; classifying tells at least two apart."
        )
    return labelled, names


def first_of_each(labelled: list[Labelled], limit: int | None) -> list[Labelled]:
    """The first `limit` photos of each class, in their order; None takes all."""
    if limit is None:
        return labelled
    seen: Counter[str] = Counter()
    kept = []
    for one in labelled:
        seen[one.label] += 1
        if seen[one.label] <= limit:
            kept.append(one)
    return kept


def templates_named(word: str) -> tuple[str, ...]:
    """The prompts of a packaged set, or of a file with one a line.

    Raises:
        UnknownNameError: It is neither.
        LabelDataError: The file holds none, or one without a place for the name.
    """
    from linmap.data.text_files import is_file, read_text
    from linmap.evaluation import TEMPLATES, load_templates

    if word in TEMPLATES:
        return load_templates(word)
    path = Path(word)
    if not is_file(path):
        raise UnknownNameError("set of templates, or file,", word, TEMPLATES)
    text = read_text(path, "file of prompts", LabelDataError)
    lines = tuple(line.strip() for line in text.splitlines() if line.strip())
    without = [line for line in lines if "{}" not in line]
    if without or not lines:
        found = f"{without[0]!r} has no {{}}" if without else "it holds no line"
        raise LabelDataError(f"{path}: {found}; give one prompt a line, with {{}} where the name of the class goes.")
    return lines


def classifier_of(comparing: Comparing, names: Iterable[str], templates: tuple[str, ...]) -> Tensor:
    """One unit vector a class, (classes, channels) float32 on the CPU; see `zero_shot_classifier`."""
    from linmap.cli.dual_encoders import embed_texts
    from linmap.evaluation import zero_shot_classifier

    def embed(texts: list[str]) -> Tensor:
        return embed_texts(comparing, texts)

    return zero_shot_classifier(embed, list(names), templates, batch_size=PROMPTS_AT_ONCE)
