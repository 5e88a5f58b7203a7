"""A training set of coloured noise, a tiny real encoder and language model, and the recipe that joins them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

CAPTIONS = (
    "A dog runs .",
    "a dog runs across the green grass",
    "Two children play with a red ball on the beach .",
    "a man in a blue shirt rides a bicycle down the street",
    "a brown horse jumps over a white fence .",
)


@pytest.fixture(scope="session")
def photo_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `captions.json` (Flickr8k's form: 12 train photos, 4 val photos, 3 captions each), `images`."""
    folder = tmp_path_factory.mktemp("photo-set")
    (folder / "images").mkdir()
    random = np.random.default_rng(0)
    rows = []
    for number in range(16):
        pixels = random.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        captions = [CAPTIONS[(number + shift) % len(CAPTIONS)] for shift in range(3)]
        rows.append({"file": f"{number}.png", "captions": captions, "split": "train" if number < 12 else "val"})
    (folder / "captions.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_recipe(photo_set: Path, tiny_lm_dir: Callable[..., Path]) -> Callable[..., dict[str, Any]]:
    """`tiny_recipe(**sections)`: the content of a recipe that trains in a second; sections are merged into it."""
    language_model = str(tiny_lm_dir("gpt2"))

    def make(**sections: dict[str, Any]) -> dict[str, Any]:
        content: dict[str, Any] = {
            "description": "Coloured noise, captioned.",
            "source": "made up for a test",
            "model": {
                "encoder": "timm:test_vit",
                "encoder_pretrained": False,
                "language_model": language_model,
                "grid_size": 2,
                "projector_dropout": 0.1,
                "prompt": "",
            },
            "data": {
                "captions": str(photo_set / "captions.json"),
                "images": str(photo_set / "images"),
                "lower_case": True,
                "strip_final_period": True,
            },
            "training": {"steps": 12, "batch_size": 4, "learning_rate": 1e-2, "warmup_steps": 2},
            "evaluation": {"every": 4, "samples": 2, "max_new_tokens": 4},
        }
        for section, values in sections.items():
            content[section] = {**content.get(section, {}), **values}
        return content

    return make


@pytest.fixture
def recipe_file(tmp_path: Path, tiny_recipe: Callable[..., dict[str, Any]]) -> Callable[..., Path]:
    """`recipe_file(**sections)`: the same as a YAML file."""

    def write(**sections: dict[str, Any]) -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(tiny_recipe(**sections)), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def dual_recipe(photo_set: Path, text_encoder_dir: Callable[[str], Path]) -> Callable[..., dict[str, Any]]:
    """`dual_recipe(**sections)`: the content of a dual encoder's recipe that trains in a second: two linear maps."""
    text_encoder = f"hf:{text_encoder_dir('bert')}"

    def make(**sections: dict[str, Any]) -> dict[str, Any]:
        content: dict[str, Any] = {
            "method": "dual_encoder",
            "description": "Coloured noise, captioned.",
            "source": "made up for a test",
            "model": {
                "image_encoder": "timm:test_vit",
                "image_encoder_pretrained": False,
                "text_encoder": text_encoder,
                "text_pooling": "mean",
                "projection_dim": 8,
                "image_dropout": 0.2,
            },
            "data": {
                "captions": str(photo_set / "captions.json"),
                "images": str(photo_set / "images"),
                "mirror": True,
            },
            "training": {"epochs": 3, "batch_size": 8, "learning_rate": 1e-2},
        }
        for section, values in sections.items():
            content[section] = {**content.get(section, {}), **values}
        return content

    return make


@pytest.fixture
def dual_recipe_file(tmp_path: Path, dual_recipe: Callable[..., dict[str, Any]]) -> Callable[..., Path]:
    """`dual_recipe_file(**sections)`: the same as a YAML file."""

    def write(**sections: dict[str, Any]) -> Path:
        path = tmp_path / "dual.yaml"
        path.write_text(yaml.safe_dump(dual_recipe(**sections)), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def tiny_dual_dir(tmp_path_factory: pytest.TempPathFactory, text_encoder_dir: Callable[[str], Path]) -> Path:
    """A folder with a tiny dual encoder of 8 channels, whole: random towers, random heads."""
    from linmap import DualEncoderModel, DualEncoderProcessor

    folder = tmp_path_factory.mktemp("dual-encoder")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = DualEncoderModel.from_backbones(
            "timm:test_vit",
            f"hf:{text_encoder_dir('bert')}",
            projection_dim=8,
            text_pooling="mean",
            image_encoder_kwargs={"pretrained": False, "seed": 0},
        )
    model.save_pretrained(folder, include_backbones=True)
    DualEncoderProcessor.for_model(model).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def decap_recipe(photo_set: Path, tiny_dual_dir: Path) -> Callable[..., dict[str, Any]]:
    """`decap_recipe(**sections)`: the content of a recipe of DeCap that trains in a second; photos are scored."""
    captions = str(photo_set / "captions.json")

    def make(**sections: Any) -> dict[str, Any]:
        content: dict[str, Any] = {
            "method": "decap",
            "description": "Captions of coloured noise.",
            "source": "made up for a test",
            "model": {
                "dual_encoder": str(tiny_dual_dir),
                "layers": 1,
                "heads": 2,
                "width": 16,
                "positions": 32,
                "vocabulary": 300,
                "lowercase": True,
                "latent_noise": 0.1,
                "tau": 0.1,
            },
            "data": {
                "texts": [{"source": captions, "split": "train"}],
                "validation_texts": [{"source": captions, "split": "val"}],
            },
            "memory": {"dtype": "int8"},
            "training": {"epochs": 3, "batch_size": 8, "learning_rate": 1e-2},
            "evaluation": {
                "max_new_tokens": 6,
                "photos": {"captions": captions, "images": str(photo_set / "images"), "tokenizer": "simple"},
            },
        }
        for section, values in sections.items():
            content[section] = {**content.get(section, {}), **values} if isinstance(values, dict) else values
        return content

    return make


@pytest.fixture
def decap_recipe_file(tmp_path: Path, decap_recipe: Callable[..., dict[str, Any]]) -> Callable[..., Path]:
    """`decap_recipe_file(**sections)`: the same as a YAML file."""

    def write(**sections: Any) -> Path:
        path = tmp_path / "decap.yaml"
        path.write_text(yaml.safe_dump(decap_recipe(**sections)), encoding="utf-8")
        return path

    return write
