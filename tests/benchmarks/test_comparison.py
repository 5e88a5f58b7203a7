"""The tables of benchmarks: they replace what stands between their own markers and nothing else."""

from __future__ import annotations

import pytest

from benchmarks import comparison

BENCHMARKS = ("caption", "retrieval", "zero_shot")


def test_the_page_keeps_everything_outside_the_markers(tmp_path):
    page = tmp_path / "performance.md"
    opening, closing = comparison.markers("caption")
    others = "\n".join(comparison.markers("retrieval"))
    page.write_text(f"# Before\n\n{opening}\nold\n{closing}\n\nafter\n{others}\n")
    rows = [comparison.Row("captions per second", "8.0", "2.0", 4.0, "at least 4x", True)]
    for _ in range(2):  # written twice, it is the same
        comparison.write_page(page, "caption", rows, ["On a machine."])
        text = page.read_text()
        assert text.startswith("# Before\n\n")
        assert text.endswith(f"\n\nafter\n{others}\n")
        assert "old" not in text
        assert text.count("| captions per second | 8.0 | 2.0 | 4.00x | at least 4x |") == 1


def test_a_page_without_markers_is_not_touched(tmp_path):
    page = tmp_path / "performance.md"
    page.write_text("# Nothing here\n")
    with pytest.raises(SystemExit, match="lacks the markers"):
        comparison.write_page(page, "caption", [], [])
    assert page.read_text() == "# Nothing here\n"


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_the_projects_page_has_the_markers_of_every_benchmark(repository, benchmark):
    text = (repository / "docs" / "performance.md").read_text(encoding="utf-8")
    assert [text.count(marker) for marker in comparison.markers(benchmark)] == [1, 1]


def test_medians_are_of_numbers_alone():
    results = [{"seconds": value, "captions": ["a dog"]} for value in (3.0, 1.0, 9.0)]
    assert comparison.median(results) == {"seconds": 3.0, "captions": ["a dog"]}
