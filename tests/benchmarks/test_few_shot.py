from __future__ import annotations

from benchmarks import comparison
from benchmarks import few_shot as benchmark

SIZE = benchmark.Size(photos=1, shots=(1, 4), rounds=1)


def measured(seconds: float, answers: list[str]) -> dict:
    side = {"questions": 2, "threads": 1, "dtype": "torch.float32", "answers": ["a", "b"]}
    return {
        **{f"reused {shots}": side | {"seconds": 1.0} for shots in SIZE.shots},
        **{f"plain {shots}": side | {"seconds": seconds, "answers": answers} for shots in SIZE.shots},
    }


def test_three_times_faster_with_the_same_answers_meets_every_target(capfd):
    found = measured(3.1, ["a", "b"])
    rows = benchmark.compare(found, SIZE)
    assert all(row.met for row in rows)
    comparison.print_table(rows)
    assert "2 questions about 1 photos" in "\n".join(benchmark.conditions(found, SIZE))


def test_less_than_that_at_four_examples_or_another_answer_misses_its_target():
    assert [row.met for row in benchmark.compare(measured(2.9, ["a", "c"]), SIZE)] == [True, False, False, False]


def test_the_page_has_a_place_for_the_table():
    text = comparison.PAGE.read_text(encoding="utf-8")
    assert all(marker in text for marker in comparison.markers("few_shot"))
