"""One measurement in a process of its own, so that its peak memory is nobody else's: prints one JSON object.

python -m benchmarks.measurements captioning --batch-size 16 --count 64
python -m benchmarks.measurements training --head scored --count 10
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.captions import CAPTIONS
from benchmarks.process import forget_peak, peak, timed
from linmap.cli.messages import quiet_libraries

if TYPE_CHECKING:
    from torch import Tensor

    from linmap import LinearVisionPrefixModel, LinearVisionPrefixProcessor

PHOTOS = sorted((Path(__file__).parents[1] / "examples" / "photos").glob("*.jpg"))
TRAINING_BATCH = 32
"""As in the recipe of the bundled model."""


def measure_captioning(model: str | None, batch_size: int, count: int) -> dict[str, Any]:
    """Captions `count` photos as `linmap caption` does: photos per second, and the captions."""
    from linmap.cli.models import load_captioner
    from linmap.prefix.captioning import caption_photos

    captioner = load_captioner(model, "cpu")
    photos = [PHOTOS[number % len(PHOTOS)] for number in range(count)]
    list(caption_photos(*captioner, photos[:batch_size], batch_size=batch_size))  # warm: caches of the libraries below
    start = time.perf_counter()
    answers = list(caption_photos(*captioner, photos, batch_size=batch_size))
    seconds = time.perf_counter() - start
    return {
        "samples_per_second": count / seconds,
        "captions": [answer.caption for answer in answers[: len(PHOTOS)]],
        "dtype": str(captioner.model.language_model.dtype),
    }


def measure_training(model: str | None, head: str, count: int) -> dict[str, Any]:
    """Takes `count` optimiser steps on one batch: samples per second, peak memory in bytes, and the first loss.

    `head="scored"` is the model's own training step; `head="all"` asks for the logits of every position and scores
    them with the same loss function. The language model is in the number format the projection was trained in.
    """
    import torch

    from linmap.cli.models import load_captioner, model_folder, read_config

    trained_in = read_config(model_folder(model))["text_config"].get("dtype") or "float32"
    captioner = load_captioner(model, "cpu", trained_in)
    inputs = _training_batch(captioner.model, captioner.processor)
    captioner.model.train()
    optimizer = torch.optim.AdamW(captioner.model.projector.parameters(), lr=1e-4)
    loss_of = {"scored": _loss_on_scored, "all": _loss_on_all}[head]

    def step() -> float:
        optimizer.zero_grad()
        loss = loss_of(captioner.model, inputs)
        loss.backward()
        optimizer.step()
        return loss.item()

    at_rest = forget_peak()
    loss = step()
    most = peak()
    seconds = [timed(step) for _ in range(count)]
    return {
        "samples_per_second": TRAINING_BATCH / statistics.median(seconds),
        "samples": TRAINING_BATCH,
        "loss": loss,
        "peak_bytes": most,
        "step_bytes": most - at_rest,
        "dtype": str(captioner.model.language_model.dtype),
        "scored_positions": int((inputs["labels"] != -100).sum()),
        "positions": inputs["labels"].numel(),
    }


def _training_batch(model: LinearVisionPrefixModel, processor: LinearVisionPrefixProcessor) -> dict[str, Tensor]:
    import torch

    from linmap import CaptionCollator
    from linmap.data.images import open_photo

    pixels = processor.image_processor(images=[open_photo(photo) for photo in PHOTOS], return_tensors="pt").pixel_values
    with torch.inference_mode():
        features = model.encode_images(pixels)
    features = features.clone()
    numbers = range(TRAINING_BATCH)
    return CaptionCollator(processor)(
        [
            {"image_features": features[number % len(features)], "caption": CAPTIONS[number % len(CAPTIONS)]}
            for number in numbers
        ]
    )


def _loss_on_scored(model: LinearVisionPrefixModel, inputs: dict[str, Tensor]) -> Tensor:
    return model(**inputs).loss


def _loss_on_all(model: LinearVisionPrefixModel, inputs: dict[str, Tensor]) -> Tensor:
    unlabelled = {name: value for name, value in inputs.items() if name != "labels"}
    logits = model(**unlabelled, use_cache=False).logits
    return model.loss_function(logits, inputs["labels"], vocab_size=logits.shape[-1])


def main() -> None:
    """Parses the command line, measures, prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("captioning", "training"))
    parser.add_argument("--model", help="folder or Hub id; default: the bundled model")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--head", choices=("scored", "all"), default="scored")
    parser.add_argument("--count", type=int, required=True, help="photos to caption, or training steps")
    arguments = parser.parse_args()
    quiet_libraries()
    if arguments.what == "captioning":
        found = measure_captioning(arguments.model, arguments.batch_size, arguments.count)
    else:
        found = measure_training(arguments.model, arguments.head, arguments.count)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
