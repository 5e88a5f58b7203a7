"""Recall of 5,000 captions and 1,000 photos, both ways: linmap against clip-benchmark on the same embeddings.

    python -m benchmarks.retrieval            half a minute; writes docs/performance.md
    python -m benchmarks.retrieval --quick    fewer photos and one round; writes nothing

Every measurement runs in a process of its own, the two sides in turn, and the median over the rounds counts. The other
side is the `evaluate` of the installed clip-benchmark with a model that hands embeddings through. Time and peak memory
start at embeddings that lie in memory; peak memory is taken as in benchmarks/caption.py.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import Any

from benchmarks.comparison import GIVING_BACK, PAGE, Row, machine, median, megabytes, print_table, run_alone, write_page

OURS, THEIRS = "linmap", "clip-benchmark"
TOLERANCE = 1e-3  # points of percent: clip-benchmark averages in float32


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    images: int
    rounds: int


FULL = Size(images=1000, rounds=5)
QUICK = Size(images=300, rounds=1)


def measure(size: Size) -> dict[str, dict[str, Any]]:
    """Runs both sides `size.rounds` times, in turn; each number is the median over the rounds."""
    found: dict[str, list[dict[str, Any]]] = {OURS: [], THEIRS: []}
    for number in range(size.rounds):
        for side, results in found.items():
            print(f"round {number + 1} of {size.rounds}: {side}", file=sys.stderr, flush=True)
            words = ("retrieval", "--side", side, "--count", str(size.images))
            result = run_alone("joint_space", *words)
            result["held_bytes"] = run_alone("joint_space", *words, environment=GIVING_BACK)["held_bytes"]
            results.append(result)
    return {side: median(results) for side, results in found.items()}


def compare(found: dict[str, dict[str, Any]]) -> list[Row]:
    """The rows of the table, from the medians."""
    ours, theirs = found[OURS], found[THEIRS]
    time = ours["seconds"] / theirs["seconds"]
    memory = ours["held_bytes"] / theirs["held_bytes"]
    apart = max(abs(ours["recalls"][name] - theirs["recalls"][name]) for name in ours["recalls"])
    total, of_theirs = sum(ours["recalls"].values()), sum(theirs["recalls"].values())
    return [
        Row(
            "seconds for R@1, 5 and 10 both ways",
            f"{ours['seconds']:.3f}",
            f"{theirs['seconds']:.3f}",
            time,
            "at most 1x",
            time <= 1,
        ),
        Row(
            "peak memory of that, above the embeddings",
            megabytes(ours["held_bytes"]),
            megabytes(theirs["held_bytes"]),
            memory,
            "at most 1x",
            memory <= 1,
        ),
        Row(
            "sum of the six recalls",
            f"{total:.2f}",
            f"{of_theirs:.2f}",
            total / of_theirs,
            "each equal",
            apart <= TOLERANCE,
        ),
    ]


def conditions(found: dict[str, dict[str, Any]], size: Size) -> str:
    """What was measured, in a line."""
    return (
        f"{size.images:,} photos and {5 * size.images:,} captions, embeddings 512 wide, "
        f"threads: {found[OURS]['threads']}; median of {size.rounds}. "
        "Ours is counted in float64 with ties against the model, theirs in float32."
    )


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints, writes; returns 1 when a full run misses a target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="rough numbers in little time; writes nothing")
    chosen = parser.parse_args(arguments)
    size = QUICK if chosen.quick else FULL
    found = measure(size)
    rows = compare(found)
    notes = [conditions(found, size), "", f"Machine: {machine('torch', 'clip-benchmark')}."]
    print_table(rows)
    print("\n".join(notes))
    if chosen.quick:
        return 0
    write_page(PAGE, "retrieval", rows, notes)
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
