from __future__ import annotations

import pytest

from benchmarks import comparison
from benchmarks import features as benchmark

FOUND = {
    "extraction": {"stored": 9.5, "loop": 10.0, "threads": 2},
    "training efficientnet 3": {"stored": 1.3, "loop": 1.0, "image_tokens": 9},
    "training rn50x16 3": {"stored": 4.0, "loop": 1.0, "image_tokens": 9},
    "training rn50x16 None": {"stored": 2.0, "loop": 1.0, "image_tokens": 144},
}


@pytest.mark.weights
def test_extraction_and_a_training_step_are_measured_both_ways():
    extraction = benchmark.extraction(count=2, rounds=1)
    assert min(extraction["stored"], extraction["loop"]) > 0
    step = benchmark.training("efficientnet", 3, batch=2, rounds=1)
    assert step["image_tokens"] == 9
    assert min(step["stored"], step["loop"]) > 0  # which of them is faster is told by more than one round


def test_what_is_slower_than_its_bound_misses_its_target(capfd):
    rows = benchmark.compare(FOUND)
    assert [row.met for row in rows] == [True, True, False, True]
    comparison.print_table(rows)
    assert "144 image tokens" in " ".join(capfd.readouterr().out.replace("│", " ").split())
    assert "threads: 2" in benchmark.conditions(FOUND, benchmark.QUICK)


def test_the_page_has_a_place_for_the_table():
    text = comparison.PAGE.read_text(encoding="utf-8")
    assert all(marker in text for marker in comparison.markers("features"))
