"""BLEU (Papineni et al. 2002) as the COCO caption evaluation takes it, through pycocoevalcap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from linmap.errors import MissingExtraError
from linmap.evaluation.cider import require_pairs
from linmap.evaluation.tokenisation import tokenise_lists

__all__ = ["BleuScore", "bleu", "bleu_of_tokens"]


@dataclass(frozen=True, slots=True)
class BleuScore:
    """BLEU-1 to BLEU-4 of a set of captions.

    Args:
        values: Of words, and of sequences of up to two, three and four; 0 to 100.
        tokenizer: `"ptb"` or `"simple"`.
    """

    values: tuple[float, float, float, float]
    tokenizer: str

    @property
    def comparable(self) -> bool:
        """Whether published scores are made the same way."""
        return self.tokenizer == "ptb"

    def __str__(self) -> str:
        note = "" if self.comparable else f" ({self.tokenizer} tokenizer: not comparable with published scores)"
        return " / ".join(f"{value:.1f}" for value in self.values) + note


def bleu(candidates: Sequence[str], references: Sequence[Sequence[str]], tokenizer: str = "ptb") -> BleuScore:
    """Scores captions by the words, and the sequences of up to four, that they share with what people wrote.

    Counts are summed over all photos before they are divided, so this is a score of the set, and that of a single photo
    is not a part of it. Captions shorter than the reference nearest in length are punished together.

    Args:
        candidates: One caption a photo.
        references: At least one a photo.
        tokenizer: `"ptb"` (needs Java), or `"simple"`, whose scores compare with no published ones.

    Raises:
        CaptionDataError: The numbers differ, there is no photo, or a photo has no reference.
        UnknownNameError: No such tokenizer.
        MissingExtraError: pycocoevalcap is not installed.
        MissingJavaError: `"ptb"` without Java.

    Example:
        >>> print(bleu(["a dog runs fast"], [["a dog runs", "the dog runs very fast"]], "simple"))
        100.0 / 81.6 / 69.3 / 0.0 (simple tokenizer: not comparable with published scores)
    """
    require_pairs(candidates, references, at_least=1)
    ours, *theirs = tokenise_lists([candidates, *references], tokenizer)
    return BleuScore(bleu_of_tokens(ours, theirs), tokenizer)


def bleu_of_tokens(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[float, float, float, float]:
    """`bleu` of captions that `tokenise` has gone over already.

    Args:
        candidates: One a photo.
        references: At least one a photo.
    """
    try:
        from pycocoevalcap.bleu.bleu import Bleu
    except ImportError as error:
        raise MissingExtraError("pycocoevalcap", extra="eval") from error
    theirs = {number: list(texts) for number, texts in enumerate(references)}
    ours = {number: [text] for number, text in enumerate(candidates)}
    values, _ = Bleu(4).compute_score(theirs, ours, verbose=0)
    one, two, three, four = (100 * float(value) for value in values)
    return one, two, three, four
