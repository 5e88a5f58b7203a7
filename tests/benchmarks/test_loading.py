from __future__ import annotations

import pytest

from benchmarks import comparison
from benchmarks import loading as benchmark


def measured(**changes: dict) -> dict:
    found = {
        "write": {"bytes": 1_000_000},
        "read alone": {"samples_per_second": 100.0},
        "read by workers": {"samples_per_second": 180.0},
        "train alone": {"samples_per_second": 10.0},
        "train with workers": {"samples_per_second": 11.0},
        "resume": {"seconds": 0.1, "plain_seconds": 10.0, "equal": True},
    }
    return {name: value | changes.get(name, {}) for name, value in found.items()}


def test_what_meets_every_target_is_said_to():
    assert all(row.met for row in benchmark.compare(measured()))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"read by workers": {"samples_per_second": 120.0}}, "samples per second prepared"),
        ({"train with workers": {"samples_per_second": 9.0}}, "training samples per second"),
        ({"resume": {"seconds": 2.0}}, "seconds to the next batch when resuming"),
        ({"resume": {"equal": False}}, "seconds to the next batch when resuming"),
    ],
)
def test_what_misses_a_target_is_said_to(changes, what):
    (missed,) = [row.what for row in benchmark.compare(measured(**changes)) if not row.met]
    assert missed.startswith(what)


@pytest.mark.weights
def test_every_case_is_measured_on_shards_of_its_own(tmp_path, capfd):
    size = benchmark.Size(samples=160, batches=1, steps=1, rounds=1)
    found = benchmark.measure(size, tmp_path)
    assert found["resume"]["equal"]
    comparison.print_table(rows := benchmark.compare(found))
    assert rows[0].what.startswith("samples per second prepared")
    assert rows[0].ours in capfd.readouterr().out
    assert "160 samples in 8 shards" in benchmark.conditions(found, size)
