"""An encoder of one's own is found again with its weights, whichever kind it is; another is refused."""

from __future__ import annotations

import runpy
import sys

import pytest
import torch
from transformers import AutoModel

from linmap import LinearVisionPrefixModel
from linmap.errors import FingerprintMismatchError


@pytest.fixture
def train(repository, tiny_lm_dir, tmp_path, monkeypatch):
    def run(kind):
        script = str(repository / "examples" / "your_own_encoder.py")
        words = ["--kind", kind, "--language-model", str(tiny_lm_dir("gptj")), "--output", str(tmp_path / "own")]
        monkeypatch.setattr(sys, "argv", [script, "--quick", *words])
        runpy.run_path(script, run_name="__main__")
        return tmp_path / "own"

    return run


@pytest.mark.parametrize("kind", ["module", "timm", "transformers"])
def test_a_projection_behind_each_kind_of_encoder_is_trained_saved_and_loaded_back(kind, train, capsys):
    folder = train(kind)
    said = capsys.readouterr().out
    assert f"Loaded back with {'timm:test_vit' if kind == 'timm' else f'hf:{folder}'}" in said
    assert "cat.jpg: " in said
    saved = {file.name for file in folder.iterdir() if file.is_file()}
    assert {"config.json", "model.safetensors", "processor_config.json", "README.md"} <= saved


def test_a_network_of_one_s_own_with_other_weights_is_refused_and_one_that_moved_is_taken(train):
    folder = train("module")
    encoder = folder / "encoder"
    moved = encoder.rename(folder.parent / "moved")
    model = LinearVisionPrefixModel.from_pretrained(folder, encoder=f"hf:{moved}")
    assert model.encoder.fingerprint.name == f"hf:{moved}"
    other = AutoModel.from_pretrained(moved)
    with torch.no_grad():
        next(other.parameters()).add_(0.1)
    other.save_pretrained(moved)
    with pytest.raises(FingerprintMismatchError, match="is not what this checkpoint was trained with"):
        LinearVisionPrefixModel.from_pretrained(folder, encoder=f"hf:{moved}")


def test_an_encoder_of_one_s_own_that_learned_comes_back_from_the_projection_s_file(train, tiny_lm_dir, tmp_path):
    encoder = train("module") / "encoder"
    model = LinearVisionPrefixModel.from_backbones(
        f"hf:{encoder}", str(tiny_lm_dir("gptj")), grid_size=2, trained_encoder=True
    )
    with torch.no_grad():
        next(model.encoder.parameters()).add_(0.1)
    model.save_pretrained(tmp_path / "learned")
    again = LinearVisionPrefixModel.from_pretrained(tmp_path / "learned")
    assert all(
        one.equal(other) for one, other in zip(again.encoder.parameters(), model.encoder.parameters(), strict=True)
    )
