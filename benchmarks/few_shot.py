"""Questions behind 1, 2 and 4 solved examples: keys and values computed once, against with every question.

    python -m benchmarks.few_shot            a quarter of an hour; writes docs/performance.md
    python -m benchmarks.few_shot --quick    fewer questions, 4 examples alone; writes nothing

Needs ../shared/data/daquar (LINMAP_SHARED=FOLDER names another place) and the bundled captioner. Every measurement runs
in a process of its own; both sides encode each photo once, within the time that is measured. That is the processor's
time of the process, which others on the machine do not lengthen.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.comparison import PAGE, Row, machine, median, print_table, run_alone, write_page
from benchmarks.memory import shared_folder

REUSED, PLAIN = "reused", "plain"
BATCH = 32
MOST = 4
"""Shots at which the target stands."""

FASTER = 3.0


@dataclass(frozen=True)
class Size:
    """How much is measured: photos whose questions are asked, numbers of examples, rounds."""

    photos: int
    shots: tuple[int, ...]
    rounds: int


FULL = Size(photos=6, shots=(1, 2, MOST), rounds=3)
QUICK = Size(photos=2, shots=(MOST,), rounds=1)


def answer(mode: str, shots: int, photos: int, folder: Path) -> dict[str, Any]:
    """Answers all questions about some photos of DAQUAR: processor seconds with encoding, and the answers."""
    import torch

    from linmap.cli.messages import quiet_libraries
    from linmap.cli.models import load_captioner
    from linmap.data.encoding import encode_photos
    from linmap.data.questions import read_questions
    from linmap.data.support_sets import draw_supports
    from linmap.prefix.few_shot import FewShotAnswerer, SolvedExample

    quiet_libraries()
    captioner = load_captioner(None, "cpu")
    model, processor = captioner
    (support,) = draw_supports(read_questions(folder / "qa.json", folder / "images"), shots, limit=photos)
    questions = [one.question for one in support.questions]
    pictures = {one.photo: one.image for one in (*support.examples, *support.questions)}
    places = {photo: place for place, photo in enumerate(pictures)}
    answers: dict[int, str] = {}

    def run(count: int) -> None:
        seen = encode_photos(model.encode_images, processor.image_processor, list(pictures.values())).features
        examples = [SolvedExample(one.question, one.shown, seen[places[one.photo]]) for one in support.examples]
        answerer = FewShotAnswerer(*captioner, examples, reuse=mode == REUSED)
        about = [places[one.photo] for one in support.questions[:count]]
        answers.update(answerer.answer(questions[:count], seen, about, batch_size=BATCH))

    run(1)  # warm: thread pools, caches of the libraries below
    start = time.process_time()
    run(len(questions))
    seconds = time.process_time() - start
    return {
        "seconds": seconds,
        "questions": len(questions),
        "answers": [answers[place] for place in range(len(questions))],
        "threads": torch.get_num_threads(),
        "dtype": str(model.language_model.dtype),
    }


def measure(size: Size) -> dict[str, dict[str, Any]]:
    """Both modes at every number of examples, in turn; each number is the median over the rounds."""
    folder = shared_folder() / "data" / "daquar"
    found: dict[str, list[dict[str, Any]]] = {}
    for number in range(size.rounds):
        for shots in size.shots:
            for mode in (REUSED, PLAIN):
                print(f"round {number + 1} of {size.rounds}: {mode}, {shots} shots", file=sys.stderr, flush=True)
                words = ["--answer", mode, "--shots", str(shots), "--photos", str(size.photos), "--folder", str(folder)]
                found.setdefault(f"{mode} {shots}", []).append(run_alone("few_shot", *words))
    return {name: median(results) for name, results in found.items()}


def compare(found: dict[str, dict[str, Any]], size: Size) -> list[Row]:
    """The rows of the table; "ours" reuses, "other" does not."""
    rows = []
    for shots in size.shots:
        ours, other = found[f"{REUSED} {shots}"], found[f"{PLAIN} {shots}"]
        faster = other["seconds"] / ours["seconds"]
        target = f"at least {FASTER:g}x" if shots == MOST else ""
        rates = [f"{side['questions'] / side['seconds']:.2f}" for side in (ours, other)]
        met = not target or faster >= FASTER
        rows.append(Row(f"questions per processor second, {shots} solved examples", *rates, faster, target, met))
        same = sum(one == another for one, another in zip(ours["answers"], other["answers"], strict=True))
        count = ours["questions"]
        rows.append(Row("answers that are the same", str(same), str(count), same / count, "all", same == count))
    return rows


def conditions(found: dict[str, dict[str, Any]], size: Size) -> list[str]:
    """What was measured."""
    one = found[f"{REUSED} {MOST}"]
    return [
        f"{one['questions']} questions about {size.photos} photos of DAQUAR, {BATCH} at a time, by the bundled "
        f"captioner in {one['dtype'].removeprefix('torch.')}; encoding each photo once is within the time of both. "
        f"Median of {size.rounds}; threads: {one['threads']}.",
        "",
        f"Machine: {machine('torch', 'transformers')}.",
    ]


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints, writes; returns 1 when a full run misses a target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="rough numbers in little time; writes nothing")
    parser.add_argument("--answer", choices=(REUSED, PLAIN), help="one measurement, printed as JSON")
    parser.add_argument("--shots", type=int, help="for --answer: solved examples")
    parser.add_argument("--photos", type=int, help="for --answer: photos whose questions are asked")
    parser.add_argument("--folder", type=Path, help="for --answer: of DAQUAR")
    chosen = parser.parse_args(arguments)
    if chosen.answer:
        print(json.dumps(answer(chosen.answer, chosen.shots, chosen.photos, chosen.folder)))
        return 0
    size = QUICK if chosen.quick else FULL
    found = measure(size)
    rows, notes = compare(found, size), conditions(found, size)
    print_table(rows)
    print("\n".join(notes))
    if chosen.quick:
        return 0
    write_page(PAGE, "few_shot", rows, notes)
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
