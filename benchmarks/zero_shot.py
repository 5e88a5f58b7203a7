"""A zero-shot classifier of 1,000 classes in 80 prompts each: linmap against open_clip with the same text tower.

    python -m benchmarks.zero_shot            some two minutes; writes docs/performance.md
    python -m benchmarks.zero_shot --quick    fewer classes; writes nothing

Every measurement runs in a process of its own, the two sides in turn. Both start from one open_clip model with random
weights (benchmarks/small-clip.json) and from the names of the classes: tokenizing counts. The other side is open_clip's
`build_zero_shot_classifier` as it comes. Peak memory is taken as in benchmarks/caption.py.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.comparison import GIVING_BACK, PAGE, Row, machine, megabytes, print_table, run_alone, write_page

OURS, THEIRS = "linmap", "open_clip"
TOLERANCE = 1e-6


FULL, QUICK = 1000, 50
"""Classes."""


def measure(classes: int) -> dict[str, dict[str, Any]]:
    """Runs both sides, once for the time and once for the memory, and says how far their classifiers are apart."""
    from safetensors.torch import load_file

    found: dict[str, dict[str, Any]] = {}
    with TemporaryDirectory() as folder:
        kept = {side: Path(folder) / f"{side}.safetensors" for side in (OURS, THEIRS)}
        for side, keep in kept.items():
            print(f"{side}", file=sys.stderr, flush=True)
            words = ("zero-shot", "--side", side, "--count", str(classes))
            found[side] = run_alone("joint_space", *words, "--keep", str(keep))
            memory = run_alone("joint_space", *words, environment=GIVING_BACK)
            found[side]["held_bytes"] = memory["held_bytes"]
        ours, theirs = (load_file(keep)["classifier"] for keep in kept.values())
    found[OURS]["apart"] = float((ours - theirs).abs().max())
    return found


def compare(found: dict[str, dict[str, Any]], classes: int) -> list[Row]:
    """The rows of the table."""
    ours, theirs = found[OURS], found[THEIRS]
    time = ours["seconds"] / theirs["seconds"]
    memory = ours["held_bytes"] / theirs["held_bytes"]
    return [
        Row(
            f"seconds for {classes:,} classes x 80 prompts",
            f"{ours['seconds']:.1f}",
            f"{theirs['seconds']:.1f}",
            time,
            "at most 1x",
            time <= 1,
        ),
        Row(
            "peak memory of that, above the model at rest",
            megabytes(ours["held_bytes"]),
            megabytes(theirs["held_bytes"]),
            memory,
            "at most 1x",
            memory <= 1,
        ),
        Row(
            "largest difference of the two classifiers' weights",
            f"{ours['apart']:.0e}",
            "0",
            1.0,
            f"equal to {TOLERANCE:g}",
            ours["apart"] <= TOLERANCE,
        ),
    ]


def conditions(found: dict[str, dict[str, Any]], classes: int) -> str:
    """What was measured, in a line."""
    return (
        f"{80 * classes:,} texts through a tower of one layer, 64 wide, with CLIP's vocabulary and context of 77 "
        f"tokens; threads: {found[OURS]['threads']}; one run a side. Ours tokenizes with the same vocabulary in "
        "transformers' tokenizer, sorts the texts by length and reads no padding behind them, which this tower's "
        "causal mask allows."
    )


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints, writes; returns 1 when a full run misses a target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="rough numbers in little time; writes nothing")
    chosen = parser.parse_args(arguments)
    classes = QUICK if chosen.quick else FULL
    found = measure(classes)
    rows = compare(found, classes)
    notes = [conditions(found, classes), "", f"Machine: {machine('torch', 'open_clip_torch', 'transformers')}."]
    print_table(rows)
    print("\n".join(notes))
    if chosen.quick:
        return 0
    write_page(PAGE, "zero_shot", rows, notes)
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
