"""Texts and latents in a batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from linmap import DeCapProcessor
from linmap.data.text_latents import TextLatentCollator
from linmap.errors import CaptionDataError

TEXTS = ["a dog", "a cat sleeping"]


@pytest.fixture
def processor(tiny_tokenizer: Any) -> DeCapProcessor:
    return DeCapProcessor(tokenizer=tiny_tokenizer())


def test_latents_kept_and_latents_made_here_give_the_same_batch(processor: Any) -> None:
    latents = torch.eye(2, dtype=torch.float16)
    kept = TextLatentCollator(processor)([{"text": text, "latent": row} for text, row in zip(TEXTS, latents)])  # noqa: B905
    made = TextLatentCollator(processor, embed=lambda texts: latents[: len(texts)])([{"text": text} for text in TEXTS])
    assert kept.keys() == made.keys() == {"latents", "input_ids", "attention_mask", "labels"}
    assert all(torch.equal(kept[key], made[key]) for key in kept)
    assert kept["latents"].dtype == torch.float32


@pytest.mark.parametrize(
    ("examples", "words"),
    [
        ([], "An empty batch"),
        ([{"text": "a"}, {"text": "  "}], "Example 1 of the batch has the text '  '"),
        ([{"latent": torch.ones(2)}], "remove_unused_columns=False"),
        ([{"text": "a"}], 'The examples have no "latent"'),
        ([{"text": "a", "latent": torch.ones(2)}, {"text": "b"}], 'Example 1 of the batch has no "latent"'),
    ],
)
def test_an_example_that_lacks_something_is_named(processor: Any, examples: Any, words: str) -> None:
    with pytest.raises(CaptionDataError, match=words):
        TextLatentCollator(processor)(examples)
