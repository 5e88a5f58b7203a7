"""Photos streamed from shards: with worker processes against without, and going on in the middle of an epoch.

    python -m benchmarks.loading            some five minutes; writes docs/performance.md
    python -m benchmarks.loading --quick    fewer samples and one round; writes nothing

Every measurement runs in a process of its own, the sides in turn, and the median over the rounds counts. The shards
hold the example photos of the repository again and again. A training step is one of the bundled captioner, its encoder
in the loop. Going on is measured against the way of transformers' Trainer, which prepares all that it skips.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.comparison import PAGE, Row, machine, median, print_table, run_alone, write_page
from benchmarks.stream_reading import BATCH_SIZE, SHARDS

WORKERS = 2
CASES = {
    "read alone": ("read", "--workers", "0"),
    "read by workers": ("read", "--workers", str(WORKERS)),
    "train alone": ("train", "--workers", "0"),
    "train with workers": ("train", "--workers", str(WORKERS)),
    "resume": ("resume",),
}


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    samples: int
    batches: int
    steps: int
    rounds: int


FULL = Size(samples=4000, batches=60, steps=15, rounds=3)
QUICK = Size(samples=320, batches=6, steps=2, rounds=1)


def measure(size: Size, folder: Path) -> dict[str, dict[str, Any]]:
    """Runs every case `size.rounds` times, in turn; each number is the median over the rounds."""
    shards = str(folder / "shards")
    written = run_alone("stream_reading", "write", "--folder", shards, "--count", str(size.samples))
    counts = {"read": size.batches, "train": size.steps, "resume": size.samples * 3 // 4}
    found: dict[str, list[dict[str, Any]]] = {case: [] for case in CASES}
    for number in range(size.rounds):
        for case, words in CASES.items():
            print(f"round {number + 1} of {size.rounds}: {case}", file=sys.stderr, flush=True)
            count = str(counts[words[0]])
            found[case].append(run_alone("stream_reading", *words, "--folder", shards, "--count", count))
    return {"write": written, **{case: median(results) for case, results in found.items()}}


def compare(found: dict[str, dict[str, Any]]) -> list[Row]:
    """The rows of the table, from the medians."""

    def rates(what: str, ours: str, other: str, least: float) -> Row:
        one, two = (found[case]["samples_per_second"] for case in (ours, other))
        return Row(what, f"{one:.1f}", f"{two:.1f}", one / two, f"at least {least:g}x", one / two >= least)

    resumed = found["resume"]
    ratio = resumed["seconds"] / resumed["plain_seconds"]
    return [
        rates(f"samples per second prepared, {WORKERS} workers against none", "read by workers", "read alone", 1.5),
        rates(f"training samples per second, {WORKERS} workers against none", "train with workers", "train alone", 1.0),
        Row(
            "seconds to the next batch when resuming, by places against preparing what is skipped",
            f"{resumed['seconds']:.2f}",
            f"{resumed['plain_seconds']:.2f}",
            ratio,
            "at most 0.1x, the same batch",
            ratio <= 0.1 and resumed["equal"],
        ),
    ]


def conditions(found: dict[str, dict[str, Any]], size: Size) -> str:
    """What was measured, in a line."""
    return (
        f"{size.samples:,} samples in {SHARDS} shards ({found['write']['bytes'] / 1e6:,.0f} MB), batches of "
        f"{BATCH_SIZE}; {size.batches} batches read, {size.steps} trained on, {size.samples * 3 // 4:,} samples "
        f"skipped; median of {size.rounds}."
    )


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints, writes; returns 1 when a full run misses a target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="rough numbers in little time; writes nothing")
    chosen = parser.parse_args(arguments)
    size = QUICK if chosen.quick else FULL
    with tempfile.TemporaryDirectory() as folder:
        found = measure(size, Path(folder))
    rows = compare(found)
    notes = [conditions(found, size), "", f"Machine: {machine('torch', 'transformers', 'pillow')}."]
    print_table(rows)
    print("\n".join(notes))
    if chosen.quick:
        return 0
    write_page(PAGE, "loading", rows, notes)
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
