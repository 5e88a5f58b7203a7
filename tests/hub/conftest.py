"""A small Hub, the client's process, and a tiny model of every family with all its parts in its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.hub_server import HubClient, SmallHub

TOKEN = "hf_owner"


@pytest.fixture(scope="session")
def hub() -> Iterator[SmallHub]:
    """A Hub on loopback; `hf_owner` is the token of somebody who may write to org."""
    with SmallHub() as small:
        yield small


@pytest.fixture(scope="session")
def client(hub: SmallHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubClient]:
    """A process in which the real Hub client talks to that Hub."""
    one = HubClient(hub.url, tmp_path_factory.mktemp("home"))
    yield one
    one.close()


@pytest.fixture(scope="session")
def folders(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_lm: Callable[..., Any],
    tiny_tokenizer: Callable[..., Any],
    tiny_dual: Callable[..., tuple[Any, Any]],
) -> dict[str, Path]:
    """A folder of each family: a small model with its frozen parts, and its processor."""
    from transformers import GPT2Config

    from linmap import (
        ClippoConfig,
        ClippoForQuestionAnswering,
        ClippoForSequenceClassification,
        ClippoModel,
        ClippoProcessor,
        DeCapModel,
        DeCapProcessor,
        LinearVisionPrefixModel,
        LinearVisionPrefixProcessor,
        SupportMemory,
    )
    from linmap.dual.embedding import embed_texts

    made: dict[str, tuple[Any, Any]] = {}
    tokenizer = tiny_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        prefix = LinearVisionPrefixModel.from_backbones(
            "timm:test_vit",
            tiny_lm("gpt2"),
            tokenizer=tokenizer,
            grid_size=2,
            encoder_kwargs={"pretrained": False, "seed": 0},
        )
        made["prefix"] = prefix, LinearVisionPrefixProcessor.for_model(prefix, tokenizer)
        dual, texts = tiny_dual()
        made["dual"] = dual, texts
        decoder = GPT2Config(n_layer=1, n_embd=16, n_head=2, n_positions=64)
        decap = DeCapModel.from_backbones(dual, decoder, tokenizer=tokenizer)
        captions = ["a dog runs", "a cat sleeps", "two red balls"]
        latents = embed_texts(dual, texts, captions)
        decap.memory = SupportMemory.from_latents(latents, captions, text_tower=dual.text_fingerprint())
        decap.generation_config.max_new_tokens = 4
        made["decap"] = decap, DeCapProcessor.for_model(decap, tokenizer)
        small = {"image_size": 48, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
        config = ClippoConfig(**small, intermediate_size=64, projection_dim=24)
        clippo = ClippoModel(config)
        made["clippo"] = clippo, ClippoProcessor.for_model(clippo)
        config.num_labels = 3
        for name, kind in (("sentences", ClippoForSequenceClassification), ("questions", ClippoForQuestionAnswering)):
            classifier = kind(config)
            torch.nn.init.normal_(classifier.classifier.weight)
            made[name] = classifier, ClippoProcessor.for_questions(classifier)
    written = {}
    for name, (model, processor) in made.items():
        written[name] = tmp_path_factory.mktemp(name)
        whole = {"include_backbones": True} if name in ("prefix", "dual", "decap") else {}
        model.eval().save_pretrained(written[name], **whole)
        processor.save_pretrained(written[name])
    return written
