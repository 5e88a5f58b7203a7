"""Memory and time of one contrastive step while the batch grows sixteenfold: with gradient caching, and plainly.

    python -m benchmarks.gradient_caching            two minutes; writes docs/performance.md
    python -m benchmarks.gradient_caching --quick    smaller batches and one round; writes nothing

Both towers learn: timm's vit_tiny_patch16_224 at 96 x 96 pixels and the architecture of all-MiniLM-L6-v2 in three
layers, with random weights. Every measurement runs in a process of its own that gives freed memory back at once; peak
memory is counted above the model, the batch and its gradients at rest.
"""

from __future__ import annotations

import argparse
import json
import mmap
import sys
from dataclasses import dataclass
from typing import Any

from benchmarks.comparison import GIVING_BACK, PAGE, Row, machine, median, megabytes, print_table, run_alone, write_page

CACHED, PLAIN = "cached", "plain"
GROWTH = 16
FLAT = 1.25
"""Largest growth of peak memory that counts as flat: the embeddings and their gradients do grow with the batch."""


@dataclass(frozen=True)
class Size:
    """How much is measured: pairs that go through the towers at a time, which is also the small batch; rounds."""

    pairs: int
    rounds: int


FULL = Size(pairs=32, rounds=3)
QUICK = Size(pairs=4, rounds=1)


def step(mode: str, batch: int, pairs: int) -> dict[str, Any]:
    """One step on a batch: bytes above rest, seconds of a second one, and the gradient's norm."""
    import torch
    from transformers import BertConfig

    from benchmarks.process import forget_peak, peak, timed
    from linmap import DualEncoderModel, TextEncoder, TextEncoderConfig, load_encoder

    torch.manual_seed(0)
    text = BertConfig(hidden_size=384, num_hidden_layers=3, num_attention_heads=12, intermediate_size=1536)
    text.attention_probs_dropout_prob = text.hidden_dropout_prob = 0.0
    described = {"config": json.loads(text.to_json_string(False)), "pooler": True}
    model = DualEncoderModel.from_backbones(
        load_encoder("timm:vit_tiny_patch16_224", pretrained=False, seed=0, image_size=96),
        TextEncoder(TextEncoderConfig(architecture="bert", model_args=described, pooling="mean", feature_dim=384)),
        trained_towers=["image", "text"],
        mini_batch_size=pairs if mode == CACHED else None,
    )
    inputs = {
        "pixel_values": torch.randn(batch, 3, 96, 96),
        "input_ids": torch.randint(1000, 30000, (batch, 16)),
        "return_loss": True,
    }
    model.train()
    small = {name: value if isinstance(value, bool) else value[:2] for name, value in inputs.items()}
    model(**small).loss.backward()  # warm: thread pools, and the gradients' own memory

    def whole() -> None:
        model.zero_grad(set_to_none=False)
        model(**inputs).loss.backward()

    at_rest = forget_peak()
    whole()
    held = max(peak() - at_rest, mmap.PAGESIZE)  # a small step may fit into what loading had held
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm().item()
    return {"held_bytes": held, "seconds": timed(whole), "norm": norm, "threads": torch.get_num_threads()}


def measure(size: Size) -> dict[str, dict[str, Any]]:
    """Both modes at both batches, in turn; each number is the median over the rounds."""
    found: dict[str, list[dict[str, Any]]] = {}
    for number in range(size.rounds):
        for mode in (CACHED, PLAIN):
            for batch in (size.pairs, GROWTH * size.pairs):
                print(f"round {number + 1} of {size.rounds}: {mode}, {batch} pairs", file=sys.stderr, flush=True)
                words = ("gradient_caching", "--step", mode, "--batch", str(batch), "--pairs", str(size.pairs))
                found.setdefault(f"{mode} {batch}", []).append(run_alone(*words, environment=GIVING_BACK))
    return {name: median(results) for name, results in found.items()}


def compare(found: dict[str, dict[str, Any]], size: Size) -> list[Row]:
    """The rows of the table, from the medians; "ours" is with caching, "other" without."""
    small, large = size.pairs, GROWTH * size.pairs
    rows = []
    for batch in (small, large):
        cached, plain = found[f"{CACHED} {batch}"], found[f"{PLAIN} {batch}"]
        memory, time = cached["held_bytes"] / plain["held_bytes"], cached["seconds"] / plain["seconds"]
        held = (megabytes(cached["held_bytes"]), megabytes(plain["held_bytes"]))
        rows.append(Row(f"peak memory of a step on {batch} pairs", *held, memory, "", True))
        seconds = (f"{cached['seconds']:.2f}", f"{plain['seconds']:.2f}")
        rows.append(Row(f"seconds of a step on {batch} pairs", *seconds, time, "", True))
    growths = [
        found[f"{mode} {large}"]["held_bytes"] / found[f"{mode} {small}"]["held_bytes"] for mode in (CACHED, PLAIN)
    ]
    rows.append(
        Row(
            f"growth of peak memory while the batch grows {GROWTH}x",
            f"{growths[0]:.2f}x",
            f"{growths[1]:.2f}x",
            growths[0] / growths[1],
            f"ours at most {FLAT}x",
            growths[0] <= FLAT,
        )
    )
    norms = [found[f"{mode} {large}"]["norm"] for mode in (CACHED, PLAIN)]
    alike = abs(norms[0] / norms[1] - 1) <= 1e-5
    written = [f"{norm:.6f}" for norm in norms]
    rows.append(Row(f"norm of the gradient on {large} pairs", *written, norms[0] / norms[1], "equal to 1e-05", alike))
    return rows


def conditions(found: dict[str, dict[str, Any]], size: Size) -> str:
    """What was measured, in a line."""
    return (
        f"Ours: `mini_batch_size={size.pairs}`; other: None. Median of {size.rounds}; "
        f"threads: {found[f'{CACHED} {size.pairs}']['threads']}. Memory is counted above model and batch."
    )


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints, writes; returns 1 when a full run misses a target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="rough numbers in little time; writes nothing")
    parser.add_argument("--step", choices=(CACHED, PLAIN), help="one measurement, printed as JSON")
    parser.add_argument("--batch", type=int, help="for --step: pairs in the batch")
    parser.add_argument("--pairs", type=int, help="for --step: pairs that go through the towers at a time")
    chosen = parser.parse_args(arguments)
    if chosen.step:
        print(json.dumps(step(chosen.step, chosen.batch, chosen.pairs)))
        return 0
    size = QUICK if chosen.quick else FULL
    found = measure(size)
    rows = compare(found, size)
    notes = [conditions(found, size), "", f"Machine: {machine('torch', 'transformers', 'timm')}."]
    print_table(rows)
    print("\n".join(notes))
    if chosen.quick:
        return 0
    write_page(PAGE, "gradient_caching", rows, notes)
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
