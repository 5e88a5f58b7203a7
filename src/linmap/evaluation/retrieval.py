"""Retrieval in a joint space: recall at k from text to image and back, exact, in chunks, with chance beside it."""

from __future__ import annotations

import logging
import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from linmap.errors import EvaluationError
from linmap.evaluation.embeddings import targets_tensor, unit_rows

__all__ = ["RetrievalScores", "count_duplicate_captions", "fivefold_recall", "retrieval_recall"]

logger = logging.getLogger(__name__)

TIE = 1e-6
"""Cosines nearer than this are a tie: those of one photo, embedded in float32 in two batches, differ by 8e-8."""

EXACT_TIE = 1e-9
"""The same where both embeddings come in float64: far above what its sums round by."""


@dataclass(frozen=True, slots=True)
class RetrievalScores:
    """Recall both ways, in percent, and what guessing reaches.

    Args:
        text_to_image: `{"R@1": ..., "R@5": ..., ...}`: how many of the captions find their photo among the first k.
        image_to_text: How many of the photos find at least one of their captions among the first k.
        chance_text_to_image: The same for a ranking drawn at random, expected: k in the number of photos.
        chance_image_to_text: Likewise; photos with several captions have several chances (hypergeometric).
        median_rank_text_to_image: Of the photo among all photos; 1 is the best.
        median_rank_image_to_text: Of a photo's best caption, behind the captions of other photos alone; 1 is the best.
        images: Photos.
        texts: Captions.
        duplicates: Captions that word for word stand under another photo too, which no model can tell apart; `None`
            where the captions were not given.
        repeated: Captions that word for word stand under their own photo before, which weigh double; `None` likewise.
        folds: 1, or over how many parts of the photos the scores are a mean; ranks are then among those of a part.
    """

    text_to_image: dict[str, float]
    image_to_text: dict[str, float]
    chance_text_to_image: dict[str, float]
    chance_image_to_text: dict[str, float]
    median_rank_text_to_image: float
    median_rank_image_to_text: float
    images: int
    texts: int
    duplicates: int | None = None
    repeated: int | None = None
    folds: int = 1


def retrieval_recall(
    image_embeddings: Tensor,
    text_embeddings: Tensor,
    image_of_text: Sequence[int] | Tensor,
    *,
    ks: Sequence[int] = (1, 5, 10),
    chunk_size: int = 1024,
    captions: Sequence[str] | None = None,
) -> RetrievalScores:
    """Ranks every photo for every caption and every caption for every photo by their cosine.

    A photo counts as found at k when any of its captions is among the first k, as in the papers. Ties count against
    the model: what is as near as the right answer stands before it, so that an encoder that gives everything the same
    embedding scores nothing. The result does not depend on `chunk_size`, nor on the order of photos and captions.

    Args:
        image_embeddings: `(images, dim)`; they need not be normalised.
        text_embeddings: `(texts, dim)`, on the same device.
        image_of_text: For every caption the row of its photo, `(texts,)`.
        ks: How many of the first count.
        chunk_size: Captions compared at a time. Memory beside the embeddings: `9 * chunk_size * images` bytes.
        captions: The texts, `(texts,)`: those that stand under several photos, or twice under one, are then counted
            and warned of.

    Raises:
        EvaluationError: Embeddings of different widths, zero or not finite; a photo without a caption; a row that is
            not there.

    Example:
        >>> scores = retrieval_recall(torch.eye(3), torch.eye(3)[[0, 0, 1, 2]], [0, 0, 1, 2], ks=(1,))
        >>> scores.text_to_image, scores.image_to_text, round(scores.chance_text_to_image["R@1"], 1)
        ({'R@1': 100.0}, {'R@1': 100.0}, 33.3)
    """
    owners = _owners(image_embeddings, text_embeddings, image_of_text)
    if chunk_size < 1 or not ks or min(ks) < 1:
        raise EvaluationError(f"chunk_size={chunk_size} and ks={tuple(ks)} must be at least 1.")
    by_text, by_image = _ranks(image_embeddings, text_embeddings, owners, chunk_size)
    images, texts = len(image_embeddings), len(text_embeddings)
    each = torch.bincount(owners, minlength=images).tolist()
    return RetrievalScores(
        text_to_image={f"R@{k}": _percent(by_text < k) for k in ks},
        image_to_text={f"R@{k}": _percent(by_image < k) for k in ks},
        chance_text_to_image={f"R@{k}": 100 * min(k / images, 1.0) for k in ks},
        chance_image_to_text={f"R@{k}": _chance_of_any(each, texts, k) for k in ks},
        median_rank_text_to_image=1 + statistics.median(by_text.tolist()),
        median_rank_image_to_text=1 + statistics.median(by_image.tolist()),
        images=images,
        texts=texts,
        duplicates=None if captions is None else count_duplicate_captions(captions, owners),
        repeated=None if captions is None else _count_repeated(captions, owners),
    )


