"""`linmap app`: a page in the browser to try the models on."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the command to the program."""
    app.command(name="app")(page)


def page(
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL",
            help="A model to offer beside the bundled ones, of any of the four methods: folder, or a model on the Hub. "
            "May be given several times.",
            show_default="the bundled models",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Of the page; 0 takes any free one.", show_default="the first free from 7860"
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address the page listens on; 0.0.0.0 lets other machines of the network in.")
    ] = "127.0.0.1",
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    dtype: Annotated[
        str, typer.Option(help="Of the language model: auto (float32 on a CPU), bfloat16, float16 or float32.")
    ] = "auto",
) -> None:
    r"""Try the models in the browser: drop a photo, read its caption.

    Four tabs: captions with the words that each part of the photo lies near to; questions behind solved examples,
    beside what the language model answers without the photo; DeCap with the sentences behind its caption; and CLIPPO,
    with what its tower sees, and how near photos and texts are. On each tab a model is chosen from a list, or typed as
    a folder or a Hub id. It is loaded when it is first used.

    Needs the extra app: python -m pip install "linmap\[app]". No font, script or telemetry goes over the
    network. Whoever reaches the page can caption photos and load models, so it listens on this machine alone unless
    --host says otherwise. Ctrl-C ends it, and deletes the photos that were uploaded.

    [bold]Examples[/bold]

      linmap app --open

      linmap app --model runs/mine --model runs/clippo     offered in the lists of their tabs

      linmap app --host 0.0.0.0 --port 8000                for other machines, too
    """
    from linmap.cli.app_page.serving import serve
    from linmap.cli.devices import check_device, check_dtype

    check_device(device)
    check_dtype(dtype)
    serve(model or [], host=host, port=port, open_browser=open_browser, device=device, dtype=dtype)
