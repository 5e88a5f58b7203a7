"""Scoring a captioner, and the control that shows what it would score without seeing: other photos' features."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from linmap.errors import CaptionDataError
from linmap.evaluation.cider import Score, cider_d

__all__ = ["CaptioningExample", "EvaluatedCaptions", "blinded", "derangement", "evaluate_captions"]

Seen = TypeVar("Seen")


@dataclass(frozen=True, slots=True)
class CaptioningExample(Generic[Seen]):
    """What a captioner is shown, and what people wrote about it.

    Args:
        seen: A path, a picture, a feature tensor: whatever the captioner takes.
        references: At least one.
    """

    seen: Seen
    references: Sequence[str]


@dataclass(frozen=True, slots=True)
class EvaluatedCaptions:
    """The captions, in the order of the examples, and their score."""

    captions: tuple[str, ...]
    score: Score


def evaluate_captions(
    caption_fn: Callable[[list[Seen]], Sequence[str]],
    examples: Sequence[CaptioningExample[Seen]],
    *,
    batch_size: int = 16,
    tokenizer: str = "ptb",
    on_batch: Callable[[int], object] | None = None,
) -> EvaluatedCaptions:
    """Captions `examples` in batches and scores the captions with CIDEr-D.

    Args:
        caption_fn: From a list of what is seen to as many captions.
        examples: At least two.
        batch_size: Examples given to `caption_fn` at once.
        tokenizer: See `cider_d`.
        on_batch: Told after each batch how many examples it had, such as a progress bar's `advance`.

    Raises:
        CaptionDataError: `caption_fn` gave another number of captions than it was asked for; and see `cider_d`.

    Example:
        >>> examples = [CaptioningExample("dog", ["a dog runs"]), CaptioningExample("cat", ["a cat sleeps"])]
        >>> evaluate_captions(lambda seen: [f"a {what}" for what in seen], examples, tokenizer="simple").captions
        ('a dog', 'a cat')
    """
    captions: list[str] = []
    for start in range(0, len(examples), batch_size):
        seen = [example.seen for example in examples[start : start + batch_size]]
        batch = list(caption_fn(seen))
        if len(batch) != len(seen):
            raise CaptionDataError(
                f"The captioner gave {len(batch)} captions for {len(seen)} photos; expected one each."
            )
        captions += batch
        if on_batch is not None:
            on_batch(len(batch))
    score = cider_d(captions, [example.references for example in examples], tokenizer=tokenizer)
    return EvaluatedCaptions(tuple(captions), score)


def blinded(examples: Sequence[CaptioningExample[Seen]], seed: int = 0) -> list[CaptioningExample[Seen]]:
    """The blind control: every photo's references, but another photo in sight.

    What a captioner still scores here it owes to what is usual in captions, not to the photo.

    Args:
        examples: At least two.
        seed: Of the shuffle.
    """
    order = derangement(len(examples), seed)
    return [CaptioningExample(examples[other].seen, own.references) for own, other in zip(examples, order, strict=True)]


def derangement(count: int, seed: int = 0) -> list[int]:
    """A random order of `range(count)` in which nothing stays in its place, each equally likely.

    Raises:
        CaptionDataError: `count` is 1: there is no other place.

    Example:
        >>> derangement(2)
        [1, 0]
    """
    if count == 1:
        raise CaptionDataError("One photo cannot be shuffled with others; give at least two.")
    shuffle = random.Random(seed).shuffle
    order = list(range(count))
    while any(place == item for place, item in enumerate(order)):  # one shuffle in e = 2.7 leaves nothing in its place
        shuffle(order)
    return order
