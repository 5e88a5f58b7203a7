"""A support memory of a million captions: exact projection against the plain formula, files, top-k, cost against size.

    python -m benchmarks.memory            half an hour; writes docs/performance.md and docs/assets/memory.png
    python -m benchmarks.memory --quick    a memory of 20,000; writes nothing

Needs ../shared/data (LINMAP_SHARED=FOLDER names another place): captions of Flickr30k and COCO and photos of Flickr8k
in the space of the bundled dual encoder. Every measurement runs in a process of its own with two threads; time is the
least of three, memory is counted above the loaded memory at rest, with what is freed given back at once.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from benchmarks.comparison import (
    GIVING_BACK,
    PAGE,
    REPOSITORY,
    Row,
    machine,
    megabytes,
    print_table,
    run_alone,
    write_page,
)
from benchmarks.support_memory import THREADS, TOP_K

PLOT = REPOSITORY / "docs" / "assets" / "memory.png"
DIM = 512


@dataclass(frozen=True)
class Size:
    """How much is measured: rows of the memory, photos, real captions behind the rows, and the sizes of the curve."""

    rows: int
    photos: int
    captions: int
    curve: tuple[int, ...]


FULL = Size(rows=1_000_000, photos=256, captions=30_000, curve=(10_000, 100_000, 1_000_000, 10_000_000))
QUICK = Size(rows=20_000, photos=64, captions=2_000, curve=(5_000, 20_000, 40_000))


def shared_folder() -> Path:
    """Where captions and photos lie; says what is needed where they do not."""
    shared = Path(os.environ.get("LINMAP_SHARED", REPOSITORY.parent / "shared"))
    if not (shared / "data" / "flickr30k_captions").is_dir():
        raise SystemExit(
            f"{shared} holds no data/flickr30k_captions, data/coco_captions and data/flickr8k, whose captions and "
            "photos the memory is made of. Put them there, or name the folder: LINMAP_SHARED=FOLDER."
        )
    return shared


def measure(size: Size, folder: Path) -> dict[str, Any]:
    """All measurements, one after another."""

    def ask(what: str, *words: object) -> dict[str, Any]:
        print(what, *words, file=sys.stderr, flush=True)
        settings = {"OMP_NUM_THREADS": str(THREADS), "MKL_NUM_THREADS": str(THREADS)}
        if what in ("plain", "exact"):  # where memory counts; it makes towers and k-means slow
            settings |= GIVING_BACK
        return run_alone("support_memory", what, *map(str, words), "--folder", str(folder), environment=settings)

    ask("prepare", "--shared", shared_folder(), "--rows", size.captions, "--photos", size.photos)
    found: dict[str, Any] = {"bytes": ask("write", "--rows", size.rows)["bytes"], "limits": ask("limits")}
    found["plain"] = ask("plain", "--rows", size.rows)
    for dtype in ("float32", "float16", "int8"):
        found[dtype] = ask("exact", "--dtype", dtype, "--rows", size.rows)
    found["top_k"] = ask("top-k", "--rows", size.rows)
    projected = {
        name: load_file(folder / f"{name}.safetensors")["projected"]
        for name in ("plain", "float32", "float16", "int8", "top_k")
    }
    for name, latents in projected.items():
        cosines = (latents * projected["plain"]).sum(dim=1)
        found[name] |= {"cosine": float(cosines.mean()), "worst": float(cosines.quantile(0.05))}
    found["curve"] = []
    for rows in size.curve:
        if rows == size.rows:
            point: dict[str, Any] = {name: found[name]["seconds"] for name in ("plain", "top_k")}
            point |= {"rows": rows, "exact": found["float16"]["seconds"]}
        else:
            point = {"rows": rows, "exact": ask("exact", "--dtype", "float16", "--rows", rows)["seconds"]}
            if rows < size.rows:  # of more, the plain formula and the index do not fit
                point["plain"] = ask("plain", "--rows", rows)["seconds"]
                point["top_k"] = ask("top-k", "--rows", rows)["seconds"]
        found["curve"].append(point)
    return found


def compare(found: dict[str, Any]) -> list[Row]:
    """The rows of the table; "other" is the plain formula, or for top-k the exact pass."""
    plain, sizes = found["plain"], found["bytes"]
    rows = []
    for dtype in ("float32", "float16", "int8"):
        ours = found[dtype]
        time, memory = ours["seconds"] / plain["seconds"], ours["held_bytes"] / plain["held_bytes"]
        target = "at most 1x" if dtype == "float32" else ""
        values = f"{ours['seconds']:.2f}", f"{plain['seconds']:.2f}"
        rows.append(Row(f"seconds, exact projection, {dtype}", *values, time, target, not target or time <= 1))
        values = megabytes(ours["held_bytes"]), megabytes(plain["held_bytes"])
        rows.append(Row(f"extra memory of that, {dtype}", *values, memory, "at most 0.25x", memory <= 0.25))
    for dtype, share in (("float16", 0.5), ("int8", 0.26)):
        size = sizes[dtype] / sizes["float32"]
        values = megabytes(sizes[dtype]), megabytes(sizes["float32"])
        # a header of less than 200 bytes a shard is not what the bound is about
        rows.append(Row(f"files of latents, {dtype}", *values, size, f"at most {share}x", round(size, 4) <= share))
        cosine, least = found[dtype]["cosine"], found[dtype]["worst"]
        values = f"{cosine:.5f}", "1"
        met = least >= 0.999
        rows.append(Row(f"cosine to the exact projection, {dtype}", *values, cosine, "at least 0.999", met))
    top = found["top_k"]
    faster = top["exact_seconds"] / top["seconds"]
    values = f"{top['seconds']:.3f}", f"{top['exact_seconds']:.2f}"
    rows.append(Row(f"seconds, top {TOP_K} (ivf) against exact", *values, 1 / faster, "at most 0.2x", faster >= 5))
    values = f"{top['cosine']:.4f}", "1"
    rows.append(Row("mean cosine of that to exact", *values, top["cosine"], "at least 0.99", top["cosine"] >= 0.99))
    return rows


def conditions(found: dict[str, Any], size: Size) -> list[str]:
    """What was measured, what the machine allows, and the curve, for the page."""
    flops = 4 * size.photos * size.rows * DIM
    limit, bandwidth = flops / found["limits"]["flops"], found["limits"]["bandwidth"]
    read = found["bytes"]["float32"] / bandwidth
    top = found["top_k"]
    lines = [
        f"{size.photos} photos, {size.rows:,} captions x {DIM}; threads: {found['plain']['threads']}. The index took "
        f"{top['build_seconds']:.0f} s to build; 95 % of the photos have a cosine of at least {top['worst']:.3f}.",
        "",
        f"The limit: the two matrix products are {flops / 1e9:,.0f} GFLOP, {limit:.2f} s at the "
        f"{found['limits']['flops'] / 1e9:,.0f} GFLOP/s of one large product; reading the float32 latents once is "
        f"{read:.2f} s at {bandwidth / 1e9:.0f} GB/s. Exact float32 takes {found['float32']['seconds'] / limit:.2f} "
        "times the products alone.",
        "",
        f"| captions | plain, s | exact (float16), s | top {TOP_K}, s |",
        "|---:|---:|---:|---:|",
    ]
    for point in found["curve"]:
        times = [f"{point[name]:.3f}" if name in point else "does not fit" for name in ("plain", "exact", "top_k")]
        lines.append(f"| {point['rows']:,} | {' | '.join(times)} |")
    return [*lines, "", f"Machine: {machine('torch', 'faiss-cpu')}."]


def plot(found: dict[str, Any], path: Path) -> None:
    """Seconds against the size of the memory, both logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    for name, label in (("plain", "plain formula"), ("exact", "exact, one pass"), ("top_k", f"top {TOP_K}, ivf")):
        points = [point for point in found["curve"] if name in point]
        axes.plot([point["rows"] for point in points], [point[name] for point in points], marker="o", label=label)
    axes.set(xscale="log", yscale="log", xlabel="captions in the memory", ylabel="seconds")
    axes.grid(True, alpha=0.3)
    axes.legend()
    figure.savefig(path)


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints, writes; returns 1 when a full run misses a target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="rough numbers in little time; writes nothing")
    chosen = parser.parse_args(arguments)
    size = QUICK if chosen.quick else FULL
    with tempfile.TemporaryDirectory() as folder:
        found = measure(size, Path(folder))
    rows = compare(found)
    notes = conditions(found, size)
    print_table(rows)
    print("\n".join(notes))
    if chosen.quick:
        return 0
    plot(found, PLOT)
    write_page(PAGE, "memory", rows, notes)
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
