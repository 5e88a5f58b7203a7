"""The recipe of a tiny CLIPPO on coloured noise, and shards of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from linmap.data import caption_examples, read_captions
from linmap.data.shard_writing import write_caption_shards

TINY = {
    "image_size": 32,
    "patch_size": 16,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "projection_dim": 8,
}


@pytest.fixture(scope="session")
def clippo_recipe(photo_set: Path) -> Callable[..., dict[str, Any]]:
    """`clippo_recipe(**sections)`: the content of a recipe of CLIPPO that trains in a second."""

    def make(**sections: dict[str, Any]) -> dict[str, Any]:
        content: dict[str, Any] = {
            "method": "clippo",
            "description": "Coloured noise, captioned.",
            "source": "made up for a test",
            "model": TINY,
            "data": {
                "captions": str(photo_set / "captions.json"),
                "images": str(photo_set / "images"),
                "mirror": True,
            },
            "training": {"steps": 12, "batch_size": 8, "learning_rate": 1e-2, "warmup_steps": 2, "timescale": 10},
            "evaluation": {"every": 4, "samples": 1},
        }
        for section, values in sections.items():
            content[section] = {**content.get(section, {}), **values}
        return content

    return make


@pytest.fixture
def clippo_recipe_file(tmp_path: Path, clippo_recipe: Callable[..., dict[str, Any]]) -> Callable[..., Path]:
    """`clippo_recipe_file(**sections)`: the same as a YAML file."""

    def write(**sections: dict[str, Any]) -> Path:
        path = tmp_path / "clippo.yaml"
        path.write_text(yaml.safe_dump(clippo_recipe(**sections)), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def tales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text file of six paragraphs of three sentences."""
    path = tmp_path_factory.mktemp("texts") / "tales.txt"
    paragraphs = [f"Dog {n} ran. It barked at cat {n}. Then {n} children laughed." for n in range(6)]
    path.write_text("\n\n".join(paragraphs), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def streamed_photos(photo_set: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The data section of a recipe that streams 36 captions in 4 shards."""
    folder = tmp_path_factory.mktemp("shards")
    for split, per_shard in (("train", 10), ("val", 6)):
        read = read_captions(photo_set / "captions.json", photo_set / "images", split)
        write_caption_shards(caption_examples(read), folder / split, per_shard)
    return {
        "format": "webdataset",
        "captions": str(folder / "train" / "{00000..00003}.tar"),
        "images": None,
        "validation_captions": str(folder / "val"),
        "train_split": None,
        "validation_split": None,
    }
