from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import caption as benchmark


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


def test_both_sides_are_measured_in_one_run_and_their_losses_agree(model, capfd):
    found = benchmark.measure(benchmark.Size(photos=2, steps=1, rounds=1), str(model))
    assert set(found) == set(benchmark.CASES)
    assert all(case["samples_per_second"] > 0 for case in found.values())
    assert found["head on scored"]["scored_positions"] < found["head on scored"]["positions"]
    rows = benchmark.compare(found)
    assert rows[-1].what == "loss of that step"
    assert rows[-1].met
    benchmark.print_table(rows)
    assert "captions per second" in " ".join(capfd.readouterr().out.split())


def test_the_page_keeps_everything_outside_the_markers(tmp_path):
    page = tmp_path / "performance.md"
    page.write_text(f"# Before\n\n{benchmark.START}\nold\n{benchmark.END}\n\nafter\n")
    rows = [benchmark.Row("captions per second", "8.0", "2.0", 4.0, "at least 4x", True)]
    for _ in range(2):  # written twice, it is the same
        benchmark.write_page(page, rows, ["On a machine."])
        text = page.read_text()
        assert text.startswith("# Before\n\n")
        assert text.endswith("\n\nafter\n")
        assert "old" not in text
        assert text.count("| captions per second | 8.0 | 2.0 | 4.00x | at least 4x |") == 1


def test_a_page_without_markers_is_not_touched(tmp_path):
    page = tmp_path / "performance.md"
    page.write_text("# Nothing here\n")
    with pytest.raises(SystemExit, match="lacks the markers"):
        benchmark.write_page(page, [], [])
    assert page.read_text() == "# Nothing here\n"


def test_the_projects_page_has_its_markers(repository):
    text = (repository / "docs" / "performance.md").read_text()
    assert text.count(benchmark.START) == text.count(benchmark.END) == 1
