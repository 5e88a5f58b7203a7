"""Captioning in batches against one photo at a time; training with the head where it is needed against everywhere.

    python -m benchmarks.caption            some six minutes; writes docs/performance.md
    python -m benchmarks.caption --quick    fewer photos, steps and rounds; writes nothing

Every measurement runs in a process of its own, the two sides in turn, and the median over the rounds counts. On the
CPU, with the bundled model unless `--model` names another. Peak memory is the operating system's (`ru_maxrss`), less
what the process held before the step; it is taken in a process whose allocator gives freed blocks back at once, since
what glibc keeps for later differs from run to run. Times are taken with glibc as it is.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from typing import Any

from benchmarks.comparison import GIVING_BACK, PAGE, Row, machine, median, megabytes, print_table, run_alone, write_page

BATCH_SIZE = 16
LOSS_TOLERANCE = 1e-5

CASES: dict[str, tuple[str, ...]] = {
    "one at a time": ("captioning", "--batch-size", "1"),
    "batched": ("captioning", "--batch-size", str(BATCH_SIZE)),
    "head everywhere": ("training", "--head", "all"),
    "head on scored": ("training", "--head", "scored"),
}


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    photos: int
    steps: int
    rounds: int


FULL = Size(photos=32, steps=8, rounds=3)
QUICK = Size(photos=16, steps=2, rounds=1)


def measure(size: Size, model: str | None) -> dict[str, dict[str, Any]]:
    """Runs every case `size.rounds` times, in turn; each number is the median over the rounds."""
    found: dict[str, list[dict[str, Any]]] = {case: [] for case in CASES}
    for round_number in range(size.rounds):
        for case, words in CASES.items():
            print(f"round {round_number + 1} of {size.rounds}: {case}", file=sys.stderr, flush=True)
            count = size.photos if words[0] == "captioning" else size.steps
            named = ["--model", model] if model else []
            result = run_alone("measurements", *words, "--count", str(count), *named)
            if words[0] == "training":
                result["held_bytes"] = run_alone(
                    "measurements", *words, "--count", "1", *named, environment=GIVING_BACK
                )["step_bytes"]
            found[case].append(result)
    return {case: median(results) for case, results in found.items()}


def compare(found: dict[str, dict[str, Any]]) -> list[Row]:
    """The rows of the table, from the medians."""
    batched, single = found["batched"], found["one at a time"]
    scored, everywhere = found["head on scored"], found["head everywhere"]
    captioning = batched["samples_per_second"] / single["samples_per_second"]
    training = scored["samples_per_second"] / everywhere["samples_per_second"]
    # of a tiny model's step nothing may show above the model at rest
    step = scored["held_bytes"] / everywhere["held_bytes"] if everywhere["held_bytes"] else math.nan
    whole = scored["peak_bytes"] / everywhere["peak_bytes"]
    apart = abs(scored["loss"] - everywhere["loss"])
    return [
        Row(
            f"captions per second, batch {BATCH_SIZE} against one photo at a time",
            f"{batched['samples_per_second']:.2f}",
            f"{single['samples_per_second']:.2f}",
            captioning,
            "at least 4x",
            captioning >= 4,
        ),
        Row(
            "training samples per second, head on scored positions against on all",
            f"{scored['samples_per_second']:.1f}",
            f"{everywhere['samples_per_second']:.1f}",
            training,
            "at least 1.15x",
            training >= 1.15,
        ),
        Row(
            "peak memory of that step, above the model at rest",
            megabytes(scored["held_bytes"]),
            megabytes(everywhere["held_bytes"]),
            step,
            "at most 0.75x",
            step <= 0.75,
        ),
        Row(
            "peak memory of the whole process in that step, with what glibc keeps",
            megabytes(scored["peak_bytes"]),
            megabytes(everywhere["peak_bytes"]),
            whole,
            "",
            True,
        ),
        Row(
            "loss of that step",
            f"{scored['loss']:.6f}",
            f"{everywhere['loss']:.6f}",
            scored["loss"] / everywhere["loss"],
            f"equal to {LOSS_TOLERANCE:g}",
            apart <= LOSS_TOLERANCE,
        ),
    ]


def conditions(found: dict[str, dict[str, Any]], size: Size) -> str:
    """What was measured, in two lines."""
    batched, single, scored = found["batched"], found["one at a time"], found["head on scored"]
    alike = sum(ours == other for ours, other in zip(batched["captions"], single["captions"], strict=True))
    captioning, training = (case["dtype"].removeprefix("torch.") for case in (batched, scored))
    return (
        f"{size.photos} photos, {size.steps} steps, median of {size.rounds}. The language model captions in "
        f"{captioning} and trains in {training}. A training batch of {scored['samples']} captions has "
        f"{scored['positions']} positions, {scored['scored_positions']} of them scored. "
        f"{alike} of {len(batched['captions'])} captions are the same in batches and one at a time."
    )


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints, writes; returns 1 when a full run misses a target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="rough numbers in little time; writes nothing")
    parser.add_argument("--model", help="folder or Hub id; default: the bundled model")
    chosen = parser.parse_args(arguments)
    size = QUICK if chosen.quick else FULL
    found = measure(size, chosen.model)
    rows = compare(found)
    notes = [conditions(found, size), "", f"Machine: {machine('torch', 'transformers', 'timm')}."]
    print_table(rows)
    print("\n".join(notes))
    if chosen.quick:
        return 0
    if chosen.model is None:
        write_page(PAGE, "caption", rows, notes)
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
