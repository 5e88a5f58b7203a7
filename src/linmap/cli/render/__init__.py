"""`linmap render`: texts drawn as a tower that reads drawn text sees them."""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linmap.cli.render.pictures import check_output, contact_sheet, is_folder, write_picture
from linmap.errors import ModelNotFoundError, RenderingError

if TYPE_CHECKING:
    from linmap.rendering.glyphs import Glyphs

__all__ = ["register"]

IMAGE_SIZE = 224
LARGEST = 8192
LARGEST_FONT = 1024
"""A line's height in pixels; every different character takes its square in memory, several times over."""
AT_A_TIME = 2**26
"""Pixels that are drawn before they are written."""

NAMED = 5
"""Texts and characters that are named one by one; the rest are counted."""


def register(app: typer.Typer) -> None:
    """Adds the command to the program."""
    app.command(name="render", no_args_is_help=True)(render)


def render(
    texts: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts.", show_default=False)] = None,
    lines: Annotated[
        Path | None, typer.Option("--lines", metavar="FILE", help="A file with a text a line.", show_default=False)
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="PATH", help="A picture (.png) of all texts, or a folder for one of each."
        ),
    ] = Path("rendered.png"),
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Draw as this CLIPPO model does: folder or Hub id.", show_default="the paper's way"
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(min=1, max=LARGEST, metavar="N", help="Side of an image, in pixels.", show_default="224"),
    ] = None,
    font_size: Annotated[
        int | None,
        typer.Option(min=1, max=LARGEST_FONT, metavar="N", help="Height of a line, in pixels.", show_default="16"),
    ] = None,
    max_chars: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Characters of a text; 0 is all.", show_default="768")
    ] = None,
    keep_case: Annotated[bool, typer.Option("--keep-case", help="Draw A-Z as they are, not as a-z.")] = False,
    monospace: Annotated[bool, typer.Option("--monospace", help="Keep all columns of every character.")] = False,
    spacing: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Columns around a character.", show_default="1")
    ] = None,
    min_width: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Least columns of a character.", show_default="4")
    ] = None,
    text_brightness: Annotated[
        int | None, typer.Option(min=0, max=255, metavar="N", help="Of ink; 0 is black.", show_default="0")
    ] = None,
    background_brightness: Annotated[
        int | None, typer.Option(min=0, max=255, metavar="N", help="Of the rest; 255 is white.", show_default="127")
    ] = None,
    font: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Font in Unifont's .hex form, or that packed.", show_default="Unifont 15.0.01"
        ),
    ] = None,
    upper: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Likewise, for characters above U+FFFF.", show_default="they are left empty"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON on stdout, and nothing else.")] = False,
) -> None:
    """Draw texts as a tower that reads drawn text sees them (CLIPPO, arXiv 2212.08045).

    One text gives a picture of its size; several stand side by side on one sheet, row by row, or each in a file of its
    own where -o names a folder. What of a text is not in its picture, and what the font lacks, is told on stderr.

    [bold]Examples[/bold]

      linmap render "a dog on a beach" -o dog.png

      linmap render "a dog on a beach" "ein Hund am Strand" "海滩上的狗" -o sheet.png

      linmap render --lines captions.txt -o pictures/

      linmap render "a dog on a beach" --model runs/clippo -o dog.png

      linmap render "😀 smile" --upper unifont_upper.hex.gz -o smile.png
    """
    settings = {
        "font_size": font_size,
        "max_chars": max_chars,
        "lowercase": False if keep_case else None,
        "monospace": monospace or None,
        "spacing": spacing,
        "min_width": min_width,
        "text_brightness": text_brightness,
        "background_brightness": background_brightness,
    }
    given = {name: value for name, value in settings.items() if value is not None}
    if model is not None:
        if given or image_size is not None:
            raise RenderingError(
                f"{model} says itself how it draws. Leave --model out, or {', '.join(_options(given, image_size))}."
            )
        image_size, given = _of_model(model)
    size = IMAGE_SIZE if image_size is None else image_size
    words = [*(_as_typed(text) for text in texts or ()), *_lines(lines)]
    if not words:
        raise RenderingError("There is nothing to draw: give texts, or a file of them with --lines FILE.")
    check_output(output, len(words), size)
    from linmap.rendering.glyphs import Glyphs, unifont

    glyphs = Glyphs.from_hex(font, upper) if font or upper else unifont()
    cut, hidden = _draw(words, output, size, given, glyphs)
    missing = _missing(words, glyphs)
    if as_json:
        counts = {"cut": cut, "hidden": hidden, "without_glyph": missing}
        typer.echo(json.dumps({"output": str(output), "texts": len(words), "image_size": size, **counts}))
        return
    _tell(cut, hidden, missing, size)
    typer.echo(f"{output}: {_texts(len(words))} of {size} x {size} px")


