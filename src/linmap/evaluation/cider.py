"""CIDEr-D (Vedantam et al., arXiv 1411.5726) through pycocoevalcap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from linmap.errors import CaptionDataError, MissingExtraError
from linmap.evaluation.tokenisation import tokenise_lists

__all__ = ["Score", "cider_d", "cider_of_tokens", "require_pairs"]


@dataclass(frozen=True, slots=True)
class Score:
    """A score of captions, in the x100 units of papers.

    Args:
        value: Of all photos: CIDEr-D 0 to 1000 (a person's caption of COCO about 85), ROUGE-L and METEOR 0 to 100.
        per_image: The same for each photo, in order. CIDEr-D's and ROUGE-L's mean is `value`; METEOR's is not.
        tokenizer: `"ptb"` or `"simple"`.
    """

    value: float
    per_image: tuple[float, ...]
    tokenizer: str

    @property
    def comparable(self) -> bool:
        """Whether published scores are made the same way."""
        return self.tokenizer == "ptb"

    def __str__(self) -> str:
        note = "" if self.comparable else f" ({self.tokenizer} tokenizer: not comparable with published scores)"
        return f"{self.value:.1f}{note}"


def cider_d(candidates: Sequence[str], references: Sequence[Sequence[str]], tokenizer: str = "ptb") -> Score:
    """Scores one caption a photo against what people wrote about it: tf-idf weighted 1- to 4-grams, clipped counts.

    Document frequencies come from `references`, so scores on different sets of photos do not compare.

    Args:
        candidates: One caption a photo; an empty one scores 0.
        references: At least one a photo.
        tokenizer: `"ptb"` (needs Java), or `"simple"`, whose scores compare with no published ones.

    Raises:
        CaptionDataError: The numbers differ, a photo has no reference, or there is only one photo (no n-gram is then
            rarer than another, and every score is 0).
        MissingExtraError: pycocoevalcap is not installed.
        MissingJavaError: `"ptb"` without Java.

    Example:
        >>> references = [["a dog runs on grass"], ["two men ride bicycles"]]
        >>> cider_d(["a dog runs on grass", "a red car"], references, tokenizer="simple").value
        500.0
    """
    require_pairs(candidates, references)
    ours, *theirs = tokenise_lists([candidates, *references], tokenizer)
    return cider_of_tokens(ours, theirs, tokenizer)


def cider_of_tokens(candidates: Sequence[str], references: Sequence[Sequence[str]], tokenizer: str) -> Score:
    """`cider_d` of captions that `tokenise` has gone over already.

    Args:
        candidates: One a photo.
        references: At least one a photo.
        tokenizer: By which.
    """
    try:
        from pycocoevalcap.cider.cider_scorer import CiderScorer
    except ImportError as error:
        raise MissingExtraError("pycocoevalcap", extra="eval") from error
    scorer = CiderScorer()
    for candidate, texts in zip(candidates, references, strict=True):
        scorer += (candidate, list(texts))
    _, scores = scorer.compute_score()
    per_image = tuple(100 * float(score) for score in scores)
    return Score(sum(per_image) / len(per_image), per_image, tokenizer)


def require_pairs(candidates: Sequence[str], references: Sequence[Sequence[str]], *, at_least: int = 2) -> None:
    """Refuses what cannot be scored.

    Args:
        candidates: One a photo.
        references: At least one a photo.
        at_least: How many photos there must be: CIDEr-D needs two, whatever compares words alone one.

    Raises:
        CaptionDataError: The numbers differ, a photo has no reference, or there are too few photos.
    """
    if len(candidates) != len(references):
        raise CaptionDataError(f"{len(candidates)} captions for {len(references)} photos; give one caption a photo.")
    if len(candidates) < at_least:
        raise CaptionDataError(
            f"CIDEr-D over {len(candidates)} photos means nothing; give at least two."
            if at_least > 1
            else "There is no photo, so there is nothing to score; give at least one."
        )
    for number, texts in enumerate(references):
        if isinstance(texts, str) or not texts:
            raise CaptionDataError(f"Photo {number} needs a list of at least one reference caption; found {texts!r}.")
