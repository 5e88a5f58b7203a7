"""A tiny real model on disk, photos good and bad, and the program run in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def model_dir(
    tmp_path_factory: pytest.TempPathFactory, tiny_lm_dir: Callable[..., Path], tiny_tokenizer: Callable[..., object]
) -> Path:
    """A self-contained model: timm's test_vit with random weights, a two-layer Llama, and their processor."""
    from linmap import LinearVisionPrefixModel, LinearVisionPrefixProcessor

    model = LinearVisionPrefixModel.from_backbones(
        "timm:test_vit",
        str(tiny_lm_dir("llama")),
        grid_size=2,
        encoder_kwargs={"pretrained": False, "seed": 0},
    )
    model.generation_config.max_new_tokens = 6
    folder = tmp_path_factory.mktemp("model")
    model.save_pretrained(folder, include_backbones=True)
    LinearVisionPrefixProcessor.for_model(model).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def dual_dir(tmp_path_factory: pytest.TempPathFactory, text_encoder_dir: Callable[[str], Path]) -> Path:
    """A dual encoder of ours: timm's test_vit and a two-layer BERT with random weights, untrained heads, processor."""
    import torch

    from linmap import DualEncoderModel, DualEncoderProcessor

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = DualEncoderModel.from_backbones(
            "timm:test_vit",
            f"hf:{text_encoder_dir('bert')}",
            text_pooling="mean",
            projection_dim=32,
            image_encoder_kwargs={"pretrained": False, "seed": 0},
        )
    folder = tmp_path_factory.mktemp("dual")
    model.save_pretrained(folder)
    DualEncoderProcessor.for_model(model).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def decap_dir(tmp_path_factory: pytest.TempPathFactory, dual_dir: Path, tiny_tokenizer: Callable[..., object]) -> Path:
    """A DeCap model on the dual encoder of `dual_dir`: two untrained layers, a memory of four captions, processor."""
    import torch
    from transformers import GPT2Config

    from linmap import DeCapModel, DeCapProcessor, SupportMemory

    tokenizer = tiny_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        decoder = GPT2Config(n_layer=2, n_embd=16, n_head=2, n_positions=64)
        model = DeCapModel.from_backbones(str(dual_dir), decoder, tokenizer=tokenizer, strategy="projection", tau=0.1)
        for weight in model.decoder.parameters():
            torch.nn.init.normal_(weight)
        torch.nn.init.normal_(model.projector.weight)
        latents = torch.randn(len(SENTENCES), 32)
    tower = model.dual_encoder.text_fingerprint()
    model.memory = SupportMemory.from_latents(latents, SENTENCES, text_tower=tower)
    model.generation_config.max_new_tokens = 6
    folder = tmp_path_factory.mktemp("decap")
    model.save_pretrained(folder)
    DeCapProcessor.for_model(model, tokenizer).save_pretrained(folder)
    return folder


SENTENCES = ["a dog runs", "two men on bicycles", "a woman in town", "people in a street"]


def photo(seed: int, width: int = 40, height: int = 30) -> Image.Image:
    """Coloured noise: no two seeds look alike."""
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with three photos that can be read: a.jpg, b.png, c.jpg."""
    folder = tmp_path / "photos"
    folder.mkdir()
    photo(0).save(folder / "a.jpg")
    photo(1).save(folder / "b.png")
    photo(2).save(folder / "c.jpg")
    return folder


CAPTIONS = {
    "a.jpg": ["a dog runs", "a brown dog"],
    "b.png": ["two men on bicycles"],
    "c.jpg": ["a woman in town", "a woman walks", "people in a street"],
}


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    """A captions file about `photos`: a.jpg and b.png are the split val, c.jpg is train."""
    splits = {"a.jpg": "val", "b.png": "val", "c.jpg": "train"}
    records = [{"file": name, "captions": texts, "split": splits[name]} for name, texts in CAPTIONS.items()]
    path = tmp_path / "captions.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


@pytest.fixture
def classes(tmp_path: Path) -> Callable[..., Path]:
    """`classes("name", 6)`: a folder with the folders cat and guide_dog, each with so many photos; cats are dark."""

    def make(name: str = "classes", each: int = 6, first: int = 0) -> Path:
        for label, shade in (("cat", 3), ("guide_dog", 1)):
            folder = tmp_path / name / label
            folder.mkdir(parents=True)
            for number in range(each):
                photo(first + number).point(lambda value, shade=shade: value // shade).save(folder / f"{number}.png")
        return tmp_path / name

    return make


@dataclass(frozen=True)
class Ran:
    """What the program wrote, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture
def linmap(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """`linmap("caption", "a.jpg")` runs the program; even what C code writes is caught."""
    from linmap.cli.app import main

    def run(*arguments: object) -> Ran:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        written = capfd.readouterr()
        return Ran(code, written.out, written.err)

    return run
