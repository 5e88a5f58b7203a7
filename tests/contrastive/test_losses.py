"""The losses equal their definitions, in parts and at once, and forgive what shows the same photo."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from torch import Tensor

from linmap.contrastive.losses import sigmoid_loss, softmax_loss

SCALE = torch.tensor(10.0)
BIAS = torch.tensor(-3.0)


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images, texts = (torch.randn(12, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    return F.normalize(images, dim=-1).requires_grad_(), F.normalize(texts, dim=-1).requires_grad_()


def test_the_softmax_loss_is_cross_entropy_both_ways(pair: tuple[Tensor, Tensor]) -> None:
    logits = SCALE * pair[0] @ pair[1].T
    places = torch.arange(12)
    expected = (F.cross_entropy(logits, places) + F.cross_entropy(logits.T, places)) / 2
    torch.testing.assert_close(softmax_loss(*pair, SCALE), expected)


def test_the_softmax_loss_equals_open_clips(pair: tuple[Tensor, Tensor]) -> None:
    from open_clip.loss import ClipLoss

    torch.testing.assert_close(softmax_loss(*pair, SCALE), ClipLoss()(*pair, SCALE))


def test_the_sigmoid_loss_equals_open_clips(pair: tuple[Tensor, Tensor]) -> None:
    from open_clip.loss import SigLipLoss

    torch.testing.assert_close(sigmoid_loss(*pair, SCALE, BIAS), SigLipLoss()(*pair, SCALE, BIAS))


@pytest.mark.parametrize("rows", [1, 5, 12])
@pytest.mark.parametrize("ids", [None, torch.arange(12) // 2])
def test_a_few_rows_at_a_time_give_the_same_loss_and_gradient(
    pair: tuple[Tensor, Tensor], rows: int, ids: Tensor | None
) -> None:
    for loss in (
        lambda at_once: softmax_loss(*pair, SCALE, ids, rows_at_once=at_once),
        lambda at_once: sigmoid_loss(*pair, SCALE, BIAS, ids, rows_at_once=at_once),
    ):
        whole, parts = loss(100), loss(rows)
        torch.testing.assert_close(parts, whole)
        for one, other in zip(torch.autograd.grad(parts, pair), torch.autograd.grad(whole, pair), strict=True):
            torch.testing.assert_close(one, other)


def test_captions_of_one_photo_are_never_each_others_negatives() -> None:
    images = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), dim=-1)
    ids = torch.tensor([7, 7, 8])
    sharp = torch.tensor(100.0)
    assert softmax_loss(images, images, sharp).item() == pytest.approx(2 / 3 * math.log(2), abs=1e-4)
    assert softmax_loss(images, images, sharp, ids).item() == pytest.approx(0.0, abs=1e-6)
    assert sigmoid_loss(images, images, sharp, torch.tensor(-50.0)) > 30
    assert sigmoid_loss(images, images, sharp, torch.tensor(-50.0), ids).item() == pytest.approx(0.0, abs=1e-6)


def test_ids_that_all_differ_change_nothing(pair: tuple[Tensor, Tensor]) -> None:
    torch.testing.assert_close(softmax_loss(*pair, SCALE, torch.arange(12)), softmax_loss(*pair, SCALE))
    ids = torch.arange(12)
    torch.testing.assert_close(sigmoid_loss(*pair, SCALE, BIAS, ids), sigmoid_loss(*pair, SCALE, BIAS))


def test_the_order_of_the_pairs_changes_nothing(pair: tuple[Tensor, Tensor]) -> None:
    order = torch.randperm(12)
    torch.testing.assert_close(softmax_loss(pair[0][order], pair[1][order], SCALE), softmax_loss(*pair, SCALE))


def test_logits_of_the_whole_batch_are_never_there_at_once() -> None:
    """4,096 pairs have 67 MB of logits; 64 rows at a time have 1 MB."""
    from torch.utils._python_dispatch import TorchDispatchMode

    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            for tensor in out if isinstance(out, tuple) else (out,):
                if isinstance(tensor, Tensor):
                    largest = max(largest, tensor.numel())
            return out

    images, texts = (F.normalize(torch.randn(4096, 8), dim=-1).requires_grad_() for _ in range(2))
    with Watch():
        softmax_loss(images, texts, SCALE, rows_at_once=64).backward()
    assert largest == 64 * 4096
