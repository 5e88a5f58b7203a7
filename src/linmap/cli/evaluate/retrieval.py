"""`linmap evaluate retrieval`: recall at 1, 5 and 10, from text to image and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from linmap.cli.evaluate.options import (
    AsJson,
    BatchSize,
    Control,
    ControlSeed,
    Data,
    Device,
    Images,
    MaxUnreadable,
    ModelName,
    Photos,
    Plot,
    Split,
)

if TYPE_CHECKING:
    from torch import Tensor

    from linmap.cli.evaluate.pairs import EmbeddedPairs
    from linmap.dual.named import DualEncoder
    from linmap.evaluation import RetrievalScores

__all__ = ["retrieval"]

MEANING = {
    Control.BLIND: "every photo carries the embedding of another photo",
    Control.RANDOM_ENCODER: "the same heads behind an untrained image encoder of the same architecture",
}


def retrieval(
    data: Data,
    images: Images,
    split: Split = None,
    model: ModelName = None,
    control: Annotated[
        Control, typer.Option(help="What is measured beside the model; chance always stands there.")
    ] = Control.NONE,
    seed: ControlSeed = 0,
    captions_per_image: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the first N captions of each.", show_default="all")
    ] = None,
    folds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Mean over N equal parts; 5 on COCO's 5,000 is the 1K protocol.")
    ] = 1,
    limit: Photos = None,
    batch_size: BatchSize = 32,
    max_unreadable: MaxUnreadable = 0,
    device: Device = "auto",
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Measure retrieval: for each caption its photo, for each photo one of its captions.

    R@k is the share, in percent, that finds the right one among the first k of all, by cosine; ties count against the
    model. Chance is what a ranking drawn at random reaches. [bold]--control blind[/bold] exchanges the photos'
    embeddings among them, which must come out at chance; [bold]random-encoder[/bold] puts untrained weights into the
    image tower.

    [bold]Examples[/bold]

      linmap evaluate retrieval --data captions.json --images photos/ --split val

      linmap evaluate retrieval --data captions.json --images photos/ --model runs/mine --plot recall.png

      linmap evaluate retrieval --data dataset_coco.json --images coco/ --split test --captions-per-image 5 --folds 5

      linmap evaluate retrieval --data captions.json --images photos/ --model open_clip:ViT-B-32/openai --json
    """
    from linmap.cli.dual_encoders import announce, load_dual_encoder

    shown = announce(model, device)
    from linmap.cli.evaluate.output import rounded, write
    from linmap.cli.evaluate.pairs import embed_pairs, read_pairs
    from linmap.data.images import UnreadableImages
    from linmap.evaluation import plot_recall, retrieval_table
    from linmap.evaluation.retrieval import photos_of_a_part

    unreadable = UnreadableImages(max_unreadable)
    captioned = read_pairs(data, images, split, limit, unreadable)
    photos_of_a_part(len(captioned), folds)  # before the hours, not after them
    dual = load_dual_encoder(model, device)
    pairs = embed_pairs(dual, captioned, unreadable, batch_size=batch_size, captions_each=captions_per_image)
    scores = _scores(pairs.images, pairs, folds, pairs.captions)
    held = None
    if control is not Control.NONE:
        held = _scores(_control(control, dual, pairs, seed=seed, batch_size=batch_size), pairs, folds)
    report: dict[str, Any] = {
        "text_to_image": rounded(scores.text_to_image),
        "image_to_text": rounded(scores.image_to_text),
        "chance": {
            "text_to_image": rounded(scores.chance_text_to_image),
            "image_to_text": rounded(scores.chance_image_to_text),
        },
        "median_rank": {
            "text_to_image": scores.median_rank_text_to_image,
            "image_to_text": scores.median_rank_image_to_text,
        },
        "control": held
        and {"text_to_image": rounded(held.text_to_image), "image_to_text": rounded(held.image_to_text)},
        "control_kind": None if held is None else str(control),
        "control_seed": None if held is None else seed,
        "images": scores.images,
        "texts": scores.texts,
        "duplicates": scores.duplicates,
        "repeated": scores.repeated,
        "folds": folds,
        "captions_per_image": captions_per_image,
        "left_out": len(unreadable.errors),
        "data": str(data),
        "split": split,
        "model": shown,
    }
    lines: list[Any] = [_headline(report), retrieval_table(scores)]
    if held is not None:
        lines += [f"control: {control}: {MEANING[control]} (seed {seed})", retrieval_table(held)]
    write(report, lines, {"": lambda path: plot_recall(scores, path)}, plot=plot, as_json=as_json)


def _scores(images: Tensor, pairs: EmbeddedPairs, folds: int, captions: list[str] | None = None) -> RetrievalScores:
    """Recall of `images` and the captions; with `captions`, duplicates among these are counted and warned of."""
    from linmap.evaluation import fivefold_recall, retrieval_recall

    if folds == 1:
        return retrieval_recall(images, pairs.texts, pairs.image_of_text, captions=captions)
    return fivefold_recall(images, pairs.texts, pairs.image_of_text, folds=folds, captions=captions)


def _control(control: Control, dual: DualEncoder, pairs: EmbeddedPairs, *, seed: int, batch_size: int) -> Tensor:
    """The embeddings that stand in for those of the photos."""
    from linmap.cli.evaluate.pairs import embed_behind_random_encoder
    from linmap.evaluation import derangement

    if control is Control.BLIND:
        return pairs.images[derangement(len(pairs.images), seed)]
    return embed_behind_random_encoder(dual, pairs.photos, seed=seed, batch_size=batch_size)


def _headline(report: dict[str, Any]) -> str:
    where = f"split {report['split']}" if report["split"] else "all splits"
    parts = f"; mean over {report['folds']} equal parts" if report["folds"] > 1 else ""
    left = f"; left out: {report['left_out']} photos that cannot be read" if report["left_out"] else ""
    same = f"; {report['duplicates']} captions stand under several photos" if report["duplicates"] else ""
    same += f"; {report['repeated']} stand under the same photo before" if report["repeated"] else ""
    return (
        f"{report['model']}: {report['images']} photos and {report['texts']} captions of {report['data']}, "
        f"{where}{parts}{left}{same}"
    )
