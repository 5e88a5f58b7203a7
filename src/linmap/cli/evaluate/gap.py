"""`linmap evaluate gap`: how far photos and texts lie apart in the shared space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from linmap.cli.evaluate.options import (
    AsJson,
    BatchSize,
    ClippoNames,
    Device,
    Images,
    MaxUnreadable,
    ModelNames,
    PairData,
    Photos,
    Plot,
    Split,
)

if TYPE_CHECKING:
    from rich.table import Table

    from linmap.evaluation import GapPairs, ModalityGap

__all__ = ["gap"]


def gap(
    data: PairData,
    images: Images,
    split: Split = None,
    model: ModelNames = None,
    clippo: ClippoNames = None,
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
    guessing). The plot shows both in the plane in which they vary most, pairs linked; several models stand side by
    side, to one scale.

    [bold]Examples[/bold]

      linmap evaluate gap --data captions.json --images photos/ --split val --plot gap.png

      linmap evaluate gap --data captions.json --images photos/ --model open_clip:ViT-B-32/openai --limit 500 --json

      linmap evaluate gap --data captions.json --images photos/ --clippo runs/clippo --clippo pairs=runs/text-pairs
      --clippo tokens=runs/1t-clip --plot gaps.png
    """
    from linmap.cli.evaluate.compared import compared_models

    models = compared_models(model, clippo, device)
    from linmap.cli.dual_encoders import load_comparing
    from linmap.cli.evaluate.compared import parameters_of
    from linmap.cli.evaluate.output import write
    from linmap.cli.evaluate.pairs import embed_pairs, read_pairs, readable
    from linmap.data.images import UnreadableImages
    from linmap.evaluation import GapPairs, modality_gap, plot_gap, plot_gaps

    unreadable = UnreadableImages(max_unreadable)
    captioned = read_pairs(data, images, split, limit, unreadable)
    rows: list[dict[str, Any]] = []
    drawn: dict[str, GapPairs] = {}
    found: ModalityGap
    for one in models:
        comparing = load_comparing(one.word, device)
        embedded = embed_pairs(comparing, captioned, unreadable, batch_size=batch_size)
        captioned = readable(captioned, embedded)
        for language, pairs in embedded.items():
            found = modality_gap(pairs.images, pairs.texts, pairs.image_of_text)
            drawn[one.name if language is None else f"{one.name}, {language}"] = GapPairs(
                pairs.images, pairs.texts, pairs.image_of_text
            )
            rows.append(
                {
                    "name": one.name,
                    "distance": round(found.distance, 4),
                    "matched_cosine": round(found.matched_cosine, 4),
                    "mismatched_cosine": round(found.mismatched_cosine, 4),
                    "separability": round(found.separability, 2),
                    "images": found.images,
                    "texts": found.texts,
                    "left_out": len(unreadable.errors),
                    "data": str(data),
                    "split": split,
                    "language": language,
                    "model": one.shown,
                    "parameters": parameters_of(comparing),
                }
            )
    left = f"; left out: {len(unreadable.errors)} photos that cannot be read" if unreadable.errors else ""
    where = f"{data}, {f'split {split}' if split else 'all splits'}{left}"
    if len(rows) == 1:
        (only,) = rows
        report = {key: value for key, value in only.items() if key != "name"}
        title = f"{only['model']}: {only['images']} photos and {only['texts']} captions of {where}"
        table = _table_of_one(found)
    else:
        report = {"rows": rows}
        title = f"{len(models)} {'model' if len(models) == 1 else 'models'}: {where}"
        table = _table_of_several(rows)
    draws = {"": lambda path: plot_gaps(drawn, path)}
    if len(drawn) == 1:
        (pair,) = drawn.values()
        draws = {"": lambda path: plot_gap(pair.images, pair.texts, path, pair.image_of_text)}
    write(report, [title, table], draws, plot=plot, as_json=as_json)


def _table_of_one(found: ModalityGap) -> Table:
    from rich import box
    from rich.table import Table

    table = Table("", box=box.SIMPLE_HEAD)
    table.add_column("measured", justify="right")
    table.add_column("for comparison")
    table.add_row("distance of the means", f"{found.distance:.3f}", "0: no gap; 0.82: CLIP on COCO (Liang et al.)")
    table.add_row("mean cosine of pairs", f"{found.matched_cosine:.3f}", "1: a photo and its caption in one place")
    table.add_row("mean cosine of all others", f"{found.mismatched_cosine:.3f}", "that of the pairs: nothing learned")
    table.add_row("told apart by a plane", f"{found.separability:.1f} %", "50 %: guessing")
    return table


def _table_of_several(rows: list[dict[str, Any]]) -> Table:
    from rich import box
    from rich.table import Table

    spoken = any(row["language"] is not None for row in rows)
    table = Table("model", box=box.SIMPLE_HEAD)
    if spoken:
        table.add_column("language")
    for heading in ("parameters", "photos", "captions", "distance", "cosine of pairs", "of others", "told apart"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row["name"],
            *([row["language"] or ""] if spoken else []),
            *(f"{row[size]:,}" for size in ("parameters", "images", "texts")),
            *(f"{row[number]:.3f}" for number in ("distance", "matched_cosine", "mismatched_cosine")),
            f"{row['separability']:.1f} %",
        )
    return table
