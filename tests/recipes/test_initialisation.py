from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from linmap import LinearVisionPrefixModel
from linmap.recipes.initialisation import mean_caption_embeddings, ridge_map, start_from_ridge


def test_the_map_solves_the_ridge_regression_with_an_intercept() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(40, 5, generator=generator) + 3, torch.randn(40, 2, generator=generator)
    weight, bias, explained = ridge_map(x, y, ridge=0.1)
    centred, strength = x - x.mean(0), 0.1 * (x - x.mean(0)).pow(2).mean() * 40
    slope = torch.zeros_like(weight).requires_grad_()
    loss = ((y - y.mean(0)) - centred @ (weight + slope).T).pow(2).sum() + strength * (weight + slope).pow(2).sum()
    (gradient,) = torch.autograd.grad(loss, slope)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-3, rtol=0)
    torch.testing.assert_close((x @ weight.T + bias).mean(0), y.mean(0))
    assert 0 < explained < 1


def test_mean_caption_embeddings_count_each_token_and_each_eos_once(
    tiny_lm: Callable[..., PreTrainedModel], tiny_tokenizer: Callable[..., PreTrainedTokenizerFast]
) -> None:
    tokenizer = tiny_tokenizer()
    model = LinearVisionPrefixModel.from_backbones(
        None, tiny_lm("gpt2"), feature_dim=6, num_image_tokens=2, tokenizer=tokenizer
    )
    ids = [*tokenizer(" a dog", add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    ids += [*tokenizer(" a cat sleeping", add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    expected = model.get_input_embeddings().weight[ids].mean(0)
    found = mean_caption_embeddings(model, tokenizer, [("a dog", "a cat sleeping")])
    torch.testing.assert_close(found, expected[None])


@pytest.mark.parametrize("prefix_length", [1, 3])
def test_every_token_of_a_pooled_feature_starts_at_the_same_map(
    tiny_lm: Callable[..., PreTrainedModel], prefix_length: int
) -> None:
    model = LinearVisionPrefixModel.from_backbones(
        None,
        tiny_lm("gpt2"),
        features="pooled",
        feature_dim=6,
        prefix_length=prefix_length,
        image_token_id=319,
    )
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(50, 6, generator=generator), torch.randn(50, 16, generator=generator)
    weight, bias, _ = ridge_map(x, y, ridge=0.1)
    start_from_ridge(model, x, y, ridge=0.1, noise=0.1, seed=0)
    tokens = model.projector.weight.detach().reshape(prefix_length, 16, 6)
    torch.testing.assert_close(model.projector.bias.detach(), bias.repeat(prefix_length))
    spread = (tokens - weight).std() / weight.std()
    assert spread == 0 if prefix_length == 1 else 0.08 < spread < 0.12
    again = tokens.clone()
    start_from_ridge(model, x, y, ridge=0.1, noise=0.1, seed=0)
    assert torch.equal(model.projector.weight.detach().reshape(prefix_length, 16, 6), again)
