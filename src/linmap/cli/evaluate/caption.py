"""`linmap evaluate caption`: what captioners score, beside what they score without seeing."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linmap.cli.evaluate.caption_scoring import METRICS, OF_PHOTOS, metrics_named
from linmap.cli.evaluate.options import (
    AsJson,
    Captioners,
    Control,
    ControlSeed,
    Device,
    MaxUnreadable,
    Photos,
    Split,
    UpdateCard,
)

if TYPE_CHECKING:
    from linmap.cli.evaluate.caption_nearness import Nearness

__all__ = ["Tokenizer", "caption"]


class Tokenizer(StrEnum):
    """How captions become tokens before they are scored."""

    PTB = "ptb"
    SIMPLE = "simple"


def caption(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Captions: JSON as Flickr8k's, COCO's, NoCaps' or Karpathy's."),
    ] = None,
    images: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the photos.")] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="In place of --data: what linmap features extract wrote. No image encoder is loaded; with --images the"
            " gallery has pictures.",
        ),
    ] = None,
    split: Split = None,
    model: Captioners = None,
    control: Annotated[
        list[Control] | None,
        typer.Option(
            help="What is measured beside every model; may be given several times.", show_default=str(Control.BLIND)
        ),
    ] = None,
    metric: Annotated[
        str, typer.Option(metavar="NAME,…", help=f"Scores, with commas between: {', '.join(METRICS)}.")
    ] = "cider_d",
    dual: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Dual encoder for clip_score and ref_clip_score, part of their name; papers use"
            " open_clip:ViT-B-32-quickgelu/openai.",
            show_default="the bundled dual encoder",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write captions, results.json, results.md and gallery.html there; the same command goes on where it"
            " was cut off.",
            show_default="nothing written",
        ),
    ] = None,
    update_card: UpdateCard = False,
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

      linmap evaluate caption --data nocaps_val_4500_captions.json --images nocaps/ --model runs/mine --update-card
    """
    from linmap.cli.devices import check_device, check_dtype, device_for
    from linmap.cli.evaluate.caption_data import measured_photos, require_source
    from linmap.cli.evaluate.captioners import named_models
    from linmap.cli.evaluate.model_cards import require_card, update_cards

    check_device(device)
    check_dtype(dtype)
    source = require_source(data, images, features)
    metrics = metrics_named(metric)
    controls = _controls(control, features)
    models = named_models(model or [])
    for one in models if update_card else ():
        require_card(one.word, one.shown)
    from linmap.cli.messages import no_bars_off_terminals, quiet_libraries

    quiet_libraries()
    no_bars_off_terminals()
    near = _nearness(metrics, dual, device, images)
    from linmap.cli.evaluate.caption_run import Run, complete, passes_of, results_folder
    from linmap.cli.evaluate.caption_scoring import report_of, require_java, scored_rows
    from linmap.cli.study.options import command_line
    from linmap.data.images import UnreadableImages

    require_java(metrics, tokenizer)  # before the hours, not after them
    unreadable = UnreadableImages(max_unreadable)
    measured = measured_photos(source, images, split, limit, unreadable, extracted=features is not None)
    kind = device_for(device).type
    run = Run(measured, output, num_beams, batch_size, device, kind, dtype, seed)
    with results_folder(output, "caption"):
        passes = passes_of(models, controls, run)
        complete(passes, run, unreadable)
        rows, photos = scored_rows(passes, run, metrics, controls, tokenizer, near)
        report = {
            **report_of(rows, tokenizer, seed),
            "data": str(source),
            "split": split,
            "left_out": len(unreadable.errors),
            "command": command_line(context),
        }
        try:
            written = [] if output is None else _write(report, output, rows, photos, run)
            written += update_cards(models, report, source) if update_card else []
        finally:  # a file that cannot be written is an error, and no reason to lose the numbers
            _print(report, as_json=as_json)
        if written and not as_json:
            typer.echo(f"written: {', '.join(map(str, written))}")


def _controls(asked: list[Control] | None, features: Path | None) -> list[Control]:
    controls = list(dict.fromkeys(asked or [Control.BLIND]))
    if Control.NONE in controls and len(controls) > 1:
        raise typer.BadParameter("--control none goes with no other control.")
    if Control.RANDOM_ENCODER in controls and features is not None:
        raise typer.BadParameter("--control random-encoder encodes photos; give --data and --images for it.")
    return [one for one in controls if one is not Control.NONE]


def _nearness(metrics: list[str], dual: str | None, device: str, images: Path | None) -> Nearness | None:
    """What measures CLIPScore, where it is asked for."""
    from linmap.cli.evaluate.caption_nearness import Nearness

    asked = [name for name in metrics if name in OF_PHOTOS]
    if not asked:
        return None
    if images is None:
        raise typer.BadParameter(f"{asked[0]} looks at photos, not at features; give their folder, --images DIR.")
    return Nearness(dual, device)


def _write(report: dict[str, Any], folder: Path, rows: Any, photos: list[int], run: Any) -> list[Path]:
    """Writes the results; the numbers first, since pictures may fail."""
    from linmap.cli.evaluate.caption_gallery import write_gallery
    from linmap.cli.evaluate.caption_report import markdown, notes, results_json, write_file

    write_file(folder / "results.json", results_json(report))
    write_file(folder / "results.md", markdown(report))
    page = write_gallery(folder, rows, photos, run, notes(report))
    return [folder / "results.json", folder / "results.md", page]


def _print(report: dict[str, Any], *, as_json: bool) -> None:
    from rich.console import Console

    from linmap.cli.evaluate.caption_report import console_lines
    from linmap.cli.evaluate.output import WIDE

    if as_json:
        typer.echo(json.dumps(report))
        return
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, emoji=False, width=WIDE)
    for line in console_lines(report):
        console.print(line, soft_wrap=isinstance(line, str))
