"""Tiny real encoders of three libraries, and a hub cache filled by hand. Nothing is downloaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
IMAGES = {"image_size": 32, "patch_size": 8}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="session")
def tiny_open_clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Names of two tiny architectures that open_clip builds like its own: a ResNet (64 px) and a ViT (32 px)."""
    import open_clip

    text = {"context_length": 8, "vocab_size": 64, "width": 64, "heads": 1, "layers": 1}
    folder = tmp_path_factory.mktemp("open_clip")
    towers: dict[str, dict[str, Any]] = {
        "linmap-tiny-RN": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
        "linmap-tiny-ViT": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    }
    for name, vision in towers.items():
        (folder / f"{name}.json").write_text(json.dumps({"embed_dim": 24, "vision_cfg": vision, "text_cfg": text}))
    open_clip.add_model_config(folder)
    return "linmap-tiny-RN", "linmap-tiny-ViT"


def _save(folder: Path, model: Any, processor: Any) -> Path:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def hf_dir(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`hf_dir(kind)`: a folder with a tiny vision model of transformers and its image processor, as on the Hub."""
    import torch
    import transformers as t

    made: dict[str, Path] = {}

    def square(kind: Any, side: int = 32) -> Any:
        return kind(size={"height": side, "width": side}, do_center_crop=False)

    def models(kind: str) -> tuple[Any, Any]:
        vision = t.CLIPVisionConfig(**SIZES, **IMAGES, projection_dim=8)
        cropping = t.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
        ids = {"vocab_size": 50, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
        text = {**SIZES, **ids}
        if kind == "beit":
            return t.BeitModel(t.BeitConfig(**SIZES, **IMAGES)), square(t.BeitImageProcessor)
        if kind == "vit":
            return t.ViTModel(t.ViTConfig(**SIZES, **IMAGES)), square(t.ViTImageProcessor)
        if kind == "vit-classifier":
            return t.ViTForImageClassification(t.ViTConfig(**SIZES, **IMAGES)), square(t.ViTImageProcessor)
        if kind == "clip-vision":
            return t.CLIPVisionModel(vision), cropping
        if kind == "clip":
            both = t.CLIPConfig(vision_config=vision.to_dict(), text_config=text, projection_dim=8)
            return t.CLIPModel(both), cropping
        if kind == "registers":
            config = t.Dinov2WithRegistersConfig(**SIZES, **IMAGES, num_register_tokens=3)
            return t.Dinov2WithRegistersModel(config), square(t.ViTImageProcessor)
        if kind == "swin":
            sizes = {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4, "patch_size": 4}
            return t.SwinModel(t.SwinConfig(image_size=64, **sizes)), square(t.ViTImageProcessor, 64)
        if kind == "resnet":
            config = t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
            return t.ResNetModel(config), cropping
        if kind == "gpt2":
            return t.GPT2Model(t.GPT2Config(n_layer=1, n_head=1, n_embd=8, vocab_size=20, **_ids())), cropping
        raise ValueError(kind)

    def make(kind: str) -> Path:
        if kind not in made:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                made[kind] = _save(tmp_path_factory.mktemp(kind), *models(kind))
        return made[kind]

    return make


def _ids() -> dict[str, int]:
    return {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """`hub(repo_id, *files)`: puts files into an own hub cache, where offline downloads find them.

    Returns their folder; the branch `main` is at `COMMIT`.
    """
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    def put(repo_id: str, *files: Path) -> Path:
        repository = tmp_path / "hub" / f"models--{repo_id.replace('/', '--')}"
        snapshot = repository / "snapshots" / COMMIT
        snapshot.mkdir(parents=True, exist_ok=True)
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / "main").write_text(COMMIT)
        for file in files:
            shutil.copy(file, snapshot / file.name)
        return snapshot

    return put


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    """A noisy picture of 150 x 100 pixels: what resizing and cropping do to it shows in every pixel."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (100, 150, 3), dtype=np.uint8))
