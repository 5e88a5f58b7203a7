"""What the client's process does: each function runs there, is given plain values, and gives plain values back."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

PHOTOS = np.random.default_rng(0).integers(0, 255, (2, 40, 50, 3), dtype=np.uint8)
TEXTS = ["a dog runs", "two children play"]


class Family(NamedTuple):
    """A kind of model: the names of its classes in linmap, and of the Auto class of transformers that gives it."""

    model: str
    processor: str
    auto: str


FAMILIES = {
    "prefix": Family("LinearVisionPrefixModel", "LinearVisionPrefixProcessor", "AutoModelForImageTextToText"),
    "dual": Family("DualEncoderModel", "DualEncoderProcessor", "AutoModel"),
    "decap": Family("DeCapModel", "DeCapProcessor", "AutoModelForImageTextToText"),
    "clippo": Family("ClippoModel", "ClippoProcessor", "AutoModel"),
    "sentences": Family("ClippoForSequenceClassification", "ClippoProcessor", "AutoModelForSequenceClassification"),
    "questions": Family("ClippoForQuestionAnswering", "ClippoProcessor", "AutoModelForVisualQuestionAnswering"),
}


def loaded(family: str, name: str | Path, **hub: Any) -> tuple[Any, Any]:
    """Model and processor, by a folder or a repository."""
    import linmap

    classes = FAMILIES[family]
    model = getattr(linmap, classes.model).from_pretrained(name, **hub)
    return model, getattr(linmap, classes.processor).from_pretrained(name, **hub)


def answers(family: str, name: str | Path, **hub: Any) -> list[Any]:
    """What a model makes of two photos and two texts."""
    return answered(family, *loaded(family, name, **hub))


def answered(family: str, model: Any, processor: Any) -> list[Any]:
    import torch
    from PIL import Image

    photos = [Image.fromarray(photo) for photo in PHOTOS]
    given = {
        "prefix": {"images": photos},
        "dual": {"images": photos, "text": TEXTS},
        "decap": {"images": photos},
        "clippo": {"images": photos, "text": TEXTS},
        "sentences": {"text": TEXTS},
        "questions": {"images": photos, "questions": TEXTS},
    }[family]
    inputs = processor(**given, return_tensors="pt")
    with torch.no_grad():
        if family == "decap":  # its memory speaks, too
            return [model.generate(**inputs).tolist(), model.memory.latents().tolist(), list(model.memory.captions)]
        output = model(**inputs)
    return output.logits_per_image.tolist() if family in ("dual", "clippo") else output.logits.tolist()


def alike(found: Any, expected: Any) -> bool:
    """Whether answers agree up to rounding: where weights lie in memory decides in which order sums are taken."""
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(alike, found, expected))
    return (
        math.isclose(found, expected, rel_tol=1e-4, abs_tol=1e-5) if isinstance(expected, float) else found == expected
    )


def push(family: str, folder: Path, repo_id: str, *, apart: bool = False, **hub: Any) -> dict[str, Any]:
    """Pushes model and processor, in one commit or in two; the commit's facts."""
    model, processor = loaded(family, folder)
    if apart:
        processor.push_to_hub(repo_id, **hub)
        commit = model.push_to_hub(repo_id, **hub)
    else:
        commit = model.push_to_hub(repo_id, processor=processor, **hub)
    return {"url": str(commit), "oid": commit.oid, "pr_url": commit.pr_url}
