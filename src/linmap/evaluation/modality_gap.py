"""The modality gap (Liang et al. 2022, arXiv 2203.02053): photos and texts lie apart in a joint space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from linmap.errors import EvaluationError
from linmap.evaluation.embeddings import targets_tensor, unit_rows

__all__ = ["ModalityGap", "modality_gap", "paired", "project"]


@dataclass(frozen=True, slots=True)
class ModalityGap:
    """How far photos and texts lie apart.

    Args:
        distance: Length of `vector`, 0 to 2; Liang et al. found 0.82 for CLIP on COCO.
        vector: `(dim,)` float64 on the CPU: mean of the normalised image embeddings less that of the texts (section 2).
        matched_cosine: Mean over the pairs, -1 to 1.
        mismatched_cosine: Mean over all other photos and texts.
        separability: Percent on the right side of the plane midway between the means and square to `vector`, each
            modality counting alike; 50 is no better than guessing, 100 is two groups apart.
        images: Photos.
        texts: Texts.
    """

    distance: float
    vector: Tensor = field(compare=False, repr=False)
    matched_cosine: float
    mismatched_cosine: float
    separability: float
    images: int
    texts: int


def modality_gap(
    image_embeddings: Tensor, text_embeddings: Tensor, image_of_text: Sequence[int] | Tensor | None = None
) -> ModalityGap:
    """Measures the gap between photos and texts.

    Args:
        image_embeddings: `(images, dim)`; they need not be normalised.
        text_embeddings: `(texts, dim)`, on the same device.
        image_of_text: For every text the row of its photo; `None`: row for row.

    Raises:
        EvaluationError: Different widths; as many texts as photos are needed and there are not; fewer than two photos.

    Example:
        >>> gap = modality_gap(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 1.0]]))
        >>> round(gap.distance, 4), gap.matched_cosine, gap.separability
        (1.4142, 0.0, 100.0)
    """
    images, texts, owners = paired(image_embeddings, text_embeddings, image_of_text)
    if len(images) < 2:
        raise EvaluationError("One photo has no other to be mismatched with; give at least two.")
    centres = images.mean(dim=0), texts.mean(dim=0)
    vector = centres[0] - centres[1]
    matched = (images[owners] * texts).sum()
    every = images.sum(dim=0) @ texts.sum(dim=0)  # the sum over all pairs, without a matrix of them
    middle = (centres[0] + centres[1]) / 2 @ vector
    # what lies on the plane is on neither side: two means in one place separate nothing
    sides = [_side(images @ vector - middle), _side(middle - texts @ vector)]
    return ModalityGap(
        distance=float(vector.norm()),
        vector=vector.cpu(),
        matched_cosine=float(matched / len(texts)),
        mismatched_cosine=float((every - matched) / (len(texts) * (len(images) - 1))),
        separability=100 * sum(sides) / 2,
        images=len(images),
        texts=len(texts),
    )


def paired(
    image_embeddings: Tensor, text_embeddings: Tensor, image_of_text: Sequence[int] | Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Both as unit rows of float64, and the photo of each text `(texts,)`, checked; see `modality_gap`."""
    images, texts = unit_rows(image_embeddings, "image embeddings"), unit_rows(text_embeddings, "text embeddings")
    if images.shape[1] != texts.shape[1]:
        raise EvaluationError(
            f"The image embeddings are {images.shape[1]} wide and the text embeddings {texts.shape[1]}; a gap is "
            "within one space."
        )
    if image_of_text is None:
        if len(images) != len(texts):
            raise EvaluationError(
                f"{len(images)} photos and {len(texts)} texts do not pair row for row; give image_of_text."
            )
        image_of_text = range(len(images))
    owners = targets_tensor(image_of_text, "photos of the texts", len(texts), len(images))
    return images, texts, owners.to(images.device)


def project(images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
    """Unit rows `(images, dim)` and `(texts, dim)` to `(images, 2)` and `(texts, 2)` on the CPU.

    Along the first two right singular vectors of both together, centred; each is turned so that photos have the larger
    mean.
    """
    both = torch.cat([images, texts])
    if both.shape[1] < 2:
        raise EvaluationError("Embeddings of one dimension have no 2-d picture.")
    centred = both - both.mean(dim=0)
    _, vectors = torch.linalg.eigh(centred.T @ centred)  # ascending
    flat = centred @ vectors[:, [-1, -2]]
    flat = torch.where(flat[: len(images)].mean(dim=0) < 0, -flat, flat).cpu()
    return flat[: len(images)], flat[len(images) :]


def _side(distances: Tensor) -> float:
    on_plane = distances.abs() < 1e-12
    return float(((distances > 0) & ~on_plane).double().mean() + on_plane.double().mean() / 2)
