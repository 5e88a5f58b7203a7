"""Zero-shot classification (CLIP, arXiv 2103.00020, section 3.1): class names in prompts are the classifier."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.resources import files

import torch
import yaml
from torch import Tensor

from linmap.errors import EvaluationError, UnknownNameError
from linmap.evaluation.embeddings import unit_rows

__all__ = ["TEMPLATES", "classify", "load_templates", "zero_shot_classifier"]

logger = logging.getLogger(__name__)

TEMPLATES = ("imagenet-80", "imagenet-7", "plain")

WINDOW = 64
"""Batches of texts that are sorted by length together; so many embeddings are held beside the classifier."""


def load_templates(name: str) -> tuple[str, ...]:
    """The prompts of a set that comes with linmap, each with `{}` where the class name goes.

    Args:
        name: `"imagenet-80"` and `"imagenet-7"`: the ensembles of the CLIP work, from its notebook (openai/CLIP, MIT);
            `"plain"`: "a photo of a {}." alone.

    Raises:
        UnknownNameError: No such set.

    Example:
        >>> load_templates("imagenet-7")[0].format("dog"), len(load_templates("imagenet-80"))
        ('itap of a dog.', 80)
    """
    if name not in TEMPLATES:
        raise UnknownNameError("set of templates", name, TEMPLATES)
    text = (files("linmap.evaluation") / "templates" / f"{name}.yaml").read_text(encoding="utf-8")
    return tuple(yaml.safe_load(text)["templates"])


def zero_shot_classifier(
    embed_texts: Callable[[list[str]], Tensor],
    class_names: Sequence[str],
    templates: Sequence[str],
    *,
    batch_size: int = 256,
    on_batch: Callable[[int], object] | None = None,
) -> Tensor:
    """One unit vector a class: the mean of its normalised prompt embeddings, normalised (section 3.1.4).

    Texts of about the same length go through `embed_texts` together, whatever their class, so that a text encoder that
    pads to the longest of a batch pads little.

    Args:
        embed_texts: From texts to `(texts, dim)`; they need not be normalised.
        class_names: As they stand in the prompts. A name that stands there twice is warned of.
        templates: Each with `{}` where the class name goes; see `load_templates`.
        batch_size: Texts given to `embed_texts` at once.
        on_batch: Told after each batch how many texts it had, such as a progress bar's `advance`.

    Returns:
        `(classes, dim)` float32 of length 1, on the device of the embeddings.

    Raises:
        EvaluationError: No class, an empty name, no template, one without `{}`; or `embed_texts` gives another number
            of rows, or embeddings without a direction.

    Example:
        >>> classifier = zero_shot_classifier(
        ...     lambda texts: torch.tensor([[2.0, 0.0] if "cat" in text else [0.0, 3.0] for text in texts]),
        ...     ["cat", "dog"],
        ...     load_templates("plain"),
        ... )
        >>> classify(torch.tensor([[0.9, 0.1], [0.2, 0.8]]), classifier).tolist()
        [0, 1]
    """
    _check_names(class_names)
    _check_templates(templates)
    if batch_size < 1:
        raise EvaluationError(f"batch_size={batch_size} must be at least 1.")
    at_once = max(1, WINDOW * batch_size // len(templates))  # classes
    found = []
    for start in range(0, len(class_names), at_once):
        names = class_names[start : start + at_once]
        texts = [template.replace("{}", name) for name in names for template in templates]
        embedded = _embedded(embed_texts, texts, batch_size, on_batch)
        means = embedded.unflatten(0, (len(names), len(templates))).mean(dim=1)
        found.append(unit_rows(means, "class embeddings").float().to(embedded.device))
    return torch.cat(found)


def classify(image_embeddings: Tensor, classifier: Tensor, *, chunk_size: int = 4096) -> Tensor:
    """The class of each photo: the row of `classifier` with the highest cosine.

    Args:
        image_embeddings: `(images, dim)`; they need not be normalised.
        classifier: `(classes, dim)`, as `zero_shot_classifier` gives it, on the same device.
        chunk_size: Photos compared at a time.

    Returns:
        `(images,)` int64 on the CPU, in `range(classes)`.

    Raises:
        EvaluationError: Different widths, or a row that is zero or not finite.
    """
    if image_embeddings.shape[1:] != classifier.shape[1:]:
        raise EvaluationError(
            f"The image embeddings are {tuple(image_embeddings.shape)} and the classifier {tuple(classifier.shape)}; "
            "expected (images, dim) and (classes, dim) with one dim."
        )
    classes = unit_rows(classifier, "class embeddings")
    chunks = image_embeddings.split(chunk_size)
    return torch.cat([(unit_rows(chunk, "image embeddings") @ classes.T).argmax(dim=1) for chunk in chunks]).cpu()


def _embedded(
    embed_texts: Callable[[list[str]], Tensor],
    texts: list[str],
    batch_size: int,
    on_batch: Callable[[int], object] | None,
) -> Tensor:
    """Normalised float32 embeddings in the order of `texts`, asked for by length, the longest first."""
    order = sorted(range(len(texts)), key=lambda number: -len(texts[number]))
    rows: Tensor | None = None
    for start in range(0, len(texts), batch_size):
        wanted = order[start : start + batch_size]
        batch = embed_texts([texts[number] for number in wanted]).detach()
        if batch.ndim != 2 or len(batch) != len(wanted):
            raise EvaluationError(
                f"The text encoder gave {tuple(batch.shape)} for {len(wanted)} texts; expected ({len(wanted)}, dim)."
            )
        if rows is None:
            rows = torch.empty(len(texts), batch.shape[1], device=batch.device)
        rows[torch.tensor(wanted, device=rows.device)] = unit_rows(batch, "text embeddings").float().to(rows.device)
        if on_batch is not None:
            on_batch(len(wanted))
    assert rows is not None  # there is at least one class and one template
    return rows


def _check_names(class_names: Sequence[str]) -> None:
    if isinstance(class_names, str) or not class_names:
        raise EvaluationError(f"The class names are {class_names!r}; give a list of at least one.")
    for number, name in enumerate(class_names):
        if not isinstance(name, str) or not name.strip():
            raise EvaluationError(
                f"Class name {number} is {name!r}; give every class a name, as it stands in a prompt."
            )
    if repeated := [name for name, times in Counter(class_names).items() if times > 1]:
        logger.warning(
            "%d class names stand for several classes (%s); photos of these go to the first of them.",
            len(repeated),
            ", ".join(map(repr, repeated[:5])),
        )


def _check_templates(templates: Sequence[str]) -> None:
    if isinstance(templates, str) or not templates:
        raise EvaluationError(f"The templates are {templates!r}; give a list of at least one, or load_templates(...).")
    for template in templates:
        if "{}" not in template:
            raise EvaluationError(f"The template {template!r} has no {{}} where the class name goes; put it in.")
