"""The server of the page: from its address to Ctrl-C."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import typer

from linmap.errors import LinmapError, MissingExtraError

__all__ = ["free_port", "serve"]

LOOPBACK = "127.0.0.1"

FIRST_PORT, PORTS = 7860, 100
"""Where a port is looked for when none is named: gradio's own."""


def serve(models: Sequence[str], *, host: str, port: int | None, open_browser: bool, device: str, dtype: str) -> None:
    """Serves the page until Ctrl-C.

    Args:
        models: Words after `--model`.
        host: Address to listen on.
        port: 0 takes any free one, None the first free from 7860.
        open_browser: Whether to open the page.
        device: As `linmap caption` takes it.
        dtype: As there.

    Raises:
        MissingExtraError: gradio is not installed.
        LinmapError: A model is not there, or the address is not to be had.
    """
    if find_spec("gradio") is None:
        raise MissingExtraError("gradio", "app")
    from linmap.cli.app_page.models import Models
    from linmap.cli.messages import no_bars_off_terminals, quiet_libraries

    offered = Models(models, device=device, dtype=dtype)
    port = free_port(host, port)
    typer.echo("linmap: the page is being made …", err=True)
    quiet_libraries()
    no_bars_off_terminals()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="linmap-app-") as uploads:
        # Read when gradio is imported: no telemetry, and a folder for uploads that goes with the page.
        os.environ.update(GRADIO_ANALYTICS_ENABLED="False", GRADIO_TEMP_DIR=uploads)
        _ask_this_machine_directly()
        _run(offered, host, port, open_browser)


def free_port(host: str, port: int | None) -> int:
    """A port of `host` that can be listened on.

    Args:
        host: Address.
        port: The one that is wanted; 0 takes any, None the first free from 7860.

    Raises:
        LinmapError: The port is taken, or the address is none of this machine.
    """
    wanted = range(FIRST_PORT, FIRST_PORT + PORTS) if port is None else [port]
    for one in wanted:
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, one, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                return int(probe.getsockname()[1])
        except OSError as error:
            reason = error.strerror or str(error)
    named = f"{host}:{wanted[0]}" if len(wanted) == 1 else f"{host}, ports {wanted[0]} to {wanted[-1]}"
    raise LinmapError(
        f"The page cannot listen on {named} ({reason}). Give another port with --port (0 takes any free one), or an "
        "address of this machine with --host."
    )


def _ask_this_machine_directly() -> None:
    """Gradio asks its own server whether it is there: not through a proxy, which would say no."""
    without = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    direct = ",".join(part for part in (without, LOOPBACK, "localhost") if part)
    os.environ.update(no_proxy=direct, NO_PROXY=direct)


def _run(models: Any, host: str, port: int, open_browser: bool) -> None:
    from linmap.cli.app_page.layout import LAUNCH, make_page

    page = make_page(models)
    try:
        _, url, _ = page.launch(server_name=host, server_port=port, **LAUNCH)
        typer.echo(f"linmap app: {url} (Ctrl-C ends it)")
        if open_browser:
            webbrowser.open(url)
        threading.Event().wait()
    except KeyboardInterrupt:
        typer.echo("linmap: the page is closed", err=True)
    finally:
        page.close(verbose=False)