def fivefold_recall(
    image_embeddings: Tensor,
    text_embeddings: Tensor,
    image_of_text: Sequence[int] | Tensor,
    *,
    folds: int = 5,
    ks: Sequence[int] = (1, 5, 10),
    chunk_size: int = 1024,
    captions: Sequence[str] | None = None,
) -> RetrievalScores:
    """The mean of `retrieval_recall` over equal parts of the photos: papers' "COCO 1K" on Karpathy's 5,000 test photos.

    The parts are runs of photos in their order, each with its captions. Smaller parts are easier: these scores compare
    with others of that protocol alone.

    Args:
        image_embeddings: `(images, dim)`; `folds` divides `images`.
        text_embeddings: `(texts, dim)`.
        image_of_text: For every caption the row of its photo, `(texts,)`.
        folds: Parts.
        ks: How many of the first count.
        chunk_size: As for `retrieval_recall`.
        captions: As for `retrieval_recall`; counted over all photos.

    Raises:
        EvaluationError: `folds` does not divide the number of photos, or leaves a part one photo, which has no rival;
            and see `retrieval_recall`.
    """
    owners = _owners(image_embeddings, text_embeddings, image_of_text)
    images = len(image_embeddings)
    part = photos_of_a_part(images, folds)
    found = []
    for start in range(0, images, part):
        rows = ((owners >= start) & (owners < start + part)).nonzero().squeeze(1)
        texts = text_embeddings[rows.to(text_embeddings.device)]
        mine = owners[rows] - start
        found.append(
            retrieval_recall(image_embeddings[start : start + part], texts, mine, ks=ks, chunk_size=chunk_size)
        )
    return RetrievalScores(
        text_to_image=_mean([scores.text_to_image for scores in found]),
        image_to_text=_mean([scores.image_to_text for scores in found]),
        chance_text_to_image=_mean([scores.chance_text_to_image for scores in found]),
        chance_image_to_text=_mean([scores.chance_image_to_text for scores in found]),
        median_rank_text_to_image=statistics.mean(scores.median_rank_text_to_image for scores in found),
        median_rank_image_to_text=statistics.mean(scores.median_rank_image_to_text for scores in found),
        images=images,
        texts=len(text_embeddings),
        duplicates=None if captions is None else count_duplicate_captions(captions, owners),
        repeated=None if captions is None else _count_repeated(captions, owners),
        folds=folds,
    )


def photos_of_a_part(images: int, folds: int) -> int:
    """How many photos each of `folds` equal parts has.

    Raises:
        EvaluationError: The parts are not equal, or of fewer than two photos.
    """
    if folds < 1 or images % folds:
        raise EvaluationError(f"{images} photos do not divide into {folds} equal parts; give another number of folds.")
    if images // folds < 2:
        raise EvaluationError(
            f"{images} photos in {folds} parts are {images // folds} each, with nothing to tell it from; give fewer "
            "folds."
        )
    return images // folds


def count_duplicate_captions(captions: Sequence[str], image_of_text: Sequence[int] | Tensor) -> int:
    """How many captions stand, but for case and blanks, under another photo too; warns of them when there are any.

    Of such a caption one copy at most is found first, and for its photos the other copies tie, which counts against the
    model.

    Args:
        captions: One text each.
        image_of_text: For every caption the row of its photo, `(texts,)`.

    Example:
        >>> count_duplicate_captions(["a dog runs", "a cat", "A dog  runs"], [0, 0, 1])
        2
    """
    owners = torch.as_tensor(image_of_text).tolist()
    if len(captions) != len(owners):
        raise EvaluationError(f"{len(captions)} captions for {len(owners)} text embeddings; give one each.")
    photos: dict[str, set[int]] = defaultdict(set)
    texts = [_words(caption) for caption in captions]
    for text, owner in zip(texts, owners, strict=True):
        photos[text].add(owner)
    shared = [number for number, text in enumerate(texts) if len(photos[text]) > 1]
    if shared:
        logger.warning(
            "%d of %d captions stand under several photos, such as %r; no model can tell these apart, and they count "
            "against it.",
            len(shared),
            len(captions),
            captions[shared[0]],
        )
    return len(shared)


