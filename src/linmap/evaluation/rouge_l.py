"""ROUGE-L (Lin 2004) as the COCO caption evaluation takes it, through pycocoevalcap."""

from __future__ import annotations

from collections.abc import Sequence

from linmap.errors import MissingExtraError
from linmap.evaluation.cider import Score, require_pairs
from linmap.evaluation.tokenisation import tokenise_lists

__all__ = ["rouge_l", "rouge_l_of_tokens"]


def rouge_l(candidates: Sequence[str], references: Sequence[Sequence[str]], tokenizer: str = "ptb") -> Score:
    """Scores one caption a photo by the longest sequence of words, gaps allowed, shared with what people wrote.

    Precision and recall are each the best over a photo's references, joined with beta 1.2.

    Args:
        candidates: One caption a photo; an empty one scores 0.
        references: At least one a photo.
        tokenizer: `"ptb"` (needs Java), or `"simple"`, whose scores compare with no published ones.

    Returns:
        0 to 100, the mean over the photos.

    Raises:
        CaptionDataError: The numbers differ, there is no photo, or a photo has no reference.
        UnknownNameError: No such tokenizer.
        MissingExtraError: pycocoevalcap is not installed.
        MissingJavaError: `"ptb"` without Java.

    Example:
        >>> print(rouge_l(["a dog sleeps"], [["a brown dog runs"]], "simple"))
        55.7 (simple tokenizer: not comparable with published scores)
    """
    require_pairs(candidates, references, at_least=1)
    ours, *theirs = tokenise_lists([candidates, *references], tokenizer)
    per_image = rouge_l_of_tokens(ours, theirs)
    return Score(sum(per_image) / len(per_image), per_image, tokenizer)


def rouge_l_of_tokens(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[float, ...]:
    """`rouge_l` of each photo, of captions that `tokenise` has gone over already.

    Args:
        candidates: One a photo.
        references: At least one a photo.
    """
    try:
        from pycocoevalcap.rouge.rouge import Rouge
    except ImportError as error:
        raise MissingExtraError("pycocoevalcap", extra="eval") from error
    rouge = Rouge()
    return tuple(
        100 * float(rouge.calc_score([text], list(texts))) for text, texts in zip(candidates, references, strict=True)
    )
