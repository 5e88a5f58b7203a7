"""What stored features are worth: photos extracted a second, and training from them against encoders in the loop.

    python -m benchmarks.features            a quarter of an hour; writes docs/performance.md
    python -m benchmarks.features --quick    fewer photos and one round; writes nothing

Extraction with the embedded EfficientNet-Lite0 stands against a plain loop over the same photos, decoding included in
both, which drops the features. A training step is that of a recipe: batches drawn and collated, loss, gradients,
AdamW; the language model is the embedded SmolLM2. In the loop, photos are decoded and encoded at every step. Both
sides of a row are measured in turn in one process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.captions import CAPTIONS
from benchmarks.comparison import PAGE, Row, machine, print_table, run_alone, write_page
from linmap.cli.messages import no_bars_off_terminals, quiet_libraries

if TYPE_CHECKING:
    from linmap.data.feature_store import FeatureStore
    from linmap.data.feature_store_building import PhotoShard
    from linmap.encoders import ImageEncoder

PHOTOS = sorted((Path(__file__).parents[1] / "examples" / "photos").glob("*.jpg"))
LANGUAGE_MODEL = "wheel:smollm2-135m-instruct"
ENCODERS: dict[str, dict[str, Any]] = {
    "efficientnet": {"name": "wheel:efficientnet-lite0"},
    "rn50x16": {"name": "open_clip:RN50x16", "pretrained": False, "seed": 0},
}
SHOWN = {"efficientnet": "EfficientNet-Lite0", "rn50x16": "an untrained RN50x16"}
GRIDS = (("efficientnet", 3), ("rn50x16", 3), ("rn50x16", None))
"""Encoder and cells a side: 3 as in the recipe of the bundled model, None the encoder's own, 12 of RN50x16."""

TARGETS: dict[tuple[str, int | None], float] = {("efficientnet", 3): 1.2, ("rn50x16", 3): 5.0}


@dataclass(frozen=True)
class Size:
    """How much is measured: photos extracted, how often; captions in a training batch, steps."""

    photos: int
    rounds: int
    batch: int
    steps: int


FULL = Size(photos=256, rounds=7, batch=16, steps=7)
QUICK = Size(photos=32, rounds=1, batch=4, steps=1)


