"""A tiny real DeCap model: a tiny dual encoder, a GPT-2 of two layers, a memory of eight captions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config

from linmap import DeCapModel, DeCapProcessor, SupportMemory
from linmap.dual.embedding import embed_texts

CAPTIONS = [
    "a dog runs across the green grass",
    "two children play with a red ball",
    "a man rides a bicycle down the street",
    "a woman is standing in front of a building",
    "a brown horse jumps over a white fence",
    "a cat sleeping on a wooden table",
    "a picture of the beach",
    "a blue shirt",
]


@pytest.fixture(scope="session")
def captions() -> list[str]:
    """Eight captions, those of the memory."""
    return list(CAPTIONS)


@pytest.fixture(scope="session")
def dual_dir(tiny_dual: Callable[..., tuple[Any, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny dual encoder of 8 channels and its processor."""
    folder = tmp_path_factory.mktemp("dual")
    model, processor = tiny_dual()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_decap(
    tiny_tokenizer: Callable[..., Any], tiny_dual: Callable[..., tuple[Any, Any]], dual_dir: Path
) -> Callable[..., tuple[DeCapModel, DeCapProcessor]]:
    """`tiny_decap(decoder=…, **settings)`: (model with a memory, its processor), in eval mode, moved off its start."""

    def make(decoder: Any = None, **settings: Any) -> tuple[DeCapModel, DeCapProcessor]:
        tokenizer = tiny_tokenizer()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = DeCapModel.from_backbones(
                str(dual_dir),
                decoder or GPT2Config(n_layer=2, n_embd=16, n_head=2, n_positions=64),
                tokenizer=tokenizer,
                **settings,
            )
            with torch.no_grad():
                for weight in (*model.projector.parameters(), *model.decoder.parameters()):
                    if weight.requires_grad:
                        weight.add_(torch.randn_like(weight) * 0.2)
        latents = embed_texts(*tiny_dual(), CAPTIONS)
        model.memory = SupportMemory.from_latents(latents, CAPTIONS, text_tower=model.dual_encoder.text_fingerprint())
        model.generation_config.max_new_tokens = 6
        return model, DeCapProcessor.for_model(model, None if isinstance(decoder, str) else tokenizer)

    return make
