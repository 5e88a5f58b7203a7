from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (its usual name)

from linmap.decap import projection
from linmap.decap.projection import block_rows, largest, weighted_mean
from linmap.errors import SupportMemoryError


@pytest.fixture
def rows() -> Tensor:
    return F.normalize(torch.randn(700, 24, generator=torch.Generator().manual_seed(0)), dim=1)


@pytest.fixture
def latents() -> Tensor:
    return F.normalize(torch.randn(9, 24, generator=torch.Generator().manual_seed(1)), dim=1)


@pytest.mark.parametrize("size", [1, 7, 64, 699, 700, 5000])
@pytest.mark.parametrize("temperature", [0.001, 0.01, 0.1, 1.0, 100.0])
def test_one_pass_in_blocks_of_any_size_is_the_plain_formula(rows, latents, size, temperature):
    plain = torch.softmax(latents.double() @ rows.double().T / temperature, dim=1) @ rows.double()
    passed = weighted_mean(latents, rows.split(size), temperature)
    torch.testing.assert_close(passed, plain.float(), rtol=0, atol=2e-5 if temperature < 0.01 else 2e-6)


@pytest.mark.parametrize("size", [1, 7, 64, 5000])
def test_the_largest_of_one_pass_are_those_of_the_whole_softmax(rows, latents, size):
    weights = torch.softmax(latents @ rows.T / 0.05, dim=1)
    expected = weights.topk(12, dim=1)
    found = largest(latents, rows.split(size), 12, 0.05)
    assert torch.equal(found.indices, expected.indices)
    torch.testing.assert_close(found.weights, expected.values, rtol=1e-4, atol=1e-6)


def test_a_block_may_be_overwritten_by_the_next_one(rows, latents):
    def overwriting():
        buffer = torch.empty(64, 24)
        for block in rows.split(64):
            yield buffer[: len(block)].copy_(block)

    torch.testing.assert_close(
        weighted_mean(latents, overwriting(), 0.05), weighted_mean(latents, rows.split(64), 0.05)
    )


def test_many_latents_go_through_in_parts_that_change_nothing(rows, latents, monkeypatch):
    whole = weighted_mean(latents, rows.split(100), 0.05), largest(latents, rows.split(100), 4, 0.05)
    monkeypatch.setattr(projection, "SCORES", 2048)
    monkeypatch.setattr(projection, "FEWEST", 1024)  # two latents a part
    parts = weighted_mean(latents, rows.split(100), 0.05), largest(latents, rows.split(100), 4, 0.05)
    torch.testing.assert_close(parts[0], whole[0])
    assert torch.equal(parts[1].indices, whole[1].indices)
    torch.testing.assert_close(parts[1].weights, whole[1].weights)


def test_no_latents_give_no_rows(rows):
    none = rows[:0]
    assert weighted_mean(none, rows.split(100), 0.01).shape == (0, 24)
    assert largest(none, rows.split(100), 3, 0.01).indices.shape == (0, 3)


def test_the_scores_that_are_held_stay_bounded():
    at_once = projection.SCORES // projection.FEWEST  # latents; more of them go through a block in parts
    assert all(min(count, at_once) * block_rows(count) <= projection.SCORES for count in (1, 200, 256, 1000, 4096))
    assert block_rows(1_000_000) == projection.FEWEST


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_no_number_above_zero_is_refused(rows, latents, temperature):
    with pytest.raises(SupportMemoryError, match=r"The temperature is .*; give a number above 0, such as 0\.01"):
        weighted_mean(latents, [rows], temperature)


def test_no_rows_cannot_be_asked_for(rows, latents):
    with pytest.raises(SupportMemoryError, match=r"0 rows cannot be given; ask for at least 1"):
        largest(latents, [rows], 0, 0.01)
