from __future__ import annotations

from benchmarks import comparison
from benchmarks import zero_shot as benchmark


def test_both_sides_are_measured_in_one_run_and_their_classifiers_agree(capfd):
    found = benchmark.measure(4)
    assert set(found) == {"linmap", "open_clip"}
    rows = benchmark.compare(found, 4)
    assert rows[-1].met
    comparison.print_table(rows)
    assert "seconds for 4 classes" in " ".join(capfd.readouterr().out.split())
    assert "320 texts" in benchmark.conditions(found, 4)


def test_a_side_that_is_slower_or_differs_misses_its_target():
    ours, theirs = {"seconds": 2.0, "held_bytes": 2e6, "apart": 0.1}, {"seconds": 1.0, "held_bytes": 1e6}
    assert [row.met for row in benchmark.compare({"linmap": ours, "open_clip": theirs}, 10)] == [False] * 3
