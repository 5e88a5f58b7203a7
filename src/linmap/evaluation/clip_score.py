"""CLIPScore and RefCLIPScore (Hessel et al., "CLIPScore", arXiv 2104.08718, section 3), from embeddings alone.

The published numbers are those of OpenAI's CLIP ViT-B/32. Any other dual encoder measures on a scale of its own, so a
score carries the name of the one that made the embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from linmap.errors import EvaluationError
from linmap.evaluation.embeddings import unit_rows

__all__ = ["CLIP_PROMPT", "ClipScore", "clip_prompts", "clip_scores", "ref_clip_scores"]

CLIP_PROMPT = "A photo depicts "
"""What stands before every caption, a reference too, when it is embedded for these scores."""

WEIGHT = 2.5  # stretches the cosines of CLIP ViT-B/32 to about 0 to 1


@dataclass(frozen=True, slots=True)
class ClipScore:
    """A CLIPScore or RefCLIPScore.

    Args:
        value: Mean over the photos, in the x100 units of papers.
        per_image: The same for each photo, in order: CLIPScore 0 to 250, RefCLIPScore 0 to 143.
        metric: `"CLIPScore"` or `"RefCLIPScore"`.
        encoder: The dual encoder whose embeddings these are.
    """

    value: float
    per_image: tuple[float, ...]
    metric: str
    encoder: str

    @property
    def name(self) -> str:
        """What tables call it: the metric and the dual encoder, without which the number means nothing."""
        return f"{self.metric} ({self.encoder})"

    def __str__(self) -> str:
        return f"{self.value:.1f} ({self.encoder})"


def clip_prompts(captions: Sequence[str]) -> list[str]:
    """Captions as they are embedded for CLIPScore: behind "A photo depicts ".

    Args:
        captions: Generated ones or references.

    Example:
        >>> clip_prompts(["a dog on grass"])
        ['A photo depicts a dog on grass']
    """
    return [CLIP_PROMPT + caption for caption in captions]


def clip_scores(image_embeddings: Tensor, text_embeddings: Tensor, *, encoder: str) -> ClipScore:
    """Scores one caption a photo by its nearness to the photo: 2.5 max(cos, 0) (equation 1).

    Args:
        image_embeddings: `(n, dim)` of the photos, of any length but zero.
        text_embeddings: `(n, dim)` of `clip_prompts(captions)`, one a photo.
        encoder: The dual encoder's name, for the name of the score.

    Raises:
        EvaluationError: Other shapes, a row that is zero or not finite, or no name.

    Example:
        >>> images, texts = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[3.0, 4.0], [-1.0, 0.0]])
        >>> score = clip_scores(images, texts, encoder="toy")
        >>> score.name, [round(value, 3) for value in score.per_image], round(score.value, 3)
        ('CLIPScore (toy)', [150.0, 0.0], 75.0)
    """
    near = _nearness(image_embeddings, text_embeddings)
    return _score(100 * WEIGHT * near, "CLIPScore", encoder)


def ref_clip_scores(
    image_embeddings: Tensor, text_embeddings: Tensor, reference_embeddings: Sequence[Tensor], *, encoder: str
) -> ClipScore:
    """Scores one caption a photo by its nearness to the photo and to what people wrote about it (equation 2).

    The harmonic mean of its CLIPScore and of the largest cosine to a reference, 0 where either is not above 0.

    Args:
        image_embeddings: As `clip_scores`.
        text_embeddings: As there.
        reference_embeddings: For each photo `(references, dim)` of `clip_prompts` of its references, at least one.
        encoder: As there.

    Raises:
        EvaluationError: As there, or a photo has no reference.

    Example:
        >>> images, texts = torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 4.0]])
        >>> score = ref_clip_scores(images, texts, [torch.tensor([[0.0, 1.0], [-1.0, 0.0]])], encoder="toy")
        >>> score.name, round(score.value, 2)  # 2 * 1.5 * 0.8 / (1.5 + 0.8)
        ('RefCLIPScore (toy)', 104.35)
    """
    near = WEIGHT * _nearness(image_embeddings, text_embeddings)
    if len(reference_embeddings) != len(text_embeddings):
        raise EvaluationError(
            f"There are the references of {len(reference_embeddings)} photos for {len(text_embeddings)} captions; give "
            "one tensor a photo."
        )
    for number, rows in enumerate(reference_embeddings):
        if rows.ndim != 2 or rows.shape[1] != text_embeddings.shape[1]:
            raise EvaluationError(
                f"Photo {number}'s references are {tuple(rows.shape)}; expected (references, "
                f"{text_embeddings.shape[1]}), as wide as the captions' embeddings."
            )
        if not len(rows):
            raise EvaluationError(f"Photo {number} has no reference; RefCLIPScore needs at least one for each.")
    counts = torch.tensor([len(rows) for rows in reference_embeddings])
    photo_of = torch.repeat_interleave(torch.arange(len(counts)), counts)
    references = torch.cat([rows.detach() for rows in reference_embeddings])
    texts = unit_rows(text_embeddings, "text embeddings").cpu()[photo_of]
    cosines = (texts * unit_rows(references, "reference embeddings").cpu()).sum(1)
    nearest = torch.zeros(len(counts), dtype=cosines.dtype).scatter_reduce(0, photo_of, cosines, "amax")
    both = near + nearest
    return _score(100 * 2 * near * nearest / both.where(both > 0, torch.ones_like(both)), "RefCLIPScore", encoder)


def embedding_rows(rows: Sequence[Sequence[float]], what: str) -> Tensor:
    """Embeddings that come as lists, as `evaluate` hands them on: float32 `(n, dim)`.

    Args:
        rows: One list of numbers each.
        what: What errors call them.

    Raises:
        EvaluationError: They differ in length.
    """
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1:
        raise EvaluationError(
            f"The {what} differ in length: {lengths[0]} to {lengths[-1]} numbers; those of one dual encoder do not."
        )
    return torch.tensor([list(row) for row in rows], dtype=torch.float32).reshape(len(rows), *lengths)


def _nearness(image_embeddings: Tensor, text_embeddings: Tensor) -> Tensor:
    """max(cos, 0) of each pair, float64 `(n,)` on the CPU."""
    if image_embeddings.shape != text_embeddings.shape:
        raise EvaluationError(
            f"The image embeddings are {tuple(image_embeddings.shape)}, the text embeddings "
            f"{tuple(text_embeddings.shape)}; expected one caption a photo, from one dual encoder."
        )
    images = unit_rows(image_embeddings, "image embeddings").cpu()
    return (images * unit_rows(text_embeddings, "text embeddings").cpu()).sum(1).clamp(min=0)


def _score(per_image: Tensor, metric: str, encoder: str) -> ClipScore:
    if not encoder.strip():
        raise EvaluationError(f"{metric} means nothing without the dual encoder that made the embeddings; name it.")
    return ClipScore(float(per_image.mean()), tuple(per_image.tolist()), metric, encoder)
