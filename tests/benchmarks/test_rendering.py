from __future__ import annotations

import pytest

from benchmarks import comparison
from benchmarks import rendering as benchmark

FOUND = {
    "drawn": 5000.0,
    "drawn one by one": 100.0,
    "blank": 6000.0,
    "filled": 10_000.0,
    "photos": 200.0,
    "texts loaded": 4000.0,
    "photos by workers": 300.0,
    "texts by workers": 5000.0,
}


def test_what_meets_every_target_is_said_to():
    assert all(row.met for row in benchmark.compare(FOUND))


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("drawn", "texts per CPU second, against the original in a tf.data map"),
        ("drawn one by one", "texts per CPU second, one a call"),
        ("texts loaded", "pictures per CPU second in a DataLoader, texts against photos, no workers"),
        ("texts by workers", "pictures per second in a DataLoader, texts against photos, 2 workers"),
    ],
)
def test_what_misses_a_target_is_said_to(name, what):
    (missed,) = [row.what for row in benchmark.compare(FOUND | {name: 30.0}) if not row.met]
    assert missed.startswith(what)


def test_texts_are_of_sixty_characters_and_differ():
    drawn = benchmark.texts(300)
    assert {len(text) for text in drawn} == {60}
    assert len(set(drawn)) > 150


def test_everything_is_measured(capfd):
    amount = benchmark.Amount(texts=64, photos=8, rounds=1)
    found = benchmark.measure(amount)
    assert set(found) == set(FOUND)
    comparison.print_table(rows := benchmark.compare(found))
    assert rows[0].ours in capfd.readouterr().out
    assert "64 texts of 60 characters at 224 px" in benchmark.conditions(found, amount)
