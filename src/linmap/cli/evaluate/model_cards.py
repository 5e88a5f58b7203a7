"""Scores written into the model cards of the folders they are of, each beside its controls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linmap.errors import ModelCardError

if TYPE_CHECKING:
    from linmap.cli.evaluate.captioners import NamedModel
    from linmap.cli.evaluate.retrieval_report import Measured

__all__ = [
    "caption_scores",
    "drawn_vqa_scores",
    "require_card",
    "retrieval_scores",
    "update_card",
    "update_card_of",
    "update_cards",
    "vqa_scores",
    "zero_shot_scores",
]

VQA = "visual-question-answering"


def require_card(word: str | None, shown: str) -> None:
    """Refuses a model whose card cannot be written: before the work.

    Args:
        word: As it was named on the command line; None for a bundled model.
        shown: What a report calls it.

    Raises:
        ModelCardError: It is no folder of the user's own.
    """
    if word is None or not Path(word).expanduser().is_dir():
        raise ModelCardError(
            f"--update-card writes into the folder of a model, and {shown} is none. Copy it and name the folder, or "
            "leave --update-card out."
        )


def update_card(folder: Path, scores: Sequence[Mapping[str, Any]]) -> Path:
    """Writes scores into the card of a model, or into a new one where there is none; returns the card.

    Raises:
        ModelCardError: The card cannot be read or written.
    """
    from linmap.cards import update_model_card, write_model_card
    from linmap.cards.facts import facts_of
    from linmap.cli.models import config_in

    if not (folder / "README.md").exists():
        write_model_card(folder, **facts_of(config_in(folder)))
    return update_model_card(folder, scores)


def update_card_of(word: str | None, scores: Sequence[Mapping[str, Any]], *, quiet: bool) -> None:
    """`update_card` for a model that `require_card` let pass; says where, unless `quiet`."""
    import typer

    card = update_card(Path(str(word)).expanduser(), scores)
    if not quiet:
        typer.echo(f"written: {card}")


def update_cards(models: Sequence[NamedModel], report: Mapping[str, Any], data: Path) -> list[Path]:
    """Writes the scores of every captioner, with its own controls, into its card; returns the cards.

    Args:
        models: The captioners.
        report: What was measured.
        data: The captions file or the features.

    Raises:
        ModelCardError: A card cannot be read or written.
    """
    cards = []
    for model in models:
        rows = [row for row in report["rows"] if row["name"] == model.name]
        scores = [score for row in rows for score in caption_scores(row, report, data)]
        cards.append(update_card(model.folder, scores))
    return cards


def caption_scores(row: Mapping[str, Any], report: Mapping[str, Any], data: Path) -> Iterator[dict[str, Any]]:
    """One mapping a metric and domain, as cards take them."""
    how = {
        **_measured(report, data),
        "tokenizer": report["tokenizer"],
        "decoding": ", ".join(f"{name} {value}" for name, value in row["decoding"].items()),
        "control": row["control"],
    }
    parts = {None: {"photos": report["n"], "scores": row["scores"]}, **row.get("domains", {})}
    for domain, part in parts.items():
        for metric, value in part["scores"].items():
            yield {**how, "domain": domain, "photos": part["photos"], "metric": metric, "value": value}


def retrieval_scores(row: Measured, command: str) -> Iterator[dict[str, Any]]:
    """Recall both ways of one model in one language, beside chance and the control."""
    from linmap.cli.evaluate.retrieval_report import WAYS

    facts = row.facts
    how = {
        **_measured({**facts, "command": command}, facts["data"]),
        "domain": row.language,
        "photos": facts["images"],
        "texts": facts["texts"],
    }
    parts = f", mean of {facts['folds']} parts" if facts["folds"] > 1 else ""
    for way, words in WAYS.items():
        held = {None: facts[way], "chance": facts["chance"][way]}
        if facts["control"]:
            held[facts["control_kind"]] = facts["control"][way]
        for control, recalls in held.items():
            for name, value in recalls.items():
                yield {**how, "metric": f"{words} {name}{parts}, %", "value": value, "control": control}


def zero_shot_scores(report: Mapping[str, Any], command: str) -> Iterator[dict[str, Any]]:
    """Accuracy on each test set, beside chance and the most frequent class."""
    first = {**report, "name": report["images"]}
    for one in (first, *report["shift"][1:]):
        how = {**_measured({"command": command}, one["name"]), "photos": one["n"], "decoding": report["templates"]}
        for metric, name in (("accuracy", "zero-shot accuracy, %"), ("mean_per_class", "zero-shot mean per class, %")):
            yield {**how, "metric": name, "value": one[metric]}
            yield {**how, "metric": name, "value": one["chance"], "control": "chance"}
        yield {**how, "metric": "zero-shot accuracy, %", "value": one["majority"], "control": "majority"}


def vqa_scores(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Each metric for each number of examples, beside the blind model."""
    for entry in report["rows"]:
        how = {**_asked(report), "decoding": f"{entry['shots']} shots, greedy"}
        yield from _answered(entry, how)


def drawn_vqa_scores(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Each metric of a classifier over answers, beside all of its controls."""
    for entry in report["rows"]:
        yield from _answered(entry, _asked(report))


def _answered(entry: Mapping[str, Any], how: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    from linmap.cli.evaluate.vqa_run import SEEING

    control = None if entry["row"] == SEEING else entry["row"]
    for metric, score in entry["scores"].items():
        yield {**how, "metric": metric, "value": score["value"], "control": control}


def _asked(report: Mapping[str, Any]) -> dict[str, Any]:
    counted = {"photos": report["photos"], "questions": report["questions"]}
    return {**_measured(report, report["data"]), **counted, "task": VQA}


def _measured(report: Mapping[str, Any], data: str | Path) -> dict[str, Any]:
    from linmap.cards.scores import dataset_name

    return {"dataset": dataset_name(data), "split": report.get("split"), "command": report["command"]}
