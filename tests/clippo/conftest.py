"""Small towers of every kind that CLIPPO is compared with, and what they read."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from linmap import ClippoConfig, ClippoModel, ClippoProcessor

SMALL: dict[str, Any] = {
    "image_size": 48,
    "patch_size": 16,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "projection_dim": 24,
}
KINDS: dict[str, dict[str, Any]] = {
    "clippo": {},
    "own-patch-embedding": {"text_patch_embedding": "own"},
    "own-head": {"text_head": "own"},
    "own-tower": {"text_tower": "own"},
    "1t-clip": {"text_input": "tokens"},
    "clip-star": {"text_input": "tokens", "text_tower": "own"},
}
TEXTS = ["a dog runs", "Two children play with a red ball in the snow.", "קוף", "กระต่าย"]


def small_tokenizer() -> Any:
    """Letters as tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz ."
    tokenizer = Tokenizer(
        models.WordLevel({"<pad>": 0, "<unk>": 1, **{c: i + 2 for i, c in enumerate(letters)}}, "<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")  # type: ignore[assignment]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>")


def build(kind: str, **more: Any) -> tuple[ClippoModel, ClippoProcessor]:
    """A small model of a kind with random weights that are always the same, in eval mode, and its processor."""
    said = {**SMALL, **KINDS[kind], **more}
    tokenizer = None
    if said.get("text_input") == "tokens":
        tokenizer = small_tokenizer()
        said["vocab_size"] = len(tokenizer)
    torch.manual_seed(0)
    model = ClippoModel(ClippoConfig(**said)).eval()
    with torch.no_grad():
        for weight in model.parameters():  # no zeros and ones that would hide a part left out
            weight.add_(0.05 * torch.randn_like(weight))
    return model, ClippoProcessor.for_model(model, tokenizer)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each of the kinds in turn."""
    return str(request.param)


@pytest.fixture
def pixels() -> torch.Tensor:
    """Four images as the tower sees them."""
    return torch.rand(4, 3, 48, 48, generator=torch.Generator().manual_seed(1)) * 2 - 1