def extraction(count: int, rounds: int) -> dict[str, Any]:
    """Photos a second, of an extraction that writes a store and of the plain loop, in turn: each its median."""
    import torch

    from benchmarks.process import timed
    from linmap.data.feature_store_building import extract_features
    from linmap.data.images import open_photo
    from linmap.encoders import image_processor_for
    from linmap.prefix.encoding import feature_identity, frozen_features

    encoder = _encoder("efficientnet")
    processor = image_processor_for(encoder.config)
    identity = feature_identity(encoder.config, processor, features="grid", grid_size=3)

    def encode(pixels: torch.Tensor) -> torch.Tensor:
        return frozen_features(encoder, pixels, features="grid", grid_size=3)

    def loop(paths: list[Path]) -> None:
        with torch.no_grad():
            for start in range(0, len(paths), 32):
                pictures = [open_photo(path) for path in paths[start : start + 32]]
                encode(processor(images=pictures, return_tensors="pt")["pixel_values"])

    def extract(paths: list[Path]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            extract_features([_shard(paths)], encode, processor, Path(folder), identity, source={})

    photos = [PHOTOS[number % len(PHOTOS)] for number in range(count)]
    ways: dict[str, Callable[[list[Path]], None]] = {"stored": extract, "loop": loop}
    for run in ways.values():
        run(photos[:32])  # warm: caches of the libraries below, thread pools
    seconds = _in_turn({way: partial(timed, partial(run, photos)) for way, run in ways.items()}, rounds)
    return {way: count / found for way, found in seconds.items()} | {"threads": torch.get_num_threads()}


def training(encoder: str, grid_size: int | None, batch: int, rounds: int) -> dict[str, Any]:
    """Samples a second of training steps, from a store and with the encoder at every step, in turn: each its median."""
    import torch

    from benchmarks.process import timed
    from linmap import CaptionCollator, LinearVisionPrefixModel, LinearVisionPrefixProcessor
    from linmap.data import Captioned
    from linmap.recipes.examples import CaptionExamples

    seeing = _encoder(encoder)
    model = LinearVisionPrefixModel.from_backbones(seeing, LANGUAGE_MODEL, grid_size=grid_size, dtype=torch.bfloat16)
    processor = LinearVisionPrefixProcessor.for_model(model.train(), prompt="", add_bos_token=True)
    photos = [Captioned(PHOTOS[number % len(PHOTOS)], (CAPTIONS[number % len(CAPTIONS)],)) for number in range(batch)]
    optimizer = torch.optim.AdamW(model.projector.parameters(), lr=1e-4)
    collate = CaptionCollator(processor)

    def step(examples: CaptionExamples) -> float:
        def whole() -> None:
            optimizer.zero_grad()
            model(**collate([examples[number] for number in range(batch)])).loss.backward()
            optimizer.step()

        return timed(whole)

    with tempfile.TemporaryDirectory() as folder:
        store = _store(seeing, grid_size, photos, Path(folder))
        ways = {
            "stored": CaptionExamples.every_caption(store.photos(), store.features()),
            "loop": CaptionExamples.every_caption(photos),
        }
        for examples in ways.values():
            step(examples)  # warm
        seconds = _in_turn({way: partial(step, examples) for way, examples in ways.items()}, rounds)
    tokens = {"image_tokens": model.config.num_image_tokens}
    return {way: batch / found for way, found in seconds.items()} | tokens


def _in_turn(ways: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """The median of what each gives; in turn, so that what else the machine does falls on all of them alike."""
    found = [{way: run() for way, run in ways.items()} for _ in range(rounds)]
    return {way: statistics.median(one[way] for one in found) for way in ways}


def measure(size: Size) -> dict[str, dict[str, Any]]:
    """Extraction, and training with every encoder and grid, each in a process of its own."""
    words = {"extraction": ["--extraction", "--count", str(size.photos), "--rounds", str(size.rounds)]}
    for encoder, grid in GRIDS:
        name = f"training {encoder} {grid}"
        words[name] = ["--training", encoder, "--count", str(size.batch), "--rounds", str(size.steps)]
        words[name] += ["--grid", str(grid)] if grid else []
    found = {}
    for name, said in words.items():
        print(name, file=sys.stderr, flush=True)
        found[name] = run_alone("features", *said)
    return found


def compare(found: dict[str, dict[str, Any]]) -> list[Row]:
    """The rows of the table; "ours" is with stored features, "other" with the encoder in the loop."""
    rows = [_row("photos per second, extraction against a plain loop", found["extraction"], 0.9)]
    for encoder, grid in GRIDS:
        one = found[f"training {encoder} {grid}"]
        what = f"training samples per second against {SHOWN[encoder]} in the loop, {one['image_tokens']} image tokens"
        rows.append(_row(what, one, TARGETS.get((encoder, grid))))
    return rows


def conditions(found: dict[str, dict[str, Any]], size: Size) -> str:
    """What was measured, in a line."""
    return (
        f"{size.photos} photos of {len(PHOTOS)} files, at most 437 pixels a side, median of {size.rounds}; batches of "
        f"{size.batch} captions, median of {size.steps} steps; both sides in turn; threads: "
        f"{found['extraction']['threads']}. The language model is in bfloat16, encoders in float32, stored features in "
        "float16. In the loop, photos are decoded in the training process, as `data.workers: 0` has it."
    )


def _row(what: str, found: dict[str, Any], target: float | None) -> Row:
    ratio = found["stored"] / found["loop"]
    bound = "" if target is None else f"at least {target:g}x"
    return Row(what, f"{found['stored']:.2f}", f"{found['loop']:.2f}", ratio, bound, target is None or ratio >= target)


def _encoder(name: str) -> ImageEncoder:
    from linmap.encoders import load_encoder

    arguments = dict(ENCODERS[name])
    return load_encoder(arguments.pop("name"), **arguments)


def _shard(paths: list[Path]) -> PhotoShard:
    from linmap.data.feature_store_building import PhotoShard, PlacedPhoto

    return PhotoShard("00001", {}, lambda: ([PlacedPhoto(path.name, path, ("a",)) for path in paths], []))


def _store(encoder: ImageEncoder, grid_size: int | None, photos: list[Any], folder: Path) -> FeatureStore:
    """A store with features of that encoder's shape; reading them takes the time it takes, whatever their values."""
    import torch
    from PIL import Image

    from linmap.data.feature_store import FeatureStore
    from linmap.data.feature_store_building import PhotoShard, PlacedPhoto, extract_features
    from linmap.encoders import image_processor_for
    from linmap.prefix.encoding import feature_identity

    processor = image_processor_for(encoder.config)
    identity = feature_identity(encoder.config, processor, features="grid", grid_size=grid_size)
    placed = [PlacedPhoto(str(number), Image.new("RGB", (8, 8)), photo.captions) for number, photo in enumerate(photos)]
    shard = PhotoShard("00001", {}, lambda: (placed, []))

    def encode(pixels: torch.Tensor) -> torch.Tensor:
        return torch.randn(len(pixels), identity.cells, identity.width)

    extract_features([shard], encode, processor, folder, identity, source={})
    return FeatureStore(folder)


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints, writes; returns 1 when a full run misses a target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="rough numbers in little time; writes nothing")
    parser.add_argument("--extraction", action="store_true", help="one measurement, printed as JSON")
    parser.add_argument("--training", choices=tuple(ENCODERS), help="one measurement, printed as JSON")
    parser.add_argument("--grid", type=int, help="for --training: cells a side")
    parser.add_argument("--count", type=int, help="photos to extract, or captions in a batch")
    parser.add_argument("--rounds", type=int, help="how often it is measured")
    chosen = parser.parse_args(arguments)
    if chosen.extraction or chosen.training:
        quiet_libraries()
        no_bars_off_terminals()
        if chosen.extraction:
            print(json.dumps(extraction(chosen.count, chosen.rounds)))
        else:
            print(json.dumps(training(chosen.training, chosen.grid, chosen.count, chosen.rounds)))
        return 0
    size = QUICK if chosen.quick else FULL
    measured = measure(size)
    rows = compare(measured)
    notes = [conditions(measured, size), "", f"Machine: {machine('torch', 'transformers', 'timm', 'open_clip_torch')}."]
    print_table(rows)
    print("\n".join(notes))
    if chosen.quick:
        return 0
    write_page(PAGE, "features", rows, notes)
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
