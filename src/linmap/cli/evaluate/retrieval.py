"""`linmap evaluate retrieval`: recall at 1, 5 and 10, from text to image and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from linmap.cli.evaluate.options import (
    AsJson,
    BatchSize,
    ClippoNames,
    Control,
    ControlSeed,
    Device,
    Images,
    MaxUnreadable,
    ModelNames,
    PairData,
    Photos,
    Plot,
    Split,
    UpdateCard,
)

if TYPE_CHECKING:
    from torch import Tensor

    from linmap.cli.dual_encoders import Comparing
    from linmap.cli.evaluate.compared import ComparedModel
    from linmap.cli.evaluate.pairs import EmbeddedPairs
    from linmap.cli.evaluate.retrieval_report import Measured
    from linmap.data.images import Photo
    from linmap.evaluation import RetrievalScores

__all__ = ["retrieval"]

MEANING = {
    Control.BLIND: "every photo carries the embedding of another photo",
    Control.RANDOM_ENCODER: "the same heads behind an untrained image encoder of the same architecture",
}


def retrieval(
    context: typer.Context,
    data: PairData,
    images: Images,
    split: Split = None,
    model: ModelNames = None,
    clippo: ClippoNames = None,
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
    update_card: UpdateCard = False,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Measure retrieval: for each caption its photo, for each photo one of its captions.

    R@k is the share, in percent, that finds the right one among the first k of all, by cosine; ties count against the
    model. Chance is what a ranking drawn at random reaches. [bold]--control blind[/bold] exchanges the photos'
    embeddings among them, which must come out at chance; [bold]random-encoder[/bold] puts untrained weights into the
    image tower.

    Several models stand in one table, with their sizes. Lines of JSON
    ({"image": "a.jpg", "captions": {"th": \\["…"], "en": \\["…"]}}) hold captions in several languages: each is a row
    of its own, and of a CLIPPO model it says how many texts do not fit into their picture. Plots of several models or
    languages are two, the second with -image-to-text behind its name.

    [bold]Examples[/bold]

      linmap evaluate retrieval --data captions.json --images photos/ --split val

      linmap evaluate retrieval --data captions.json --images photos/ --model runs/mine --plot recall.png

      linmap evaluate retrieval --data dataset_coco.json --images coco/ --split test --captions-per-image 5 --folds 5

      linmap evaluate retrieval --data captions.json --images photos/ --model open_clip:ViT-B-32/openai --json

      linmap evaluate retrieval --data captions.json --images photos/ --clippo runs/clippo --clippo tokens=runs/1t-clip

      linmap evaluate retrieval --data xm3600/captions.jsonl --images xm3600/ --clippo runs/clippo
    """
    from linmap.cli.evaluate.compared import compared_models
    from linmap.cli.evaluate.model_cards import require_card, retrieval_scores, update_card_of

    models = compared_models(model, clippo, device)
    for one in models if update_card else ():
        require_card(one.word, one.shown)
    from linmap.cli.dual_encoders import load_comparing
    from linmap.cli.evaluate.output import plot_files, write
    from linmap.cli.evaluate.pairs import embed_pairs, read_pairs, readable
    from linmap.cli.evaluate.retrieval_report import means_of, plots_of, rows_table
    from linmap.cli.study.options import command_line
    from linmap.data.images import UnreadableImages
    from linmap.evaluation import retrieval_table
    from linmap.evaluation.retrieval import photos_of_a_part

    unreadable = UnreadableImages(max_unreadable)
    captioned = read_pairs(data, images, split, limit, unreadable)
    for records in captioned.values():
        photos_of_a_part(len(records), folds)  # before the hours, not after them
    if plot is not None:
        plot_files(plot, [""] if len(models) * len(captioned) == 1 else ["", "-image-to-text"])
    facts = {
        "folds": folds,
        "captions_per_image": captions_per_image,
        "data": str(data),
        "split": split,
        "control_kind": None if control is Control.NONE else str(control),
        "control_seed": None if control is Control.NONE else seed,
    }
    rows: list[Measured] = []
    for one in models:
        comparing = load_comparing(one.word, device)
        embedded = embed_pairs(
            comparing, captioned, unreadable, batch_size=batch_size, captions_each=captions_per_image
        )
        captioned = readable(captioned, embedded)
        held = _control(control, comparing, embedded, seed=seed, batch_size=batch_size)
        rows += _rows(one, comparing, embedded, held, {**facts, "left_out": len(unreadable.errors)})
    if len(rows) == 1:
        (row,) = rows
        report = row.facts
        lines: list[Any] = [_headline(row.facts), retrieval_table(row.scores)]
        if row.held is not None:
            lines += [_control_line(control, seed), retrieval_table(row.held)]
    else:
        means = means_of(rows)
        report = {"rows": [{"name": row.name, **row.facts} for row in rows], "means": means}
        lines = [_headline_of_several(rows), rows_table(rows, means)]
        lines += [_control_line(control, seed)] if control is not Control.NONE else []
    write(report, lines, plots_of(rows), plot=plot, as_json=as_json)
    for one in models if update_card else ():
        own = [score for row in rows if row.name == one.name for score in retrieval_scores(row, command_line(context))]
        update_card_of(one.word, own, quiet=as_json)


