from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import caption as benchmark
from benchmarks import comparison


@pytest.fixture
def model(tmp_path: Path, tiny_lm_dir) -> Path:
    from linmap import LinearVisionPrefixModel, LinearVisionPrefixProcessor

    model = LinearVisionPrefixModel.from_backbones(
        "timm:test_vit",
        str(tiny_lm_dir("llama", max_position_embeddings=256)),
        grid_size=2,
        encoder_kwargs={"pretrained": False, "seed": 0},
    )
    model.generation_config.max_new_tokens = 2
    model.save_pretrained(tmp_path, include_backbones=True)
    LinearVisionPrefixProcessor.for_model(model).save_pretrained(tmp_path)
    return tmp_path


def test_both_sides_are_measured_in_one_run_and_their_losses_agree(model, capfd, monkeypatch):
    found = benchmark.measure(benchmark.Size(photos=2, steps=1, rounds=1), str(model))
    assert set(found) == set(benchmark.CASES)
    assert all(case["samples_per_second"] > 0 for case in found.values())
    assert found["head on scored"]["scored_positions"] < found["head on scored"]["positions"]
    rows = benchmark.compare(found)
    assert rows[-1].what == "loss of that step"
    assert rows[-1].met
    monkeypatch.setenv("COLUMNS", "200")  # where figures are long, a name is else cut in two
    comparison.print_table(rows)
    assert "captions per second" in " ".join(capfd.readouterr().out.split())
