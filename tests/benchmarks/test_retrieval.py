from __future__ import annotations

import pytest

from benchmarks import comparison
from benchmarks import retrieval as benchmark


def test_both_sides_are_measured_in_one_run_and_their_recalls_agree(capfd):
    pytest.importorskip("clip_benchmark")
    size = benchmark.Size(images=40, rounds=1)
    found = benchmark.measure(size)
    assert set(found) == {"linmap", "clip-benchmark"}
    rows = benchmark.compare(found)
    assert rows[-1].what == "sum of the six recalls"
    assert rows[-1].met
    comparison.print_table(rows)
    assert "seconds for R@1, 5 and 10" in " ".join(capfd.readouterr().out.split())
    assert "40 photos and 200 captions" in benchmark.conditions(found, size)


def test_a_side_that_is_slower_or_differs_misses_its_target():
    ours = {"seconds": 2.0, "held_bytes": 2e6, "recalls": {"R@1": 50.0}}
    theirs = {"seconds": 1.0, "held_bytes": 1e6, "recalls": {"R@1": 50.1}}
    assert [row.met for row in benchmark.compare({"linmap": ours, "clip-benchmark": theirs})] == [False] * 3
