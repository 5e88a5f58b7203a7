"""One measurement of a support memory in a process of its own: prints JSON. `benchmarks/memory.py` runs them all.

A memory is made life-like: real captions in the space of the bundled dual encoder, and copies of them that are moved a
little in the direction between two other captions; it is asked with real photos.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.process import forget_peak, peak, timed

PAGE = 4096  # bytes: nothing less is seen
THREADS = 2
TEMPERATURE = 0.01
MOVED = 0.25
"""How far a copy is moved: cosine 0.95 with its original. The nearest captions of two photos have 0.85, two captions
of one photo 0.68."""

TOP_K = 64
PHOTOS = "photos.safetensors"
BASE = "captions.safetensors"


def prepare(folder: Path, shared: Path, captions: int, photos: int) -> dict[str, Any]:
    """Embeds real captions and photos once."""
    from linmap.data.left_out import LeftOut
    from linmap.data.sentences import read_sentences
    from linmap.dual.embedding import embed_photos, embed_texts
    from linmap.dual.named import load_dual_encoder

    sources = [shared / "data/flickr30k_captions/captions_no_flickr8k.txt"]
    sources += [shared / "data/coco_captions/captions_val2017.json"]
    texts = list(dict.fromkeys(one.text for one in read_sentences(sources, LeftOut())))
    step = max(1, len(texts) // captions)
    pictures = sorted((shared / "data/flickr8k/images").glob("*.jpg"))[:photos]
    model, processor = load_dual_encoder()
    save_file({"latents": embed_texts(model, processor, texts[::step][:captions])}, folder / BASE)
    save_file({"latents": embed_photos(model, processor, pictures).features}, folder / PHOTOS)
    return {"captions": len(texts[::step][:captions]), "photos": len(pictures)}


def life_like(base: Tensor, rows: int) -> Tensor:
    """(rows, dim): captions, each moved a little between two others."""
    draw = torch.Generator().manual_seed(0)
    chosen = torch.randint(0, len(base), (3, rows), generator=draw)
    latents = torch.empty(rows, base.shape[1])
    for start in range(0, rows, 1 << 16):
        here, one, other = chosen[:, start : start + (1 << 16)]
        latents[start : start + (1 << 16)] = base[here] + MOVED * (base[one] - base[other])
    return latents


def write(folder: Path, rows: int) -> dict[str, Any]:
    """Writes the memory in all number formats: bytes of the latents of each."""
    from linmap import SupportMemory

    latents = life_like(load_file(folder / BASE)["latents"], rows)
    memory = SupportMemory.from_latents(latents, ["a caption"] * rows)
    del latents
    sizes = {}
    for dtype in ("float32", "float16", "int8"):
        memory.save_pretrained(folder / dtype, dtype=dtype)
        sizes[dtype] = sum(file.stat().st_size for file in (folder / dtype).glob("latents-*"))
    return {"bytes": sizes}


def plain(folder: Path, rows: int) -> dict[str, Any]:
    """The formula as it stands, in float32 on the whole memory."""
    photos, latents = _photos(folder), _memory(folder, "float32", rows).latents()

    def formula() -> Tensor:
        return torch.softmax(photos / TEMPERATURE @ latents.T, dim=-1) @ latents

    return _measured(folder, "plain", formula)


def exact(folder: Path, dtype: str, rows: int) -> dict[str, Any]:
    """One pass over the memory in a number format."""
    photos, memory = _photos(folder), _memory(folder, dtype, rows)
    return _measured(folder, dtype, lambda: memory.project(photos, TEMPERATURE))


def top_k(folder: Path, rows: int) -> dict[str, Any]:
    """The nearest through the index alone; the exact pass is measured beside it."""
    photos, memory = _photos(folder), _memory(folder, "float16", rows)
    memory.project(photos, TEMPERATURE)  # warm
    exact = min(timed(lambda: memory.project(photos, TEMPERATURE)) for _ in range(3))
    build = timed(lambda: memory.build_index("ivf"))
    found = _measured(folder, "top_k", lambda: memory.project(photos, TEMPERATURE, top_k=TOP_K))
    return {**found, "build_seconds": build, "exact_seconds": exact}


def limits() -> dict[str, Any]:
    """What the machine can do: multiplications and additions a second in one large product, bytes read a second."""
    left, right = torch.randn(4096, 512), torch.randn(512, 4096)
    torch.mm(left, right)
    product = min(timed(lambda: torch.mm(left, right)) for _ in range(5))
    many = torch.ones(1 << 28)
    many.sum()
    read = min(timed(many.sum) for _ in range(3))
    return {"flops": 2 * 4096 * 512 * 4096 / product, "bandwidth": many.numel() * 4 / read}


def _photos(folder: Path) -> Tensor:
    return torch.nn.functional.normalize(load_file(folder / PHOTOS)["latents"])


def _memory(folder: Path, dtype: str, rows: int) -> Any:
    """The first `rows` of the memory, held in this process; where it has fewer, they come again and again."""
    from linmap import SupportMemory
    from linmap.data.stored_texts import encoded
    from linmap.decap.rows import StoredRows
    from linmap.errors import SupportMemoryError

    stored = SupportMemory.from_pretrained(folder / dtype)
    shards, left = [], rows
    copies = [StoredRows(one.values.clone(), None if one.scale is None else one.scale.clone()) for one in stored._rows]
    while left > 0:
        for part in copies:
            if left > 0:
                shards.append(
                    (part[:left], encoded(["a caption"] * min(left, len(part)), "caption", SupportMemoryError))
                )
                left -= len(part)
    return SupportMemory(shards)


def _measured(folder: Path, name: str, ask: Any) -> dict[str, Any]:
    ask()  # warm: thread pools, pages
    at_rest = forget_peak()
    answers: list[Tensor] = []
    seconds = timed(lambda: answers.append(ask()))
    held = max(peak() - at_rest, PAGE)
    seconds = min([seconds, *(timed(ask) for _ in range(2))])
    save_file({"projected": torch.nn.functional.normalize(answers[0])}, folder / f"{name}.safetensors")
    return {"seconds": seconds, "held_bytes": held, "threads": torch.get_num_threads()}


def main() -> None:
    """Parses the command line, measures, prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("prepare", "write", "plain", "exact", "top-k", "limits"))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--shared", type=Path)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--photos", type=int)
    parser.add_argument("--dtype")
    chosen = parser.parse_args()
    torch.set_num_threads(THREADS)
    found = {
        "prepare": lambda: prepare(chosen.folder, chosen.shared, chosen.rows, chosen.photos),
        "write": lambda: write(chosen.folder, chosen.rows),
        "plain": lambda: plain(chosen.folder, chosen.rows),
        "exact": lambda: exact(chosen.folder, chosen.dtype, chosen.rows),
        "top-k": lambda: top_k(chosen.folder, chosen.rows),
        "limits": limits,
    }[chosen.what]()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