def _count_repeated(captions: Sequence[str], owners: Tensor) -> int:
    """How many captions stand, but for case and blanks, under their own photo before; warns when there are any."""
    seen: set[tuple[str, int]] = set()
    again = []
    for caption, owner in zip(captions, owners.tolist(), strict=True):
        if (pair := (_words(caption), owner)) in seen:
            again.append(caption)
        seen.add(pair)
    if again:
        logger.warning(
            "%d of %d captions stand under the same photo before, such as %r; they weigh as often as they stand there.",
            len(again),
            len(captions),
            again[0],
        )
    return len(again)


def _words(caption: str) -> str:
    return " ".join(caption.lower().split())


def _owners(images: Tensor, texts: Tensor, image_of_text: Sequence[int] | Tensor) -> Tensor:
    if images.ndim != 2 or texts.ndim != 2 or images.shape[1] != texts.shape[1]:
        raise EvaluationError(
            f"The image embeddings are {tuple(images.shape)} and the text embeddings {tuple(texts.shape)}; expected "
            "(images, dim) and (texts, dim) with one dim."
        )
    owners = targets_tensor(image_of_text, "photos of the texts", len(texts), len(images))
    each = torch.bincount(owners, minlength=len(images))
    if bare := (each == 0).nonzero().squeeze(1).tolist():
        some = ", ".join(map(str, bare[:5])) + (", ..." if len(bare) > 5 else "")
        raise EvaluationError(f"{len(bare)} of {len(images)} photos have no caption (rows {some}); take them out.")
    return owners


def _ranks(images: Tensor, texts: Tensor, owners: Tensor, chunk_size: int) -> tuple[Tensor, Tensor]:
    """How many stand before or beside the right answer: photos for texts `(texts,)`, texts for photos `(images,)`."""
    pictures = unit_rows(images, "image embeddings")
    owners = owners.to(pictures.device)
    own = torch.cat(
        [
            (words * pictures[mine]).sum(dim=1)
            for words, mine in zip(_units(texts, chunk_size), owners.split(chunk_size), strict=True)
        ]
    )
    best = torch.full((len(pictures),), -math.inf, dtype=own.dtype, device=own.device)
    tie = EXACT_TIE if images.dtype == texts.dtype == torch.float64 else TIE
    best = best.scatter_reduce(0, owners, own, "amax") - tie
    own -= tie
    by_text, by_image = torch.empty_like(owners), torch.zeros_like(best, dtype=torch.int64)
    start = 0
    for words in _units(texts, chunk_size):
        rows = slice(start, start + len(words))
        start = rows.stop
        cosines = words @ pictures.T
        cosines[torch.arange(len(words), device=cosines.device), owners[rows]] = -math.inf  # no rival of themselves
        by_text[rows] = (cosines >= own[rows, None]).sum(dim=1)
        by_image += (cosines >= best).sum(dim=0)
    return by_text.cpu(), by_image.cpu()


def _units(texts: Tensor, chunk_size: int) -> Iterator[Tensor]:
    return (unit_rows(chunk, "text embeddings") for chunk in texts.split(chunk_size))


def _percent(found: Tensor) -> float:
    return 100 * int(found.sum()) / len(found)


def _chance_of_any(captions_each: Sequence[int], texts: int, k: int) -> float:
    """Percent of photos with one of their captions among k drawn of all, expected."""
    missing = {
        each: math.comb(texts - each, k) / math.comb(texts, k) if k <= texts else 0.0 for each in {*captions_each}
    }
    return 100 * (1 - statistics.fmean(missing[each] for each in captions_each))


def _mean(parts: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.fmean(part[name] for part in parts) for name in parts[0]}
