"""`linmap evaluate caption`: what captioners score, beside what they score without seeing."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from linmap.cli.evaluate.caption_scoring import METRICS, metrics_named
from linmap.cli.evaluate.options import AsJson, Control, ControlSeed, Data, Device, Images, MaxUnreadable, Photos, Split

__all__ = ["Tokenizer", "caption"]


class Tokenizer(StrEnum):
    """How captions become tokens before they are scored."""

    PTB = "ptb"
    SIMPLE = "simple"


def caption(
    context: typer.Context,
    data: Data,
    images: Images,
    split: Split = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]MODEL",
            help="Folder, organisation/name on the Hub, or default; may be given several times.",
            show_default="the bundled model",
        ),
    ] = None,
    control: Annotated[
        list[Control] | None,
        typer.Option(
            help="What is measured beside every model; may be given several times.", show_default=str(Control.BLIND)
        ),
    ] = None,
    metric: Annotated[
        str, typer.Option(metavar="NAME,…", help=f"Scores, with commas between: {', '.join(METRICS)}.")
    ] = "cider_d",
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write captions, results.json and results.md there; the same command goes on where it was cut off.",
            show_default="nothing written",
        ),
    ] = None,
    seed: ControlSeed = 0,
    num_beams: Annotated[
        int | None, typer.Option(min=1, help="Beams of the search; 1 is greedy.", show_default="the model's own")
    ] = None,
    limit: Photos = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Photos captioned at a time.")] = 16,
    tokenizer: Annotated[
        Tokenizer, typer.Option(help="ptb needs Java; simple does not, and compares with no published score.")
    ] = Tokenizer.PTB,
    max_unreadable: MaxUnreadable = 0,
    device: Device = "auto",
    dtype: Annotated[
        str, typer.Option(help="Number format of the language model: auto, bfloat16, float16 or float32.")
    ] = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure captions with CIDEr-D and the other metrics of the COCO evaluation, several models in one table.

    The controls say how much of a score owes nothing to the photos: [bold]blind[/bold] holds every caption against
    another photo, as if the features had been shuffled between the photos; [bold]random-encoder[/bold] puts untrained
    weights into the image encoder and leaves the projection as it is. (The paper's random encoder has a projection
    trained for it: train one, and give it as a further --model.)

    [bold]Examples[/bold]

      linmap evaluate caption --data captions.json --images photos/ --split val

      linmap evaluate caption --data captions.json --images photos/ --model runs/mine --num-beams 4 --json

      linmap evaluate caption --data captions.json --images photos/ --split val --model trained=default
      --model random=runs/random --metric cider_d,bleu_4,rouge_l --output results/
    """
    from linmap.cli.devices import check_device, check_dtype, device_for
    from linmap.cli.evaluate.captioners import named_models, photo_names, photos_digest

    check_device(device)
    check_dtype(dtype)
    metrics = metrics_named(metric)
    controls = _controls(control)
    models = named_models(model or [])
    from linmap.cli.messages import no_bars_off_terminals, quiet_libraries

    quiet_libraries()
    no_bars_off_terminals()
    from linmap.cli.evaluate.caption_run import Run, complete, passes_of
    from linmap.cli.evaluate.caption_scoring import report_of, scored_rows
    from linmap.cli.study.options import command_line
    from linmap.data.captions import read_captions
    from linmap.data.images import UnreadableImages
    from linmap.errors import CaptionDataError
    from linmap.evaluation import tokenise

    tokenise(["Java is there"], tokenizer)  # before the hours, not after them
    unreadable = UnreadableImages(max_unreadable)
    records = read_captions(data, images, split, unreadable=unreadable)[:limit]
    if len(records) < 2:
        raise CaptionDataError(f"CIDEr-D over {len(records)} photos means nothing; give at least two.")
    names = photo_names(records, images)
    run = Run(
        records=records,
        names=names,
        photos=photos_digest(records, names),
        folder=output,
        num_beams=num_beams,
        batch_size=batch_size,
        device=device,
        device_kind=device_for(device).type,
        dtype=dtype,
        seed=seed,
    )
    passes = passes_of(models, controls, run)
    complete(passes, run, unreadable)
    rows, photos = scored_rows(passes, run, metrics, controls, tokenizer)
    report = {
        **report_of(rows, metrics, tokenizer, seed),
        "data": str(data),
        "split": split,
        "left_out": len(unreadable.errors),
        "command": command_line(context),
    }
    written = [] if output is None else _write(report, output, rows, photos, run)
    if as_json:
        typer.echo(json.dumps(report))
    else:
        _print(report, written)


def _controls(asked: list[Control] | None) -> list[Control]:
    controls = list(dict.fromkeys(asked or [Control.BLIND]))
    if Control.NONE in controls and len(controls) > 1:
        raise typer.BadParameter("--control none goes with no other control.")
    return [one for one in controls if one is not Control.NONE]


def _write(report: dict[str, Any], folder: Path, rows: Any, photos: list[int], run: Any) -> list[Path]:
    """Writes the results; the numbers first, since pictures may fail."""
    from linmap.cli.evaluate.caption_gallery import write_gallery
    from linmap.cli.evaluate.caption_report import markdown, notes, results_json, write_file

    write_file(folder / "results.json", results_json(report))
    write_file(folder / "results.md", markdown(report))
    page = write_gallery(folder, rows, photos, run, notes(report))
    return [folder / "results.json", folder / "results.md", page]


def _print(report: dict[str, Any], written: list[Path]) -> None:
    from rich.console import Console

    from linmap.cli.evaluate.caption_report import console_lines
    from linmap.cli.evaluate.output import WIDE

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, emoji=False, width=WIDE)
    for line in console_lines(report):
        console.print(line, soft_wrap=isinstance(line, str))
    if written:
        console.print(f"written: {', '.join(map(str, written))}", soft_wrap=True)
