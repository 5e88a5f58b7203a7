"""`linmap evaluate gap`: how far photos and texts lie apart in the shared space."""

from __future__ import annotations

from linmap.cli.evaluate.options import (
    AsJson,
    BatchSize,
    Data,
    Device,
    Images,
    MaxUnreadable,
    ModelName,
    Photos,
    Plot,
    Split,
)

__all__ = ["gap"]


def gap(
    data: Data,
    images: Images,
    split: Split = None,
    model: ModelName = None,
    limit: Photos = None,
    batch_size: BatchSize = 32,
    max_unreadable: MaxUnreadable = 0,
    device: Device = "auto",
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Measure the modality gap (Liang et al. 2022, arXiv 2203.02053).

    The distance, 0 to 2, is that between the mean embedding of the photos and that of the captions. Beside it: the mean
    cosine of pairs and of all others, and how well a plane midway between the means tells photos from texts (50 % is
    guessing). The plot shows both in the plane in which they vary most, pairs linked.

    [bold]Examples[/bold]

      linmap evaluate gap --data captions.json --images photos/ --split val --plot gap.png

      linmap evaluate gap --data captions.json --images photos/ --model open_clip:ViT-B-32/openai --limit 500 --json
    """
    from linmap.cli.dual_encoders import announce, load_dual_encoder

    shown = announce(model, device)
    from rich import box
    from rich.table import Table

    from linmap.cli.evaluate.output import write
    from linmap.cli.evaluate.pairs import embed_pairs, read_pairs
    from linmap.data.images import UnreadableImages
    from linmap.evaluation import modality_gap, plot_gap

    unreadable = UnreadableImages(max_unreadable)
    captioned = read_pairs(data, images, split, limit, unreadable)
    dual = load_dual_encoder(model, device)
    pairs = embed_pairs(dual, captioned, unreadable, batch_size=batch_size)
    found = modality_gap(pairs.images, pairs.texts, pairs.image_of_text)
    report = {
        "distance": round(found.distance, 4),
        "matched_cosine": round(found.matched_cosine, 4),
        "mismatched_cosine": round(found.mismatched_cosine, 4),
        "separability": round(found.separability, 2),
        "images": found.images,
        "texts": found.texts,
        "left_out": len(unreadable.errors),
        "data": str(data),
        "split": split,
        "model": shown,
    }
    table = Table("", box=box.SIMPLE_HEAD)
    table.add_column("measured", justify="right")
    table.add_column("for comparison")
    table.add_row("distance of the means", f"{found.distance:.3f}", "0: no gap; 0.82: CLIP on COCO (Liang et al.)")
    table.add_row("mean cosine of pairs", f"{found.matched_cosine:.3f}", "1: a photo and its caption in one place")
    table.add_row("mean cosine of all others", f"{found.mismatched_cosine:.3f}", "that of the pairs: nothing learned")
    table.add_row("told apart by a plane", f"{found.separability:.1f} %", "50 %: guessing")
    left = f"; left out: {len(unreadable.errors)} photos that cannot be read" if unreadable.errors else ""
    where = f"split {split}" if split else "all splits"
    title = f"{shown}: {found.images} photos and {found.texts} captions of {data}, {where}{left}"
    draw = {"": lambda path: plot_gap(pairs.images, pairs.texts, path, pairs.image_of_text)}
    write(report, [title, table], draw, plot=plot, as_json=as_json)
