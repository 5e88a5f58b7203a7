"""One measurement of a stream of shards in a process of its own: prints JSON. `benchmarks/loading.py` runs them all."""

from __future__ import annotations

import argparse
import json
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.captions import CAPTIONS
from linmap.cli.messages import quiet_libraries

if TYPE_CHECKING:
    from linmap.data.stream_loading import StreamLoader

PHOTOS = sorted((Path(__file__).parents[1] / "examples" / "photos").glob("*.jpg"))
SHARDS = 8
BATCH_SIZE = 16
"""As in the recipe of the bundled model."""


def write(folder: Path, samples: int) -> dict[str, Any]:
    """Writes the shards that the others read."""
    from linmap.data.shard_writing import write_caption_shards

    numbers = range(samples)
    examples = ({"image": PHOTOS[n % len(PHOTOS)], "caption": CAPTIONS[n % len(CAPTIONS)]} for n in numbers)
    shards = write_caption_shards(examples, folder, -(-samples // SHARDS))
    return {"bytes": sum(shard.stat().st_size for shard in shards)}


def _loader(folder: Path, workers: int, processor: Any) -> StreamLoader[Any]:
    from linmap import CaptionCollator
    from linmap.data.shards import caption_shards
    from linmap.data.stream_loading import StreamLoader
    from linmap.data.streams import CaptionStream

    stream = CaptionStream(caption_shards(folder), endless=True)
    return StreamLoader(stream, CaptionCollator(processor), BATCH_SIZE, workers=workers)


def read(folder: Path, workers: int, batches: int) -> dict[str, Any]:
    """Batches as training takes them, with nobody to train: samples a second."""
    from linmap import LinearVisionPrefixProcessor, default_model

    loader = _loader(folder, workers, LinearVisionPrefixProcessor.from_pretrained(default_model()))
    return {"samples_per_second": _rate(loader, batches, lambda batch: None)}


def train(folder: Path, workers: int, batches: int) -> dict[str, Any]:
    """Optimiser steps of the bundled captioner's linear layer, its encoder in the loop: samples a second."""
    import torch

    from linmap.cli.models import load_captioner

    captioner = load_captioner(None, "cpu", "bfloat16")
    model = captioner.model.train()
    optimizer = torch.optim.AdamW(model.projector.parameters(), lr=1e-4)

    def step(batch: dict[str, torch.Tensor]) -> None:
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()

    return {"samples_per_second": _rate(_loader(folder, workers, captioner.processor), batches, step)}


def resume(folder: Path, samples: int) -> dict[str, Any]:
    """The first batch behind `samples`: found by places, and by preparing all that lies before it."""
    from linmap import LinearVisionPrefixProcessor, default_model

    processor = LinearVisionPrefixProcessor.from_pretrained(default_model())
    loader = _loader(folder, 0, processor)
    loader.skip(samples // BATCH_SIZE)
    start = time.perf_counter()
    skipped = next(iter(loader))
    seconds = time.perf_counter() - start
    plain = _loader(folder, 0, processor)
    start = time.perf_counter()
    met = next(islice(plain, samples // BATCH_SIZE, None))
    return {
        "seconds": seconds,
        "plain_seconds": time.perf_counter() - start,
        "equal": all(skipped[name].equal(met[name]) for name in met),
    }


def _rate(loader: StreamLoader[Any], batches: int, use: Any) -> float:
    """Samples a second, from the second batch on."""
    taken = iter(loader)
    use(next(taken))
    start = time.perf_counter()
    for batch in islice(taken, batches):
        use(batch)
    return BATCH_SIZE * batches / (time.perf_counter() - start)


def main() -> None:
    """Parses the command line, measures, prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("write", "read", "train", "resume"))
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--count", type=int, required=True, help="samples to write or skip, batches to read or train")
    chosen = parser.parse_args()
    quiet_libraries()
    found = {
        "write": lambda: write(chosen.folder, chosen.count),
        "read": lambda: read(chosen.folder, chosen.workers, chosen.count),
        "train": lambda: train(chosen.folder, chosen.workers, chosen.count),
        "resume": lambda: resume(chosen.folder, chosen.count),
    }[chosen.what]()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