def _draw(
    words: Sequence[str | bytes], output: Path, size: int, settings: dict[str, Any], glyphs: Glyphs
) -> tuple[list[int], list[int]]:
    """Draws and writes; returns for each text how many characters are cut, and how many hidden."""
    from linmap.rendering.text import render_text

    if not is_folder(output):
        images, overflow = render_text(words, size, glyphs=glyphs, return_overflow=True, **settings)
        write_picture(contact_sheet(images), output)
        return overflow.cut.tolist(), overflow.hidden.tolist()
    from linmap.cli.progress import ProgressBar

    cut: list[int] = []
    hidden: list[int] = []
    digits = max(4, len(str(len(words))))
    at_a_time = max(1, AT_A_TIME // size**2)
    with ProgressBar("Drawing", len(words)) as bar:
        for start in range(0, len(words), at_a_time):
            some = words[start : start + at_a_time]
            images, overflow = render_text(some, size, glyphs=glyphs, return_overflow=True, **settings)
            cut += overflow.cut.tolist()
            hidden += overflow.hidden.tolist()
            for number, image in enumerate(images, start + 1):
                write_picture(image, output / f"{number:0{digits}d}.png")
                bar.advance()
    return cut, hidden


def _options(given: dict[str, Any], image_size: int | None) -> list[str]:
    names = {"lowercase": "keep-case"}
    size = [] if image_size is None else ["--image-size"]
    return [*size, *(f"--{names.get(name, name).replace('_', '-')}" for name in given)]


def _of_model(model: str) -> tuple[int, dict[str, Any]]:
    """Image size and settings of a model, from its configuration."""
    from linmap.cli.models import config_in, model_folder, one_line

    folder = model_folder(model)
    kind = config_in(folder).get("model_type")
    if kind != "clippo":
        raise ModelNotFoundError(f"{folder} holds a model of type {kind!r}; one of type 'clippo' draws texts.")
    from linmap.clippo.configuration import ClippoConfig

    with one_line(folder):
        config = ClippoConfig.from_pretrained(folder)
    if config.reads_tokens:
        raise ModelNotFoundError(f"The model in {folder} reads tokens and draws no text: leave --model out.")
    return config.image_size, dict(config.text_renderer or {})


def _as_typed(text: str) -> str | bytes:
    """A word of the command line as it was typed, also where that was no UTF-8."""
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:  # a half of a surrogate pair that is none of the system's own
        return text


def _lines(path: Path | None) -> list[bytes]:
    if path is None:
        return []
    try:
        return path.read_bytes().removeprefix(codecs.BOM_UTF8).splitlines()  # no part of the first text
    except OSError as error:
        raise RenderingError(f"{path}: cannot be read ({error.strerror}); check the path.") from error


def _missing(texts: Sequence[str | bytes], glyphs: Glyphs) -> list[str]:
    """Characters of the texts that the font lacks, sorted."""
    words = (text.decode("utf-8", errors="replace") if isinstance(text, bytes) else text for text in texts)
    return sorted({character for word in words for character in word if character not in glyphs})


def _tell(cut: Sequence[int], hidden: Sequence[int], missing: Sequence[str], size: int) -> None:
    """Says on stderr what is not to be seen."""
    lost = [(number, *counts) for number, counts in enumerate(zip(cut, hidden, strict=True), 1) if any(counts)]
    for number, behind, beyond in lost[:NAMED]:
        parts = [f"{beyond:,} do not fit in {size} x {size} px"] if beyond else []
        parts += [f"{behind:,} are behind the last that is drawn"] if behind else []
        typer.echo(f"linmap: text {number}: of its characters, {', and '.join(parts)}", err=True)
    if len(lost) > NAMED:
        typer.echo(f"linmap: {_texts(len(lost) - NAMED)} more are not all there: --json counts", err=True)
    if missing:
        names = ", ".join(f"U+{ord(character):04X}" for character in missing[:NAMED])
        more = f" and {len(missing) - NAMED:,} more" if len(missing) > NAMED else ""
        advice = "; --upper FILE names a font for those above U+FFFF" if missing[-1] > "\uffff" else ""
        typer.echo(f"linmap: not in the font, and drawn as empty cells: {names}{more}{advice}", err=True)


def _texts(count: int) -> str:
    return f"{count:,} text{'' if count == 1 else 's'}"
