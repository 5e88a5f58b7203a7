"""The sentences of a run: read, drawn, parted into what is learned and what the loss is measured on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from linmap.data.left_out import LeftOut
from linmap.data.sentences import read_sentences, require_sources
from linmap.errors import RecipeError
from linmap.recipes.decap.schema import DeCapDataRecipe, TextSource

__all__ = ["TextExamples", "TextSplit", "drawn", "read_sources", "read_texts"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextSplit:
    """Sentences and, where they were encoded beforehand, their latents.

    Args:
        texts: The sentences; one that stands twice in the sources is here twice.
        latents: (texts, latent_dim) L2-normalised on the CPU, or None.
    """

    texts: list[str]
    latents: Tensor | None = None

    def rows(self, rows: Sequence[int]) -> TextSplit:
        """Some of them, in that order."""
        return TextSplit([self.texts[row] for row in rows], None if self.latents is None else self.latents[rows])


class TextExamples(Dataset[dict[str, Any]]):
    """What `TextLatentCollator` takes, a sentence an example.

    Args:
        split: The sentences.
    """

    def __init__(self, split: TextSplit) -> None:
        self.split = split

    def __len__(self) -> int:
        return len(self.split.texts)

    def __getitem__(self, index: int) -> dict[str, Any]:
        example: dict[str, Any] = {"text": self.split.texts[index]}
        if self.split.latents is not None:
            example["latent"] = self.split.latents[index]
        return example


def read_texts(said: DeCapDataRecipe, seed: int) -> tuple[list[str], list[str]]:
    """The sentences to learn and those to measure the loss on; how many lines held none is a warning.

    Args:
        said: Which sources, how many sentences, which share is kept apart.
        seed: Of both draws.

    Raises:
        CaptionDataError: A source is not there, or not of its format.
        RecipeError: There is no sentence, or none is left to learn.
    """
    require_sources([source.source for source in (*said.texts, *said.validation_texts)])  # before the first is read
    train = read_sources(said.texts, "data.texts")
    if said.train_texts is not None:
        if said.train_texts > len(train):
            raise RecipeError(f"data.train_texts is {said.train_texts:,}; data.texts holds {len(train):,} sentences.")
        train = [train[row] for row in drawn(len(train), said.train_texts, seed)]
    if said.validation_texts:
        return train, read_sources(said.validation_texts, "data.validation_texts")
    different = list(dict.fromkeys(train))
    count = max(1, round(said.validation_share * len(different)))
    apart = {different[row] for row in drawn(len(different), count, seed)}
    validation = [text for text in different if text in apart]
    train = [text for text in train if text not in apart]
    if not train:
        raise RecipeError(
            f"data.texts holds {len(different)} different sentence(s), and none is left to learn once "
            "data.validation_share is kept apart. Give more, or data.validation_texts."
        )
    return train, validation


def drawn(count: int, how_many: int, seed: int) -> list[int]:
    """Some of `count` rows, drawn at random, in their order; of the same seed, fewer lie among more."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:how_many].sort().values.tolist()


def read_sources(sources: Sequence[TextSource], key: str) -> list[str]:
    """Every sentence of `sources`, in order; how many lines held none is a warning.

    Args:
        sources: Which.
        key: What the recipe calls them.

    Raises:
        CaptionDataError: A source is not there, or not of its format.
        RecipeError: There is no sentence.
    """
    left_out = LeftOut()
    texts = [
        sentence.text
        for said in sources
        for sentence in read_sentences([said.source], left_out, split=said.split, column=said.column)
    ]
    if left_out.counts:
        logger.warning("Left out of %s: %s", key, left_out)
    if not texts:
        raise RecipeError(f"{key} holds no sentence: {', '.join(said.source for said in sources)}.")
    return texts
