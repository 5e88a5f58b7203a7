"""Texts drawn for a tower that reads drawn text: against the original's TensorFlow op, and against reading photos.

    python -m benchmarks.rendering            a minute; writes docs/performance.md
    python -m benchmarks.rendering --quick    fewer texts and one round; writes nothing

Time is that of the processor, of one process with one thread, so that other load on the machine counts little; with
worker processes it is that of the wall. Each number is the median over the rounds. The original (big_vision's
`render_unifont` in a `tf.data` map) was measured once, on a machine of the same kind, and its number is written here.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.captions import CAPTIONS
from benchmarks.comparison import PAGE, Row, machine, print_table, write_page

TENSORFLOW = 244.6
"""Texts per CPU second of the original in a parallel tf.data map, the faster kind (TensorFlow 2.21, AMD EPYC)."""

TENSORFLOW_EAGER = 2.8
"""Likewise, called for one text after the other."""

SIZE, CHARACTERS, BATCH = 224, 60, 256
WORKERS = 2
PHOTO = (500, 375)
"""Width and height of a photo, as those of Flickr8k are."""


@dataclass(frozen=True)
class Amount:
    """How much is measured."""

    texts: int
    photos: int
    rounds: int


FULL = Amount(texts=4096, photos=512, rounds=5)
QUICK = Amount(texts=512, photos=64, rounds=1)


def texts(count: int) -> list[str]:
    """Different strings of 60 characters."""
    words = " ".join(CAPTIONS)
    words = words * (1 + (count * 7 + CHARACTERS) // len(words))
    return [words[number * 7 : number * 7 + CHARACTERS] for number in range(count)]


def photos(count: int) -> list[bytes]:
    """The example photos as JPEG files of 500 x 375 pixels, in memory."""
    from PIL import Image

    files = []
    for path in sorted((Path(__file__).parents[1] / "examples" / "photos").glob("*.jpg")):
        with Image.open(path) as photo:
            packed = io.BytesIO()
            photo.convert("RGB").resize(PHOTO).save(packed, format="JPEG", quality=90)
            files.append(packed.getvalue())
    return [files[number % len(files)] for number in range(count)]


def draw(batch: list[str]) -> Any:
    """Texts as a batch of pictures."""
    from linmap import render_text

    return render_text(batch, SIZE)


def read(batch: list[bytes]) -> Any:
    """Photos as a batch of pictures of the same size: decoded, and resized."""
    from PIL import Image

    pictures = []
    for file in batch:
        with Image.open(io.BytesIO(file)) as photo:
            pictures.append(np.asarray(photo.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)))
    return np.stack(pictures)


def per_second(task: Callable[[], object], count: int, clock: Callable[[], float], rounds: int) -> float:
    """What of `count` things is done in a second of `clock`; the median over the rounds, after one that warms up."""
    task()
    found = []
    for _ in range(rounds):
        start = clock()
        task()
        found.append(count / (clock() - start))
    return statistics.median(found)


def loaded(items: list[Any], collate: Callable[[list[Any]], Any], workers: int) -> Callable[[], object]:
    """An epoch of torch's DataLoader over `items`."""
    from torch.utils.data import DataLoader

    keep = workers > 0
    loader = DataLoader(items, batch_size=BATCH, num_workers=workers, collate_fn=collate, persistent_workers=keep)  # type: ignore[arg-type,var-annotated]
    return lambda: [None for _ in loader]


def measure(amount: Amount) -> dict[str, float]:
    """All numbers, of one process that draws and reads; workers are its children."""
    import torch

    torch.set_num_threads(1)
    ours, theirs, clock = texts(amount.texts), photos(amount.photos), time.process_time
    batches = [ours[start : start + BATCH] for start in range(0, len(ours), BATCH)]
    empty = [""] * BATCH
    found = {
        "drawn": per_second(lambda: [draw(batch) for batch in batches], len(ours), clock, amount.rounds),
        "drawn one by one": per_second(lambda: [draw([text]) for text in ours[:512]], 512, clock, amount.rounds),
        "blank": per_second(lambda: [draw(empty) for _ in batches], len(ours), clock, amount.rounds),
        "filled": per_second(
            lambda: [np.full((BATCH, SIZE, SIZE), 127, np.uint8) for _ in batches], len(ours), clock, amount.rounds
        ),
        "photos": per_second(loaded(theirs, read, 0), len(theirs), clock, amount.rounds),
        "texts loaded": per_second(loaded(ours, draw, 0), len(ours), clock, amount.rounds),
    }
    wall = time.perf_counter
    found["photos by workers"] = per_second(loaded(theirs, read, WORKERS), len(theirs), wall, amount.rounds)
    found["texts by workers"] = per_second(loaded(ours, draw, WORKERS), len(ours), wall, amount.rounds)
    return found


def compare(found: dict[str, float]) -> list[Row]:
    """The rows of the table."""

    def row(what: str, ours: float, other: float, least: float | None) -> Row:
        target = "" if least is None else f"at least {least:g}x"
        shown = f"{other:,.1f}" if other < 1000 else f"{other:,.0f}"
        return Row(what, f"{ours:,.0f}", shown, ours / other, target, least is None or ours / other >= least)

    per = "per CPU second"
    loader = "in a DataLoader, texts against photos"
    return [
        row(f"texts {per}, against the original in a tf.data map", found["drawn"], TENSORFLOW, 20),
        row(
            f"texts {per}, one a call, against the original's eager call",
            found["drawn one by one"],
            TENSORFLOW_EAGER,
            20,
        ),
        row(f"texts {per}, against filling as many blank pictures", found["drawn"], found["filled"], None),
        row(f"pictures {per} {loader}, no workers", found["texts loaded"], found["photos"], 1),
        row(
            f"pictures per second {loader}, {WORKERS} workers", found["texts by workers"], found["photos by workers"], 1
        ),
    ]


def conditions(found: dict[str, float], amount: Amount) -> str:
    """What was measured, in a line."""
    written = found["filled"] * SIZE**2 / 1e9
    return (
        f"{amount.texts:,} texts of {CHARACTERS} characters at {SIZE} px, {BATCH} a batch; {amount.photos:,} JPEG "
        f"photos of {PHOTO[0]} x {PHOTO[1]} pixels, decoded by Pillow and resized to the same size; median of "
        f"{amount.rounds}. A picture is {SIZE**2:,} bytes that have to be written: filling them, {written:.1f} GB/s "
        f"here, is the limit of drawing ({found['blank'] / found['filled']:.0%} of it is reached where a text has no "
        "character)."
    )


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints, writes; returns 1 when a full run misses a target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="rough numbers in little time; writes nothing")
    chosen = parser.parse_args(arguments)
    amount = QUICK if chosen.quick else FULL
    found = measure(amount)
    rows = compare(found)
    notes = [conditions(found, amount), "", f"Machine: {machine('numpy', 'torch', 'pillow')}."]
    print_table(rows)
    print("\n".join(notes))
    if chosen.quick:
        return 0
    write_page(PAGE, "rendering", rows, notes)
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