def _rows(
    one: ComparedModel,
    comparing: Comparing,
    embedded: dict[str | None, EmbeddedPairs],
    held: dict[str | None, Tensor],
    facts: dict[str, Any],
) -> list[Measured]:
    """What is measured of one model, a row a language."""
    from linmap.cli.evaluate.compared import parameters_of
    from linmap.cli.evaluate.retrieval_report import Measured, lost_facts, scores_facts

    rows = []
    for language, pairs in embedded.items():
        scores = _scores(pairs.images, pairs, facts["folds"], pairs.captions)
        controlled = _scores(held[language], pairs, facts["folds"]) if held else None
        counted = {
            "images": scores.images,
            "texts": scores.texts,
            "duplicates": scores.duplicates,
            "repeated": scores.repeated,
            "overflow": lost_facts(pairs.lost),
            "language": language,
            "model": one.shown,
            "parameters": parameters_of(comparing),
        }
        said = {**scores_facts(scores, controlled), **facts, **counted}
        rows.append(Measured(one.name, language, scores, controlled, said))
    return rows


def _scores(images: Tensor, pairs: EmbeddedPairs, folds: int, captions: list[str] | None = None) -> RetrievalScores:
    """Recall of `images` and the captions; with `captions`, duplicates among these are counted and warned of."""
    from linmap.evaluation import fivefold_recall, retrieval_recall

    if folds == 1:
        return retrieval_recall(images, pairs.texts, pairs.image_of_text, captions=captions)
    return fivefold_recall(images, pairs.texts, pairs.image_of_text, folds=folds, captions=captions)


def _control(
    control: Control, comparing: Comparing, embedded: dict[str | None, EmbeddedPairs], *, seed: int, batch_size: int
) -> dict[str | None, Tensor]:
    """The embeddings that stand in for those of the photos, by language; none without a control."""
    from linmap.cli.evaluate.pairs import embed_behind_random_encoder
    from linmap.evaluation import derangement

    if control is Control.NONE:
        return {}
    if control is Control.BLIND:
        return {language: pairs.images[derangement(len(pairs.images), seed)] for language, pairs in embedded.items()}
    every: list[Photo] = list(dict.fromkeys(photo for pairs in embedded.values() for photo in pairs.photos))
    rows = {photo: row for row, photo in enumerate(every)}
    images = embed_behind_random_encoder(comparing, every, seed=seed, batch_size=batch_size)
    return {language: images[[rows[photo] for photo in pairs.photos]] for language, pairs in embedded.items()}


def _control_line(control: Control, seed: int) -> str:
    return f"control: {control}: {MEANING[control]} (seed {seed})"


def _headline(report: dict[str, Any]) -> str:
    from linmap.cli.evaluate.retrieval_report import lost_words

    same = f"; {report['duplicates']} captions stand under several photos" if report["duplicates"] else ""
    same += f"; {report['repeated']} stand under the same photo before" if report["repeated"] else ""
    cut = report["overflow"]
    lost = f"; not read in full: {lost_words(cut)} texts" if cut and cut["texts"] else ""
    return (
        f"{report['model']}: {report['images']} photos and {report['texts']} captions of {report['data']}, "
        f"{_circumstances(report)}{same}{lost}"
    )


def _headline_of_several(rows: list[Measured]) -> str:
    facts = rows[-1].facts
    models = len({row.name for row in rows})
    languages = len({row.language for row in rows})
    spoken = f", {languages} languages" if facts["language"] is not None else ""
    return f"{models} {'model' if models == 1 else 'models'}{spoken}: {facts['data']}, {_circumstances(facts)}"


def _circumstances(report: dict[str, Any]) -> str:
    where = f"split {report['split']}" if report["split"] else "all splits"
    parts = f"; mean over {report['folds']} equal parts" if report["folds"] > 1 else ""
    left = f"; left out: {report['left_out']} photos that cannot be read" if report["left_out"] else ""
    return f"{where}{parts}{left}"
