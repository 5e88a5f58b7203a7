"""`linmap inspect`: what the vectors of a photo lie near to in the language model's vocabulary."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from linmap.prefix.inspection import InspectedPrefix

__all__ = ["register"]

PICTURE, PAGE = ".png", ".html"


def register(app: typer.Typer) -> None:
    """Adds the command to the program."""
    app.command(name="inspect", no_args_is_help=True)(inspect)


def _output(path: Path | None) -> Path | None:
    """The path, if it can be written: said before the model is loaded."""
    if path is None:
        return None
    try:
        if path.suffix.lower() not in (PICTURE, PAGE) or path.is_dir():
            raise typer.BadParameter(f"{path} names no picture and no page; give a name that ends in .png or .html.")
        if not path.parent.is_dir():
            raise typer.BadParameter(f"there is no folder {path.parent}; make it first.")
        path.exists()  # the name may be too long
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be written ({error.strerror}); give another name.") from error
    if not os.access(path.parent, os.W_OK):
        raise typer.BadParameter(f"nothing can be written in {path.parent}; name another folder.")
    return path


def inspect(
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="A photo.")],
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Folder, or a model on the Hub.", show_default="the bundled model"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            callback=_output,
            help="Draw the words over the photo: FILE.png or FILE.html.",
            show_default="no picture",
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, max=50, metavar="N", help="Words for each vector.")] = 5,
    centred: Annotated[
        bool, typer.Option("--centred", help="Take the mean embedding away from words and vectors first.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    dtype: Annotated[
        str, typer.Option(help="Of the language model: auto (float32 on a CPU), bfloat16, float16 or float32.")
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON, and nothing else, on stdout.")] = False,
) -> None:
    """Show for each prefix vector of a photo the nearest words of the language model's vocabulary.

    Nearest by cosine to the input embeddings, in whose place the vectors stand. Beside them stands chance: how near the
    nearest word is of a vector of random direction. Words that are no nearer than that say nothing: a language model
    reads vectors that lie near no word, as those of the bundled model do. Vectors of a grid are drawn where in the
    photo they come from, over what the encoder was shown; words no nearer than chance are grey.

    [bold]Examples[/bold]

      linmap inspect dog.jpg

      linmap inspect dog.jpg -o dog.png

      linmap inspect dog.jpg --model runs/mine --top 10 --centred -o dog.html
    """
    from linmap.cli.devices import check_device, check_dtype
    from linmap.cli.messages import quiet_libraries
    from linmap.cli.models import load_captioner, model_folder, read_config

    check_device(device)
    check_dtype(dtype)
    read_config(model_folder(model))  # a wrong name is said before torch is imported, which takes seconds
    quiet_libraries()
    from linmap.data.images import open_photo
    from linmap.prefix.inspection import inspect_photo

    open_photo(photo)  # likewise a photo that cannot be read
    found = inspect_photo(*load_captioner(model, device, dtype), photo, top=top, centred=centred)
    report = _report(found, photo, model, output)
    try:
        if output is not None:
            _draw(found, photo, output)
    except BaseException:  # a picture that fails is an error, and no reason to lose the words
        report["output"] = None
        raise
    finally:
        _print(report, as_json)


def _draw(found: InspectedPrefix, photo: str, output: Path) -> None:
    if output.suffix.lower() == PICTURE:
        from linmap.cli.inspect.picture import write_picture

        write_picture(found, Path(photo).name, output)
    else:
        from linmap.cli.inspect.page import write_page

        write_page(found, Path(photo).name, output)


def _report(found: InspectedPrefix, photo: str, model: str | None, output: Path | None) -> dict[str, Any]:
    vectors = []
    for number, (words, length) in enumerate(zip(found.words, found.lengths, strict=True)):
        place = dict(zip(("row", "column"), divmod(number, found.grid[1]), strict=True)) if found.grid else {}
        named = [{"text": word.text, "id": word.id, "cosine": round(word.cosine, 4)} for word in words]
        vectors.append({**place, "length": round(length, 4), "words": named})
    return {
        "photo": photo,
        "model": model or "the bundled model",
        "measure": "cosine to the input embeddings" + (", both without their mean" if found.centred else ""),
        "chance": round(found.chance, 4),
        "word_length": round(found.word_length, 4),
        "grid": found.grid and list(found.grid),
        "vectors": vectors,
        "output": None if output is None else str(output),
    }


def _print(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(report))
        return
    from linmap.cli.inspect.spelling import shown

    vectors = report["vectors"]
    near = sum(vector["words"][0]["cosine"] > report["chance"] for vector in vectors)
    typer.echo(f"{report['photo']}: {len(vectors)} vectors of {report['model']}")
    for number, vector in enumerate(vectors, start=1):
        place = f"row {vector['row'] + 1}, column {vector['column'] + 1}" if report["grid"] else f"vector {number}"
        words = "  ".join(f"{shown(word['text'])} {word['cosine']:.2f}" for word in vector["words"])
        typer.echo(f"  {place}: {words}   (length {vector['length']:.2f})")
    typer.echo(
        f"{report['measure']}; a random direction's nearest word is at {report['chance']:.2f}, and {near} of "
        f"{len(vectors)} vectors have a nearer one; words have a length of {report['word_length']:.2f}"
    )
    typer.echo(f"picture: {report['output'] or 'none written; -o FILE.png or -o FILE.html draws it'}")
