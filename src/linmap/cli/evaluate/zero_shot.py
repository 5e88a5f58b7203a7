"""`linmap evaluate zero-shot`: class names in prompts as the classifier, on one test set or several."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linmap.cli.evaluate.options import (
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
    UpdateCard,
)
from linmap.errors import LabelDataError

if TYPE_CHECKING:
    from torch import Tensor

    from linmap.cli.dual_encoders import Comparing
    from linmap.data.images import UnreadableImages
    from linmap.data.labels import Labelled

__all__ = ["zero_shot"]


def zero_shot(
    context: typer.Context,
    images: LabelledImages,
    labels: Labels = None,
    classes: Classes = None,
    templates: Templates = "imagenet-80",
    shift: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]DIR", help="A further test set of the same classes, one folder a class; may be repeated."
        ),
    ] = None,
    model: ModelName = None,
    clippo: ClippoName = None,
    limit: PerClass = None,
    batch_size: BatchSize = 32,
    max_unreadable: MaxUnreadable = 0,
    device: Device = "auto",
    update_card: UpdateCard = False,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Classify photos by the names of their classes, without training.

    Every name is put into every template; the mean of these embeddings, normalised, is the class, and a photo goes to
    the nearest one (CLIP, section 3.1). Beside the accuracy stand chance (guessing evenly) and majority (always the
    most frequent class). With [bold]--shift[/bold] the same classifier meets further test sets, and what it loses on
    each is named; the plot of that gets -shift behind its name. A CLIPPO model reads the prompts as pictures.

    [bold]Examples[/bold]

      linmap evaluate zero-shot --images photos/                  photos/cat/1.jpg, photos/dog/1.jpg, …

      linmap evaluate zero-shot --images photos/ --labels labels.csv --classes names.json --plot confusion.png

      linmap evaluate zero-shot --images photos/ --shift sketches/ --shift night=photos-at-night/ --json

      linmap evaluate zero-shot --images photos/ --clippo runs/clippo --templates plain
    """
    from linmap.cli.evaluate.compared import one_model
    from linmap.cli.evaluate.model_cards import require_card, update_card_of, zero_shot_scores

    measured = one_model(model, clippo, device)
    shown = measured.shown
    if update_card:
        require_card(measured.word, shown)
    from linmap.cli.dual_encoders import load_comparing
    from linmap.cli.evaluate.labelled import classifier_of, first_of_each, read_named, templates_named
    from linmap.cli.evaluate.output import class_rows, confusion_is_drawn, plot_files, write
    from linmap.cli.study.options import command_line
    from linmap.data.images import UnreadableImages
    from linmap.data.labels import read_labelled
    from linmap.evaluation import (
        classification_scores,
        classify,
        distribution_shift,
        per_class_table,
        plot_confusion,
        plot_shift,
        shift_table,
    )

    prompts = templates_named(templates)
    if plot is not None:
        plot_files(plot, ["", "-shift"] if shift else [""])
    folders = _folders(shift or [], first=images)
    unreadable = UnreadableImages(max_unreadable)
    first, names = read_named(images, labels, classes, unreadable)
    sets = {images.name or str(images): first}
    for name, folder in folders.items():
        sets[name] = read_labelled(folder, classes=names, unreadable=unreadable)
    draws_confusion = confusion_is_drawn(plot, len(names))
    comparing = load_comparing(measured.word, device)
    classifier = classifier_of(comparing, names.values(), prompts)
    seen = {
        name: _embedded(comparing, first_of_each(labelled, limit), list(names), unreadable, batch_size)
        for name, labelled in sets.items()
    }

    def predicted(embeddings: Tensor) -> Tensor:
        return classify(embeddings, classifier)

    shown_names = list(names.values())
    rows = distribution_shift(predicted, seen, shown_names) if folders else ()
    embeddings, targets = next(iter(seen.values()))
    scores = rows[0].scores if rows else classification_scores(predicted(embeddings), targets, shown_names)
    report: dict[str, Any] = {
        **class_rows(scores, list(names)),
        "templates": templates,
        "prompts_per_class": len(prompts),
        "shift": [
            {
                "name": row.name,
                "accuracy": round(row.scores.accuracy, 2),
                "mean_per_class": round(row.scores.mean_per_class, 2),
                "drop": round(row.drop, 2) + 0.0,  # no -0.0
                "relative_drop": None if row.relative_drop is None else round(row.relative_drop, 2) + 0.0,
                "n": row.scores.n,
                "chance": round(row.scores.chance, 2),
                "majority": round(row.scores.majority, 2),
            }
            for row in rows
        ],
        "limit": limit,
        "left_out": len(unreadable.errors),
        "images": str(images),
        "labels": None if labels is None else str(labels),
        "model": shown,
    }
    left = f"; left out: {len(unreadable.errors)} photos that cannot be read" if unreadable.errors else ""
    lines: list[Any] = [
        f"{shown}: {scores.n} photos of {len(names)} classes in {images}; {len(prompts)} prompts a class "
        f"({templates}){left}",
        f"accuracy {scores.accuracy:.1f} %   mean per class {scores.mean_per_class:.1f} %   "
        f"chance {scores.chance:.1f} %   majority {scores.majority:.1f} % ({scores.majority_class})",
        per_class_table(scores),
    ]
    plots = {"": lambda path: plot_confusion(scores, path)} if draws_confusion else {}
    if rows:
        lines += ["The same classifier on other test sets; the drop is against the first:", shift_table(rows)]
        plots["-shift"] = lambda path: plot_shift(rows, path)
    write(report, lines, plots, plot=plot, as_json=as_json)
    if update_card:
        update_card_of(measured.word, list(zero_shot_scores(report, command_line(context))), quiet=as_json)


def _folders(words: list[str], first: Path) -> dict[str, Path]:
    """The further test sets by their names: `NAME=DIR`, or `DIR`, which is called as the folder."""
    from linmap.data.text_files import is_folder

    folders: dict[str, Path] = {}
    for word in words:
        name, equals, folder = word.partition("=")
        if not equals or is_folder(Path(word)):
            name, folder = Path(word).name, word
        if not folder.strip():
            raise LabelDataError(f"--shift {word} names no folder; give --shift NAME=DIR.")
        if not name.strip() or name in folders or name == first.name:
            raise LabelDataError(
                f"Two test sets are called {name!r}, or one has no name ({word}); give each its own: --shift NAME=DIR."
            )
        folders[name] = Path(folder)
    return folders


def _embedded(
    comparing: Comparing, labelled: list[Labelled], labels: list[str], unreadable: UnreadableImages, batch_size: int
) -> tuple[Tensor, list[int]]:
    """(readable photos, channels), and the class of each as a row of `labels`."""
    from linmap.contrastive.embedding import embed_photos
    from linmap.data.labels import class_targets

    photos = [one.image for one in labelled]
    found = embed_photos(comparing.model, comparing.processor, photos, unreadable=unreadable, batch_size=batch_size)
    return found.features, class_targets([labelled[row] for row in found.rows], labels)
