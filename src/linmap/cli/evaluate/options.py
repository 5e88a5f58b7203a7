"""Options that the measurements of dual encoders share, and the words they all mean the same by."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "MAX_SEED",
    "MEANING",
    "AsJson",
    "BatchSize",
    "Captioners",
    "Classes",
    "ClippoName",
    "ClippoNames",
    "Control",
    "ControlSeed",
    "Data",
    "Device",
    "Images",
    "LabelledImages",
    "Labels",
    "MaxUnreadable",
    "ModelName",
    "ModelNames",
    "PairData",
    "PerClass",
    "Photos",
    "Plot",
    "Split",
    "Templates",
    "UpdateCard",
    "why_no_picture",
]


class Control(StrEnum):
    """What a score is held against."""

    NONE = "none"
    BLIND = "blind"
    RANDOM_ENCODER = "random-encoder"


MEANING = {
    Control.BLIND: "every caption is held against another photo",
    Control.RANDOM_ENCODER: "the same projection behind an untrained encoder of the same architecture",
}
"""What the controls of captions are."""

MAX_SEED = 2**32 - 1
"""What every generator of random numbers takes."""


def why_no_picture(path: Path) -> str | None:
    """Why no picture can be written to `path`, as far as that can be told beforehand; None where it can."""
    try:
        if path.suffix.lower() != ".png" or path.is_dir():
            return f"{path} names no PNG file; give a name that ends in .png."
        if not path.parent.is_dir():
            return f"there is no folder {path.parent}; make it first."
        path.with_name(f"{path.stem}.part.png").exists()  # the name it is written under first, which may be too long
    except OSError as error:
        return f"{path} cannot be written ({error.strerror}); give another name."
    if not os.access(path.parent, os.W_OK):
        return f"nothing can be written in {path.parent}; name another folder."
    return None


def _picture(path: Path | None) -> Path | None:
    """The path, if a picture can be written there: said before the hours, not after them."""
    if path is not None and (reason := why_no_picture(path)):
        raise typer.BadParameter(reason)
    return path


ModelName = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="Folder, organisation/name on the Hub (ours, CLIP or SigLIP), or open_clip:NAME/TAG.",
        show_default="the bundled dual encoder",
    ),
]
ModelNames = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="[NAME=]MODEL",
        help="Folder, organisation/name on the Hub (ours, CLIP or SigLIP), open_clip:NAME/TAG, or default; may be given"
        " several times.",
        show_default="the bundled dual encoder",
    ),
]
ClippoName = Annotated[
    str | None,
    typer.Option("--clippo", metavar="MODEL", help="The same of a CLIPPO model, in place of --model."),
]
ClippoNames = Annotated[
    list[str] | None,
    typer.Option("--clippo", metavar="[NAME=]MODEL", help="The same of CLIPPO models, behind those of --model."),
]
Captioners = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[NAME=]MODEL",
        help="Folder, organisation/name on the Hub, or default; may be given several times.",
        show_default="the bundled model",
    ),
]
Data = Annotated[Path, typer.Option(metavar="FILE", help="Captions: JSON as Flickr8k's, COCO's or Karpathy's.")]
PairData = Annotated[
    Path,
    typer.Option(
        "--data",
        metavar="FILE",
        help="Captions: JSON as Flickr8k's, COCO's or Karpathy's; in several languages: lines of JSON (.jsonl), as"
        " Crossmodal-3600's.",
    ),
]
Images = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the photos.")]
Split = Annotated[str | None, typer.Option(help="Split to measure on.", show_default="all photos")]
Photos = Annotated[int | None, typer.Option("--limit", min=2, metavar="N", help="Only the first N photos.")]
LabelledImages = Annotated[
    Path, typer.Option(metavar="DIR", help="Photos: a folder with one folder a class, or any with --labels.")
]
Labels = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Class of each photo: CSV with the heading file,label, or JSON."),
]
Classes = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Names of the classes as prompts use them: one a line, or JSON {label: name}.",
        show_default="the labels, blanks for _",
    ),
]
Templates = Annotated[
    str,
    typer.Option(metavar="NAME", help="imagenet-80, imagenet-7, plain, or a file of prompts with {} for the name."),
]
ControlSeed = Annotated[
    int, typer.Option("--seed", min=0, max=MAX_SEED, help="Of the control: the shuffle, or the untrained weights.")
]
PerClass = Annotated[
    int | None, typer.Option("--limit", min=1, metavar="N", help="Only the first N photos of each class.")
]
BatchSize = Annotated[int, typer.Option(min=1, help="Photos encoded at a time.")]
MaxUnreadable = Annotated[int, typer.Option(min=0, help="Photos that may be missing or damaged.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Plot = Annotated[
    Path | None, typer.Option(metavar="FILE.png", callback=_picture, help="Draw the result.", show_default="no plot")
]
UpdateCard = Annotated[
    bool,
    typer.Option("--update-card", help="Write the scores, with their controls, into the card of every model's folder."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One line of JSON, and nothing else, on stdout.")]
