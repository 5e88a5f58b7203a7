"""`linmap evaluate caption`: what a captioner scores, beside what it scores without seeing."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linmap.cli.evaluate.options import AsJson, Control, ControlSeed, Data, Device, Images, MaxUnreadable, Photos, Split

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from linmap.cli.models import Captioner
    from linmap.data.captions import Captioned
    from linmap.evaluation import CaptioningExample, EvaluatedCaptions

__all__ = ["caption", "seen_by_model", "seen_by_random_encoder"]


class Tokenizer(StrEnum):
    """How captions become tokens before they are scored."""

    PTB = "ptb"
    SIMPLE = "simple"


MEANING = {
    Control.BLIND: "every caption is made from the features of another photo",
    Control.RANDOM_ENCODER: "the same projection behind an untrained encoder of the same architecture",
}


def caption(
    data: Data,
    images: Images,
    split: Split = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Folder, or organisation/name on the Hub.", show_default="the bundled model"
        ),
    ] = None,
    control: Annotated[Control, typer.Option(help="What is measured beside the model.")] = Control.BLIND,
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
    """Measure captions with CIDEr-D.

    The control says how much of the score owes nothing to the photos: [bold]blind[/bold] shuffles the features between
    the photos, so that every caption is made from another photo; [bold]random-encoder[/bold] puts untrained weights
    into the image encoder and leaves the projection as it is. (The paper's random encoder has a projection trained for
    it: train one, and measure it with --model.)

    [bold]Examples[/bold]

      linmap evaluate caption --data captions.json --images photos/ --split val

      linmap evaluate caption --data captions.json --images photos/ --model runs/mine --num-beams 4 --json
    """
    from linmap.cli.devices import check_device, check_dtype

    check_device(device)
    check_dtype(dtype)
    from linmap.cli.messages import quiet_libraries

    quiet_libraries()
    from linmap.data.captions import read_captions
    from linmap.data.images import UnreadableImages
    from linmap.errors import CaptionDataError, CaptioningError
    from linmap.evaluation import tokenise

    tokenise(["Java is there"], tokenizer)  # before the hours, not after them
    unreadable = UnreadableImages(max_unreadable)
    captioned = read_captions(data, images, split, unreadable=unreadable)[:limit]
    if len(captioned) < 2:
        raise CaptionDataError(f"CIDEr-D over {len(captioned)} photos means nothing; give at least two.")
    from linmap.cli.models import load_captioner

    captioner = load_captioner(model, device, dtype)
    if captioner.model.encoder is None:
        raise CaptioningError("This model holds no image encoder: it reads features, not photos. Name one that does.")
    how = _decoding(captioner, num_beams)
    examples = seen_by_model(captioner, captioned, unreadable)
    score = _measure(captioner, examples, how, batch_size, tokenizer, "Captioning")
    held: EvaluatedCaptions | None = None
    if control is not Control.NONE:
        against = (
            _blinded(examples, seed)
            if control is Control.BLIND
            else seen_by_random_encoder(captioner, captioned, seed, unreadable)
        )
        held = _measure(captioner, against, how, batch_size, tokenizer, f"Control: {control}")
    report = {
        "metric": "CIDEr-D",
        "score": round(score.score.value, 2),
        "control": None if held is None else round(held.score.value, 2),
        "control_kind": None if held is None else str(control),
        "control_seed": None if held is None else seed,
        "data": str(data),
        "split": split,
        "n": len(examples),
        "left_out": len(unreadable.errors),
        "tokenizer": score.score.tokenizer,
        "comparable": score.score.comparable,
        "decoding": how,
        "model": model or "the bundled model",
    }
    typer.echo(json.dumps(report) if as_json else _table(report))


def _decoding(captioner: Captioner, num_beams: int | None) -> dict[str, Any]:
    """The settings of `generate`, those that the model leaves open filled in as `linmap caption` does."""
    from linmap.prefix.captioning import MAX_NEW_TOKENS

    own = captioner.model.generation_config
    how: dict[str, Any] = {
        "num_beams": num_beams or own.num_beams or 1,
        "do_sample": bool(own.do_sample),
        "max_new_tokens": own.max_new_tokens or MAX_NEW_TOKENS,
    }
    asked = {"length_penalty": own.length_penalty, "repetition_penalty": own.repetition_penalty}
    return how | {name: value for name, value in asked.items() if value not in (None, 1.0)}


def seen_by_model(captioner: Captioner, captioned: list[Captioned], unreadable: Any) -> list[CaptioningExample[Tensor]]:
    """The features of every readable photo, computed once, with its references."""
    from linmap.evaluation import CaptioningExample
    from linmap.recipes.features import encode_photos

    photos = [record.image for record in captioned]
    seen = encode_photos(captioner.model, captioner.processor, photos, unreadable=unreadable)
    rows = zip(seen.features, seen.rows, strict=True)
    return [CaptioningExample(feature, captioned[row].captions) for feature, row in rows]


def _blinded(examples: list[CaptioningExample[Tensor]], seed: int) -> list[CaptioningExample[Tensor]]:
    from linmap.evaluation import blinded

    return blinded(examples, seed)


def seen_by_random_encoder(
    captioner: Captioner, captioned: list[Captioned], seed: int, unreadable: Any
) -> list[CaptioningExample[Tensor]]:
    """The same photos through an untrained encoder."""
    from linmap.data.images import UnreadableImages
    from linmap.encoders import load_encoder

    trained = captioner.model.encoder
    assert trained is not None  # checked when the model was loaded
    random = load_encoder(
        trained.fingerprint.name,
        pretrained=False,
        seed=seed,
        image_size=trained.config.image_size,
        dtype=trained.dtype,
        device=trained.device,
    )
    captioner.model.encoder = random
    try:
        return seen_by_model(captioner, captioned, UnreadableImages(unreadable.limit))
    finally:
        captioner.model.encoder = trained


def _measure(
    captioner: Captioner,
    examples: list[CaptioningExample[Tensor]],
    how: dict[str, Any],
    batch_size: int,
    tokenizer: str,
    title: str,
) -> EvaluatedCaptions:
    from rich.console import Console
    from rich.progress import Progress

    from linmap.evaluation import evaluate_captions

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=len(examples))
        return evaluate_captions(
            _caption_features(captioner, how),
            examples,
            batch_size=batch_size,
            tokenizer=tokenizer,
            on_batch=lambda count: bar.advance(task, count),
        )


def _caption_features(captioner: Captioner, how: dict[str, Any]) -> Callable[[list[Tensor]], list[str]]:
    """From features of photos, each (cells, feature_dim), to captions."""
    import torch

    model, processor = captioner

    def captions(features: list[Tensor]) -> list[str]:
        inputs = processor(image_features=torch.stack(features), return_tensors="pt").to(model.device)
        with torch.inference_mode():
            generated = model.generate(**inputs, **how)
        return processor.caption(generated[:, inputs["input_ids"].shape[1] :], prompt="")

    return captions


def _table(report: dict[str, Any]) -> str:
    """The report for people: the score, and under it the control."""
    where = f"split {report['split']}" if report["split"] else "all splits"
    lines = [f"CIDEr-D   {report['score']:6.1f}   {report['model']}: {report['n']} photos of {report['data']}, {where}"]
    if report["control"] is not None:
        kind = Control(report["control_kind"])
        times = f", {report['score'] / report['control']:.1f} times less" if report["control"] > 0 else ""
        lines.append(
            f"control   {report['control']:6.1f}   {kind}: {MEANING[kind]} (seed {report['control_seed']}){times}"
        )
    decoding = ", ".join(f"{name} {value}" for name, value in report["decoding"].items())
    note = "" if report["comparable"] else ", not comparable with published scores"
    lines.append(f"          decoding: {decoding}; tokenizer: {report['tokenizer']}{note}")
    if report["left_out"]:
        lines.append(f"          left out: {report['left_out']} photos that cannot be read")
    return "\n".join(lines)
