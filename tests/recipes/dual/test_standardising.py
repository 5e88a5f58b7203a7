"""Standardised heads: another way for the optimiser to go, the same linear map for everybody else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from linmap import DualEncoderConfig, DualEncoderModel
from linmap.recipes import train
from linmap.recipes.dual.standardising import fold_heads, standardise_head
from linmap.recipes.recipe import recipe_from_dict


@pytest.fixture
def features() -> torch.Tensor:
    """(200, 6): channels that spread by 0.1 to 20, about a mean that is not zero."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(200, 6, generator=generator) * torch.tensor([0.1, 0.2, 1.0, 2.0, 10.0, 20.0]) + 3


@pytest.fixture
def heads() -> DualEncoderModel:
    torch.manual_seed(0)
    return DualEncoderModel(DualEncoderConfig(image_feature_dim=6, text_feature_dim=4, projection_dim=8)).eval()


def test_a_standardised_head_sees_features_divided_by_their_deviation(features: torch.Tensor) -> None:
    head = nn.Linear(6, 3, bias=False)
    expected = head(features / features.std(0)).detach()
    standardise_head(head, features)
    torch.testing.assert_close(head(features), expected)


def test_folding_keeps_the_map_and_leaves_a_plain_head(heads: DualEncoderModel, features: torch.Tensor) -> None:
    names = heads.state_dict().keys()
    standardise_head(heads.image_projection, features)
    before = heads.get_image_features(image_features=features).detach()
    fold_heads(heads)
    assert torch.equal(heads.get_image_features(image_features=features), before)
    assert heads.state_dict().keys() == names
    assert heads.image_projection.weight.requires_grad


def test_what_learns_goes_on_from_its_own_weights_and_leaves_the_plain_copy(
    heads: DualEncoderModel, features: torch.Tensor
) -> None:
    standardise_head(heads.image_projection, features)
    state = {name: weight + 1 for name, weight in heads.state_dict().items()}
    loaded = heads.load_state_dict({**state, "image_projection.weight": torch.zeros(8, 6)}, strict=False)
    assert (loaded.missing_keys, loaded.unexpected_keys) == ([], [])
    assert all(torch.equal(state[name], weight) for name, weight in heads.state_dict().items())
    fold_heads(heads)
    heads.load_state_dict({"image_projection.weight": torch.zeros(8, 6)}, strict=False)
    assert not heads.image_projection.weight.any()


def test_the_first_step_moves_every_channel_by_as_much_of_its_spread(
    heads: DualEncoderModel, features: torch.Tensor
) -> None:
    standardise_head(heads.image_projection, features)
    before = heads.image_projection.weight.detach().clone()
    optimiser = torch.optim.Adam(heads.image_projection.parameters(), lr=1e-3)
    heads(image_features=features[:4], text_features=torch.randn(4, 4), return_loss=True).loss.backward()
    optimiser.step()
    moved = (heads.image_projection.weight.detach() - before).abs() * features.std(0)
    torch.testing.assert_close(moved, torch.full_like(moved, 1e-3), rtol=0.02, atol=0)


def test_a_channel_that_never_varies_stays_finite(features: torch.Tensor) -> None:
    head = nn.Linear(6, 3, bias=False)
    standardise_head(head, torch.cat([features[:, :5], torch.ones(200, 1)], dim=1))
    assert head.weight.isfinite().all()
    still = nn.Linear(2, 3, bias=False)
    before = still.weight.detach().clone()
    standardise_head(still, torch.ones(5, 2))
    assert torch.equal(still.weight, before)


@pytest.mark.parametrize("towers", [[], ["text"]], ids=["both locked", "text learns"])
def test_what_a_run_ships_and_its_checkpoints_are_plain_linear_maps(
    dual_recipe: Callable[..., dict[str, Any]], tmp_path: Path, towers: list[str]
) -> None:
    content = dual_recipe(training={"standardise": True}, model={"trained_towers": towers})
    folder = train(recipe_from_dict(content), tmp_path / "run")
    model = DualEncoderModel.from_pretrained(folder)
    assert not [name for name in load_file(folder / "model.safetensors") if "parametrizations" in name]
    best = json.loads((folder / "training_log.json").read_text())["best_step"]
    checkpoint = DualEncoderModel.from_pretrained(folder / f"checkpoint-{best}")
    for name, weight in model.state_dict().items():
        assert torch.equal(checkpoint.state_dict()[name], weight)
    plain = train(recipe_from_dict(dual_recipe(model={"trained_towers": towers})), tmp_path / "plain")
    assert not torch.equal(
        load_file(plain / "model.safetensors")["image_projection.weight"], model.image_projection.weight
    )
