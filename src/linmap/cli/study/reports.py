"""What every study says of itself: data, split, photos, tokenizer, decoding, control, command."""

from __future__ import annotations

from typing import Any

import typer

from linmap.cli.study.options import command_line

__all__ = ["about", "notes", "prepare", "where"]

BLIND = "every caption is held against another photo"


def prepare(device: str, tokenizer: str) -> None:
    """Quiet libraries; a wrong device or a lacking Java is said before the hours, not after them."""
    from linmap.cli.devices import check_device
    from linmap.cli.messages import no_bars_off_terminals, quiet_libraries

    check_device(device)
    quiet_libraries()
    no_bars_off_terminals()
    from linmap.evaluation import tokenise

    tokenise(["Java is there"], tokenizer)


def about(
    context: typer.Context,
    *,
    data: object,
    split: str | None,
    photos: int,
    left_out: int,
    tokenizer: str,
    decoding: dict[str, Any],
    seed: int,
) -> dict[str, Any]:
    """The part of a report that all studies have."""
    return {
        "data": str(data),
        "split": split,
        "photos": photos,
        "left_out": left_out,
        "tokenizer": str(tokenizer),
        "comparable": tokenizer == "ptb",
        "decoding": decoding,
        "control_seed": seed,
        "command": command_line(context),
    }


def where(report: dict[str, Any]) -> str:
    """On which photos."""
    split = f"split {report['split']}" if report["split"] else "all splits"
    return f"{report['photos']} photos of {report['data']}, {split}"


def notes(report: dict[str, Any], blind_of: str) -> list[str]:
    """The lines under a table."""
    decoding = ", ".join(f"{name} {value}" for name, value in report["decoding"].items())
    note = "" if report["comparable"] else ", not comparable with published scores"
    if note and "metric" not in report:  # all of them are asked for
        note += "; METEOR needs Java and is left out"
    lines = [
        f"blind: {blind_of} with the photos shuffled (seed {report['control_seed']}): {BLIND}",
        f"decoding: {decoding}; tokenizer: {report['tokenizer']}{note}",
    ]
    if report["left_out"]:
        lines.append(f"left out: {report['left_out']} photos that cannot be read")
    return [*lines, f"command: {report['command']}"]
