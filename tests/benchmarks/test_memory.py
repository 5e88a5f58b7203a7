from __future__ import annotations

import pytest

from benchmarks import comparison
from benchmarks import memory as benchmark


def measured(**changes: dict) -> dict:
    side = {"seconds": 1.0, "held_bytes": 1e8, "cosine": 0.9999, "worst": 0.9995, "threads": 2}
    found = {
        "bytes": {"float32": 4e8, "float16": 2e8, "int8": 1.01e8},
        "plain": side | {"seconds": 1.1, "held_bytes": 1e9},
        "float32": side,
        "float16": side,
        "int8": side,
        "top_k": side | {"seconds": 0.1, "exact_seconds": 1.0, "build_seconds": 3.0},
        "limits": {"flops": 1e11, "bandwidth": 1e10},
        "curve": [{"rows": 10, "exact": 0.1, "plain": 0.2, "top_k": 0.3}, {"rows": 100, "exact": 1.0}],
    }
    return found | {name: found[name] | change for name, change in changes.items()}


def test_what_meets_every_target_is_said_to():
    assert all(row.met for row in benchmark.compare(measured()))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"float32": {"seconds": 1.2}}, "seconds, exact projection, float32"),
        ({"float32": {"held_bytes": 3e8}}, "extra memory of that, float32"),
        ({"bytes": {"int8": 1.2e8}}, "files of latents, int8"),
        ({"int8": {"worst": 0.99}}, "cosine to the exact projection, int8"),
        ({"top_k": {"exact_seconds": 0.4}}, "seconds, top 64 (ivf) against exact"),
        ({"top_k": {"cosine": 0.98}}, "mean cosine of that to exact"),
    ],
)
def test_what_misses_a_target_is_said_to(changes, what):
    assert [row.what for row in benchmark.compare(measured(**changes)) if not row.met] == [what]


def test_the_page_says_what_did_not_fit(tmp_path):
    notes = benchmark.conditions(measured(), benchmark.QUICK)
    assert "| 10 | 0.200 | 0.100 | 0.300 |" in notes
    assert "| 100 | does not fit | 1.000 | does not fit |" in notes
    benchmark.plot(measured(), tmp_path / "memory.png")
    assert (tmp_path / "memory.png").read_bytes().startswith(b"\x89PNG")


def test_without_the_shared_folder_it_says_what_is_needed(tmp_path, monkeypatch):
    monkeypatch.setenv("LINMAP_SHARED", str(tmp_path))
    with pytest.raises(SystemExit, match=r"holds no data/flickr30k_captions, data/coco_captions and data/flickr8k"):
        benchmark.shared_folder()


@pytest.mark.shared
@pytest.mark.weights
def test_a_small_memory_is_measured_from_real_captions_and_photos(tmp_path, capfd):
    size = benchmark.Size(rows=2000, photos=8, captions=200, curve=(2000, 3000))
    found = benchmark.measure(size, tmp_path)
    rows = {row.what: row for row in benchmark.compare(found)}
    assert rows["files of latents, int8"].met
    assert rows["cosine to the exact projection, float16"].met
    assert found["float32"]["cosine"] == pytest.approx(1, abs=1e-5)
    assert [set(point) for point in found["curve"]] == [{"rows", "exact", "plain", "top_k"}, {"rows", "exact"}]
    comparison.print_table(list(rows.values()))
    assert "exact" in capfd.readouterr().out
