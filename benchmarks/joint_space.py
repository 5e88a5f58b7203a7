"""One measurement of a joint space in a process of its own, so that its peak memory is nobody else's: prints JSON.

python -m benchmarks.joint_space retrieval --side linmap --count 1000
python -m benchmarks.joint_space zero-shot --side open_clip --count 50 --keep classifier.safetensors
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.process import forget_peak, peak, timed

CAPTIONS_EACH = 5
WIDTH = 512
"""Of the embeddings, as CLIP ViT-B/32's."""

KS = (1, 5, 10)
PAGE = 4096  # bytes: nothing less is seen, and a small measurement may need no more
THEIR_BATCH = 64
"""clip-benchmark's default."""

SMALL = Path(__file__).with_name("small-clip.json")
"""open_clip's architecture with a text tower of one layer, 64 wide; vocabulary and context are CLIP's."""


def measure_retrieval(side: str, images: int) -> dict[str, Any]:
    """R@1, 5 and 10 both ways over `images` photos with 5 captions each: seconds, memory in bytes, the recalls."""
    photos, captions, owners = _embeddings(images)
    find = {"linmap": _our_recall, "clip-benchmark": _their_recall}[side]
    find(*_embeddings(20))  # warm: imports, thread pools
    recalls: dict[str, float] = {}
    at_rest = forget_peak()
    seconds = timed(lambda: recalls.update(find(photos, captions, owners)))
    return {"seconds": seconds, "held_bytes": max(peak() - at_rest, PAGE), "recalls": recalls}


def _embeddings(images: int) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised photos and captions that find each other about as often as CLIP's do on COCO."""
    draw = torch.Generator().manual_seed(0)
    photos = torch.randn(images, WIDTH, generator=draw)
    owners = torch.arange(images).repeat_interleave(CAPTIONS_EACH)
    captions = photos[owners] + 6 * torch.randn(len(owners), WIDTH, generator=draw)
    return torch.nn.functional.normalize(photos), torch.nn.functional.normalize(captions), owners


def _our_recall(photos: Tensor, captions: Tensor, owners: Tensor) -> dict[str, float]:
    from linmap.evaluation import retrieval_recall

    scores = retrieval_recall(photos, captions, owners, ks=KS)
    found = {f"text to image {name}": value for name, value in scores.text_to_image.items()}
    return found | {f"image to text {name}": value for name, value in scores.image_to_text.items()}


def _their_recall(photos: Tensor, captions: Tensor, owners: Tensor) -> dict[str, float]:
    """clip-benchmark's own `evaluate`, on a model that hands embeddings through."""
    try:
        from clip_benchmark.metrics.zeroshot_retrieval import evaluate
    except ImportError as error:
        raise SystemExit("The other side is clip-benchmark. Run: python -m pip install clip-benchmark") from error

    class HandsThrough:
        encode_image = encode_text = staticmethod(lambda embeddings: embeddings)

    by_photo = captions.unflatten(0, (len(photos), CAPTIONS_EACH))
    batches = list(zip(photos.split(THEIR_BATCH), by_photo.split(THEIR_BATCH), strict=True))
    found = evaluate(HandsThrough(), batches, torch.stack, "cpu", amp=False, recall_k_list=list(KS))
    ways = {"image": "text to image", "text": "image to text"}
    return {f"{ways[way]} R@{k}": 100 * found[f"{way}_retrieval_recall@{k}"] for way in ("image", "text") for k in KS}


def measure_zero_shot(side: str, classes: int, keep: Path | None) -> dict[str, Any]:
    """A classifier of `classes` ImageNet classes in 80 prompts each: seconds and memory in bytes; kept in `keep`."""
    import open_clip

    logging.getLogger().setLevel(logging.ERROR)  # open_clip says that the weights are random, which they shall be
    open_clip.add_model_config(SMALL)
    torch.manual_seed(0)
    model = open_clip.create_model(SMALL.stem).eval()
    build = {"linmap": _our_builder, "open_clip": _their_builder}[side](model)
    names = list(open_clip.IMAGENET_CLASSNAMES[:classes])
    build(names[:2])  # warm: imports, thread pools, the tokenizer's cache
    classifiers: list[Tensor] = []
    at_rest = forget_peak()
    seconds = timed(lambda: classifiers.append(build(names)))
    held = max(peak() - at_rest, PAGE)
    if keep is not None:
        from safetensors.torch import save_file

        save_file({"classifier": classifiers[0].contiguous()}, keep)
    return {"seconds": seconds, "held_bytes": held}


def _our_builder(model: torch.nn.Module) -> Callable[[list[str]], Tensor]:
    from huggingface_hub.utils import disable_progress_bars

    from linmap import DualEncoderModel, DualEncoderProcessor
    from linmap.dual.embedding import embed_texts
    from linmap.evaluation import load_templates, zero_shot_classifier
    from linmap.text_encoders.open_clip_tokens import clip_tokenizer

    disable_progress_bars()
    ours = DualEncoderModel.from_open_clip(SMALL.stem, model=model).eval()
    tokenizer = clip_tokenizer()
    tokenizer.model_max_length = ours.config.text_config.context_length
    processor = DualEncoderProcessor.for_model(ours, tokenizer)
    templates = load_templates("imagenet-80")
    return lambda names: zero_shot_classifier(lambda texts: embed_texts(ours, processor, texts), names, templates)


def _their_builder(model: torch.nn.Module) -> Callable[[list[str]], Tensor]:
    import open_clip

    tokenizer, templates = open_clip.get_tokenizer(SMALL.stem), open_clip.OPENAI_IMAGENET_TEMPLATES
    return lambda names: open_clip.build_zero_shot_classifier(model, tokenizer, names, templates).T


def main() -> None:
    """Parses the command line, measures, prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("retrieval", "zero-shot"))
    parser.add_argument("--side", required=True, help="linmap, clip-benchmark (retrieval) or open_clip (zero-shot)")
    parser.add_argument("--count", type=int, required=True, help="photos, or classes")
    parser.add_argument("--keep", type=Path, help="file for the classifier")
    arguments = parser.parse_args()
    if arguments.what == "retrieval":
        found = measure_retrieval(arguments.side, arguments.count)
    else:
        found = measure_zero_shot(arguments.side, arguments.count, arguments.keep)
    print(json.dumps(found | {"threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()
