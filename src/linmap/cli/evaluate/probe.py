"""`linmap evaluate probe`: a linear classifier trained on frozen image features."""

from __future__ import annotations

import logging
import random
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from linmap.cli.evaluate.options import (
    MAX_SEED,
    AsJson,
    BatchSize,
    Classes,
    ClippoName,
    Device,
    LabelledImages,
    Labels,
    MaxUnreadable,
    ModelName,
    PerClass,
    Plot,
    Templates,
)
from linmap.errors import LabelDataError, MissingExtraError

if TYPE_CHECKING:
    from torch import Tensor

    from linmap.cli.dual_encoders import Comparing
    from linmap.data.images import UnreadableImages
    from linmap.data.labels import Labelled
    from linmap.evaluation import ClassificationScores, ProbeScores, ShotScores

__all__ = ["probe"]

logger = logging.getLogger(__name__)

DRAWS = 3
"""Of the photos of a probe on a few: enough to name a spread."""


def probe(
    images: LabelledImages,
    labels: Labels = None,
    test_images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Photos to test on, as --images.", show_default="a share of --images"),
    ] = None,
    test_labels: Annotated[Path | None, typer.Option(metavar="FILE", help="Their classes, as --labels.")] = None,
    test_share: Annotated[
        float, typer.Option(min=0.01, max=0.9, help="Share of each class held out, where no test photos are named.")
    ] = 0.2,
    shots: Annotated[
        list[int] | None,
        typer.Option(min=1, metavar="N", help="Also a probe on N photos a class, drawn three times; may be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Of what is held out and drawn.")] = 0,
    classes: Classes = None,
    templates: Templates = "imagenet-80",
    model: ModelName = None,
    clippo: ClippoName = None,
    limit: PerClass = None,
    batch_size: BatchSize = 32,
    max_unreadable: MaxUnreadable = 0,
    device: Device = "auto",
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Train a linear classifier on frozen features, and measure it beside zero-shot and chance.

    A logistic regression on the image tower's features, in front of its head; the strength of its regularisation is
    searched for on a held-out part of the training photos as in CLIP's appendix A.3. Zero-shot classification of the
    same test photos stands beside it where the model reads texts. With [bold]--shots[/bold] the probe on a few photos
    is fitted in two ways: by logistic regression, its strength chosen on further photos, and by least squares with one
    strength for all, which is the "10-shot" of the CLIPPO paper. The plot shows the search; those of the confusion and
    of the few photos get -confusion and -shots behind their names.

    Needs scikit-learn: python -m pip install 'linmap\\[eval]'.

    [bold]Examples[/bold]

      linmap evaluate probe --images photos/                      a fifth of each class held out for the test

      linmap evaluate probe --images train/ --test-images test/ --shots 1 --shots 4 --shots 16 --plot probe.png

      linmap evaluate probe --images photos/ --labels train.csv --test-labels test.csv --json

      linmap evaluate probe --images train/ --test-images test/ --clippo runs/clippo --shots 10
    """
    if find_spec("sklearn") is None:  # before the hours, not after them
        raise MissingExtraError("scikit-learn", extra="eval")
    from linmap.cli.evaluate.compared import one_model

    measured = one_model(model, clippo, device)
    from linmap.cli.dual_encoders import load_comparing, reads_texts
    from linmap.cli.evaluate.labelled import first_of_each, read_named, templates_named
    from linmap.cli.evaluate.output import confusion_is_drawn, plot_files
    from linmap.data.images import UnreadableImages
    from linmap.data.labels import read_labelled
    from linmap.evaluation import least_squares_shots, linear_probe, n_shot

    prompts = templates_named(templates)
    if plot is not None:
        plot_files(plot, ["", "-confusion", "-shots"] if shots else ["", "-confusion"])
    unreadable = UnreadableImages(max_unreadable)
    given, names = read_named(images, labels, classes, unreadable)
    if test_images is None and test_labels is None:
        train, test = held_out(first_of_each(given, limit), test_share, seed)
    else:
        tested = read_labelled(test_images or images, test_labels, classes=names, unreadable=unreadable)
        train, test = first_of_each(given, limit), first_of_each(tested, limit)
        _warn_of_photos_in_both(train, test)
    draws_confusion = confusion_is_drawn(plot, len(names))
    comparing = load_comparing(measured.word, device, texts=False)
    seen = _features(comparing, train, list(names), unreadable, batch_size)
    met = _features(comparing, test, list(names), unreadable, batch_size)
    shown_names = list(names.values())
    found = linear_probe(*seen, *met, class_names=shown_names, seed=seed)
    few = FewShots()
    if shots:
        draws, counts = range(seed, seed + DRAWS), sorted(set(shots))
        few = FewShots(
            n_shot(*seen, *met, shots=counts, seeds=draws, class_names=shown_names),
            least_squares_shots(*seen, *met, shots=counts, seeds=draws, class_names=shown_names),
        )
    beside = _zero_shot(comparing, met, shown_names, prompts) if reads_texts(comparing) else None
    facts = {
        "test_share": test_share if test_images is None and test_labels is None else None,
        "seed": seed,
        "limit": limit,
        "left_out": len(unreadable.errors),
        "images": str(images),
        "labels": None if labels is None else str(labels),
        "test_images": None if test_images is None else str(test_images),
        "test_labels": None if test_labels is None else str(test_labels),
        "model": measured.shown,
    }
    _write(found, few, beside, list(names), facts, templates, draws_confusion, plot=plot, as_json=as_json)


class FewShots(NamedTuple):
    """Probes on a few photos, one a number of photos, fitted in two ways to the same ones."""

    logistic: tuple[ShotScores, ...] = ()
    least_squares: tuple[ShotScores, ...] = ()


def held_out(labelled: list[Labelled], share: float, seed: int) -> tuple[list[Labelled], list[Labelled]]:
    """Photos to train on and to test on: of each class the share, at least one, drawn by the seed.

    Raises:
        LabelDataError: A class has too few photos for two to be trained on and one to be tested on.
    """
    by_class: dict[str, list[int]] = defaultdict(list)
    for number, one in enumerate(labelled):
        by_class[one.label].append(number)
    if few := [label for label, numbers in by_class.items() if len(numbers) < 3]:
        raise LabelDataError(
            f"{len(few)} of {len(by_class)} classes have fewer than three photos, such as {few[0]!r}: two to train on "
            "and one to test on are needed. Add photos, or name test photos with --test-images."
        )
    draw = random.Random(seed)
    test: set[int] = set()
    for numbers in by_class.values():
        test.update(draw.sample(numbers, min(max(1, round(share * len(numbers))), len(numbers) - 2)))
    return (
        [one for number, one in enumerate(labelled) if number not in test],
        [one for number, one in enumerate(labelled) if number in test],
    )


def _warn_of_photos_in_both(train: list[Labelled], test: list[Labelled]) -> None:
    known = {Path(str(one.image)).resolve() for one in train}
    both = sum(Path(str(one.image)).resolve() in known for one in test)
    if both:
        logger.warning(
            "%d of %d test photos are trained on too: the score says little of photos never seen.", both, len(test)
        )


def _features(
    comparing: Comparing, labelled: list[Labelled], labels: list[str], unreadable: UnreadableImages, batch_size: int
) -> tuple[Tensor, list[int]]:
    """(readable photos, image_feature_dim) in front of the head, and the class of each as a row of `labels`."""
    from linmap.contrastive.embedding import photo_features
    from linmap.data.labels import class_targets

    photos = [one.image for one in labelled]
    found = photo_features(comparing.model, comparing.processor, photos, unreadable=unreadable, batch_size=batch_size)
    return found.features, class_targets([labelled[row] for row in found.rows], labels)


def _zero_shot(
    comparing: Comparing, met: tuple[Tensor, list[int]], names: list[str], prompts: tuple[str, ...]
) -> ClassificationScores:
    """The test photos classified by the names of the classes."""
    import torch

    from linmap.cli.evaluate.labelled import classifier_of
    from linmap.evaluation import classification_scores, classify

    features, targets = met
    with torch.inference_mode():
        embeddings = comparing.model.get_image_features(image_features=features).cpu()
    return classification_scores(classify(embeddings, classifier_of(comparing, names, prompts)), targets, names)


def _write(
    found: ProbeScores,
    few: FewShots,
    beside: ClassificationScores | None,
    labels: list[str],
    facts: dict[str, Any],
    templates: str,
    draws_confusion: bool,
    *,
    plot: Path | None,
    as_json: bool,
) -> None:
    from rich import box
    from rich.table import Table

    from linmap.cli.evaluate.output import class_rows, write
    from linmap.evaluation import per_class_table, plot_confusion, plot_shots, plot_sweep, shots_table

    scores = found.test
    report: dict[str, Any] = {
        **class_rows(scores, labels),
        "train": found.train,
        "validation": found.validation,
        "strength": found.strength,
        "sweep": [[strength, round(accuracy, 2)] for strength, accuracy in found.sweep],
        "unconverged": found.unconverged,
        "shots": [
            {**_shot_facts(row), "least_squares": _shot_facts(other)}
            for row, other in zip(few.logistic, few.least_squares, strict=True)
        ],
        "zero_shot": beside
        and {
            "accuracy": round(beside.accuracy, 2),
            "mean_per_class": round(beside.mean_per_class, 2),
            "templates": templates,
        },
        **facts,
    }
    table = Table("", box=box.SIMPLE_HEAD)
    for heading in ("accuracy %", "mean per class %"):
        table.add_column(heading, justify="right")
    table.add_row("linear probe", f"{scores.accuracy:.1f}", f"{scores.mean_per_class:.1f}")
    if beside is not None:
        table.add_row(f"zero-shot ({templates})", f"{beside.accuracy:.1f}", f"{beside.mean_per_class:.1f}")
    table.add_row(f"majority ({scores.majority_class})", f"{scores.majority:.1f}", f"{scores.chance:.1f}")
    table.add_row("chance", f"{scores.chance:.1f}", f"{scores.chance:.1f}")
    left = f"; left out: {facts['left_out']} photos that cannot be read" if facts["left_out"] else ""
    lines: list[Any] = [
        f"{facts['model']}: trained on {found.train} photos of {len(labels)} classes, tested on {scores.n}; strength "
        f"{found.strength:.3g} chosen on {found.validation} of the training photos{left}",
        table,
        per_class_table(scores),
    ]
    plots = {"": lambda path: plot_sweep(found, path)}
    if draws_confusion:
        plots["-confusion"] = lambda path: plot_confusion(scores, path)
    if few.logistic:
        lines += ["On a few photos of each class, logistic regression:", shots_table(few.logistic)]
        lines += ["On the same photos, least squares as in big_vision's papers:", shots_table(few.least_squares)]
        plots["-shots"] = lambda path: plot_shots(few.logistic, path, few.least_squares)
    write(report, lines, plots, plot=plot, as_json=as_json)


def _shot_facts(row: ShotScores) -> dict[str, Any]:
    return {
        "shots": row.shots,
        "mean": round(row.mean, 2),
        "spread": round(row.spread, 2),
        "accuracies": [round(accuracy, 2) for accuracy in row.accuracies],
    }
