from __future__ import annotations

from benchmarks import comparison
from benchmarks import gradient_caching as benchmark


def test_both_modes_are_measured_in_one_run_and_their_gradients_agree(capfd):
    size = benchmark.Size(pairs=2, rounds=1)
    found = benchmark.measure(size)
    assert set(found) == {"cached 2", "cached 32", "plain 2", "plain 32"}
    rows = benchmark.compare(found, size)
    assert rows[-1].what == "norm of the gradient on 32 pairs"
    assert rows[-1].met
    comparison.print_table(rows)
    assert "growth" in capfd.readouterr().out
    assert "`mini_batch_size=2`" in benchmark.conditions(found, size)


def test_memory_that_grows_or_another_gradient_misses_its_target():
    step = {"seconds": 1.0, "norm": 1.0, "threads": 1}
    found = {
        "cached 2": step | {"held_bytes": 1e6},
        "cached 32": step | {"held_bytes": 2e6},
        "plain 2": step | {"held_bytes": 1e6},
        "plain 32": step | {"held_bytes": 16e6, "norm": 1.1},
    }
    assert [row.met for row in benchmark.compare(found, benchmark.Size(pairs=2, rounds=1))[-2:]] == [False, False]


def test_the_page_has_a_place_for_the_table():
    text = comparison.PAGE.read_text(encoding="utf-8")
    assert all(marker in text for marker in comparison.markers("gradient_caching"))
