"""`linmap evaluate concepts`: whether captions name the animal in the photo, one near it, or at least its looks."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linmap.cli.evaluate.options import AsJson, Captioners, Classes, Device, MaxUnreadable, PerClass

if TYPE_CHECKING:
    from linmap.cli.evaluate.caption_data import Measured
    from linmap.cli.evaluate.caption_run import Pass
    from linmap.data.images import UnreadableImages
    from linmap.data.labels import Labelled
    from linmap.evaluation import ScoredConcepts

__all__ = ["concepts"]

RESULTS, PAGE = "results.json", "results.md"


def concepts(
    context: typer.Context,
    images: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Photos of animals: a folder with one folder a class, or any with --labels."),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Class of each photo: CSV with the heading file,label, JSON, or a list of AwA2's (.txt).",
        ),
    ] = None,
    classes: Classes = None,
    attributes: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR|FILE",
            help="Attributes of classes: AwA2's folder, or CSV with the heading class,ATTRIBUTE,….",
            show_default="no looks measured",
        ),
    ] = None,
    model: Captioners = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write captions, results and a plot there; the same command goes on where it was cut off.",
            show_default="nothing written",
        ),
    ] = None,
    num_beams: Annotated[
        int | None, typer.Option(min=1, help="Beams of the search; 1 is greedy.", show_default="the model's own")
    ] = None,
    limit: PerClass = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Photos captioned at a time.")] = 16,
    max_unreadable: MaxUnreadable = 0,
    device: Device = "auto",
    dtype: Annotated[
        str, typer.Option(help="Number format of the language model: auto, bfloat16, float16 or float32.")
    ] = "auto",
    as_json: AsJson = False,
) -> None:
    """Tell what captions of animals get right: the name (lexical), or what is near it and how it looks (perceptual).

    Every model captions the photos. Counted are captions that name the photo's class; how near the animal they name is
    to it in WordNet (Wu-Palmer); and, by a table of attributes, how many of the visible attributes of the animal named,
    and of those said of it ("a brown dog"), the photo's class has. Under each model stands [bold]blind[/bold]: the same
    captions, each held against every other photo. For the control with a random encoder, train a projection behind
    one, and give it as a further --model. (LiMBeR, section 5.)

    [bold]Examples[/bold]

      linmap evaluate concepts --images photos/                     photos/cat/1.jpg, photos/dog/1.jpg, …

      linmap evaluate concepts --images AwA2/JPEGImages --attributes AwA2 --limit 20 --output results/

      linmap evaluate concepts --images photos/ --labels labels.csv --attributes AwA2 --model trained=default
      --model random=runs/random --output results/
    """
    from linmap.cli.devices import check_device, check_dtype, device_for
    from linmap.cli.evaluate.captioners import named_models

    check_device(device)
    check_dtype(dtype)
    models = named_models(model or [])
    from linmap.cli.messages import no_bars_off_terminals, quiet_libraries

    quiet_libraries()
    no_bars_off_terminals()
    from linmap.cli.evaluate.caption_run import Run, complete, passes_of, results_folder
    from linmap.cli.evaluate.concept_report import report_of
    from linmap.cli.evaluate.labelled import first_of_each
    from linmap.cli.study.options import command_line
    from linmap.data.animals import read_attributes
    from linmap.data.images import UnreadableImages
    from linmap.evaluation import Animal, AttributeTable

    unreadable = UnreadableImages(max_unreadable)
    labelled, names = _read(images, labels, classes, attributes, unreadable)
    labelled = first_of_each(labelled, limit)
    table = None if attributes is None else read_attributes(attributes)
    animals = [Animal.called(name) for name in dict.fromkeys(names.values())]  # a wrong name is said before the hours
    if table is not None:
        AttributeTable(table, animals)
    measured = _measured(labelled, names, images)
    run = Run(measured, output, num_beams, batch_size, device, device_for(device).type, dtype, seed=0)
    with results_folder(output, "concepts"):
        passes = passes_of(models, [], run)
        complete(passes, run, unreadable)
        shown = [names[one.label] for one in labelled]
        found, there = _scored(passes, shown, table)
        report = {
            **report_of(found, passes),
            "n": len(there),
            "classes": len({shown[place] for place in there}),
            "images": str(images),
            "labels": None if labels is None else str(labels),
            "attributes": None if attributes is None else str(attributes),
            "left_out": len(unreadable.errors),
            "command": command_line(context),
        }
        written: list[Path] = []
        try:
            if output is not None:
                _write(report, found, output, written)
        finally:  # a file that cannot be written is an error, and no reason to lose the numbers
            if as_json:
                typer.echo(json.dumps(report))
            else:
                _print(report, found, written)


def _read(
    images: Path, labels: Path | None, classes: Path | None, attributes: Path | None, unreadable: UnreadableImages
) -> tuple[list[Labelled], dict[str, str]]:
    """Labelled photos, and for every label the name that WordNet is asked for."""
    from linmap.data.animals import class_name, read_listed
    from linmap.data.labels import labels_of, read_class_names, read_labelled
    from linmap.errors import LabelDataError

    names = None if classes is None else read_class_names(classes)
    if labels is not None and labels.suffix.lower() == ".txt":
        if attributes is None:
            raise LabelDataError(
                f"{labels} holds numbers of classes; their names are in AwA2's folder: --attributes DIR."
            )
        labelled = read_listed(images, labels, attributes, unreadable=unreadable)
    else:
        labelled = read_labelled(images, labels, classes=names, unreadable=unreadable)
    names = names or {label: class_name(label) or label for label in labels_of(labelled)}
    if unnamed := [label for label in labels_of(labelled) if label not in names]:
        raise LabelDataError(f"{classes} has no name for the class {unnamed[0]!r}; add it.")
    if len(labelled) < 2:
        raise LabelDataError(f"There is one photo in {labels or images}; the control needs at least two.")
    return labelled, names


def _measured(labelled: list[Labelled], names: dict[str, str], images: Path) -> Measured:
    """The photos as every measurement of captions takes them; their class stands in the place of captions."""
    from linmap.cli.evaluate.caption_data import Measured
    from linmap.data.captions import Captioned

    records = [Captioned(one.image, (names[one.label],)) for one in labelled]
    paths = [Path(str(one.image)) for one in labelled]
    shown = [(path.relative_to(images) if path.is_relative_to(images) else path).as_posix() for path in paths]
    facts = [
        [name, path.stat().st_size, *record.captions] for name, path, record in zip(shown, paths, records, strict=True)
    ]
    return Measured(records, shown, hashlib.sha256(json.dumps(facts).encode()).hexdigest())


def _scored(
    passes: list[Pass], classes: list[str], table: dict[str, dict[str, float]] | None
) -> tuple[dict[str, ScoredConcepts], list[int]]:
    """The scores of each captioner over the photos that all could read, and which these are."""
    from linmap.errors import CaptionDataError
    from linmap.evaluation import concept_scores

    there = [
        place for place in range(len(classes)) if all(one.captions.done[place].caption is not None for one in passes)
    ]
    if len(there) < 2:
        raise CaptionDataError(f"Of the photos {len(there)} can be read; the control needs at least two.")
    return {
        one.model.name: concept_scores(
            [one.captions.done[place].caption or "" for place in there], [classes[place] for place in there], table
        )
        for one in passes
    }, there


def _write(report: dict[str, Any], found: dict[str, ScoredConcepts], folder: Path, written: list[Path]) -> None:
    """Writes the results, the numbers first, since pictures may fail; adds to `written` what is there."""
    from linmap.cli.evaluate.caption_report import results_json, write_file
    from linmap.cli.evaluate.concept_report import PLOT, markdown
    from linmap.evaluation import plot_concepts

    write_file(folder / RESULTS, results_json(report))
    written.append(folder / RESULTS)
    write_file(folder / PAGE, markdown(report, found))
    written.append(folder / PAGE)
    plot_concepts(found, folder / PLOT)
    written.append(folder / PLOT)


def _print(report: dict[str, Any], found: dict[str, ScoredConcepts], written: list[Path]) -> None:
    from rich.console import Console

    from linmap.cli.evaluate.concept_report import notes, where
    from linmap.cli.evaluate.output import WIDE
    from linmap.evaluation import concept_table

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, emoji=False, width=WIDE)
    console.print(where(report), soft_wrap=True)
    console.print(concept_table(found))
    for line in notes(report):
        console.print(line, soft_wrap=True)
    if written:
        console.print(f"written: {', '.join(map(str, written))}", soft_wrap=True)
