"""Latents of training sentences, some of them as a photo would show them."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from linmap import SupportMemory
from linmap.recipes.decap import latents as module
from linmap.recipes.decap.latents import projected_among_others
from linmap.recipes.decap.texts import TextSplit


@pytest.fixture
def split() -> TextSplit:
    latents = F.normalize(torch.randn(12, 5, generator=torch.Generator().manual_seed(0)), dim=-1)
    return TextSplit([f"sentence {row}" for row in range(12)], latents)


def test_a_projected_sentence_is_that_of_a_memory_without_it(split: TextSplit) -> None:
    projected = projected_among_others(split, 1.0, 0.1, 0).latents
    for row in range(12):
        others = [other for other in range(12) if other != row]
        memory = SupportMemory.from_latents(split.latents[others], [split.texts[other] for other in others])
        expected = memory.project(split.latents[row : row + 1], temperature=0.1)[0]
        torch.testing.assert_close(projected[row], expected)


def test_the_share_decides_how_many_and_the_seed_which(split: TextSplit) -> None:
    def changed(share: float, seed: int) -> list[bool]:
        found = projected_among_others(split, share, 0.1, seed)
        assert found.texts == split.texts
        return (found.latents != split.latents).any(-1).tolist()

    assert sum(changed(0.5, 0)) == 6
    assert changed(0.5, 0) == changed(0.5, 0) != changed(0.5, 1)
    assert projected_among_others(split, 0.0, 0.1, 0) is split


def test_many_sentences_are_projected_part_by_part(split: TextSplit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AMONG", 11)  # a part of eleven, and one of one sentence, which stays as it is
    found = projected_among_others(split, 1.0, 0.1, 0).latents
    assert (found != split.latents).any(-1).sum() == 11
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(12))
