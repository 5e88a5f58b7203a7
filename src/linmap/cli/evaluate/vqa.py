"""`linmap evaluate vqa`: answers to questions about photos, behind solved examples, beside those of a blind model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linmap.cli.evaluate.drawn_vqa import is_clippo
from linmap.cli.evaluate.drawn_vqa_measure import refuse_shots
from linmap.cli.evaluate.model_cards import drawn_vqa_scores, require_card, update_card_of, vqa_scores
from linmap.cli.evaluate.options import MAX_SEED, AsJson, Device, MaxUnreadable, Photos, Split, UpdateCard
from linmap.cli.evaluate.vqa_run import BLIND, SEEING, Run, answer_all

if TYPE_CHECKING:
    from linmap.cli.models import Captioner
    from linmap.data.images import Photo, UnreadableImages
    from linmap.data.questions import VisualQuestion

__all__ = ["vqa"]


class VqaControl(StrEnum):
    """What answers are held against."""

    NONE = "none"
    BLIND = BLIND


MOST_SHOTS = 64
Questions = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        help='Questions: JSON list of {"file", "question", "answer", "split"}, VQAv2\'s questions, or a dataset '
        "(saved folder or organisation/name on the Hub).",
    ),
]


def vqa(
    context: typer.Context,
    data: Questions,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the photos.", show_default="those of the dataset")
    ] = None,
    annotations: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Answers of VQAv2.", show_default="in --data")
    ] = None,
    split: Split = None,
    shots: Annotated[
        str, typer.Option(metavar="N,N,…", help="Solved examples in front of a question, with commas between.")
    ] = "0,1,2,4",
    supports: Annotated[
        int, typer.Option(min=1, help="Sets of examples; the photos are dealt out to them in turn.")
    ] = 8,
    support_data: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Questions that examples are drawn from.", show_default="--data, held out by photo"
        ),
    ] = None,
    support_images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Their photos.", show_default="--images")
    ] = None,
    support_annotations: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Their answers, of VQAv2.", show_default="--annotations")
    ] = None,
    support_split: Annotated[
        str | None, typer.Option(help="Split that examples are drawn from.", show_default="as --split")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Of the draw of the examples.")] = 0,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Folder, or organisation/name on the Hub.", show_default="the bundled model"
        ),
    ] = None,
    clippo: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="A CLIPPO model that was fine-tuned to answer questions drawn above photos, in place of --model.",
            show_default="none",
        ),
    ] = None,
    control: Annotated[VqaControl, typer.Option(help="What is measured beside the model.")] = VqaControl.BLIND,
    limit: Photos = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Questions answered at a time.")] = 32,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write answers, results.json, results.md and results.png there; the same command goes on where it "
            "was cut off.",
            show_default="nothing written",
        ),
    ] = None,
    update_card: UpdateCard = False,
    max_unreadable: MaxUnreadable = 0,
    device: Device = "auto",
    dtype: Annotated[
        str, typer.Option(help="Number format of the language model: auto, bfloat16, float16 or float32.")
    ] = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure answers to questions about photos, with solved examples in front: few-shot VQA as in the paper.

    A prompt is "<image>Q: question A:", after n solved examples of that form, each with its photo on a line of its own.
    [bold]blind[/bold], the paper's control, is the language model alone with the same texts and no image tokens: what
    questions and examples give away without any photo. Keys and values of a set of examples are computed once.

    Where every question has ten answers (VQAv2) the score is VQA accuracy, else exact match and WUPS at 0.9 and 0.0
    (DAQUAR). Examples are about photos that no question is asked about: held out by the seed, or from --support-data,
    --support-split.

    With [bold]--clippo[/bold] a classifier reads the question drawn above the photo, and chooses one of its answers; no
    examples stand in front. It is held against the question without a photo (blind), above another photo, and the
    answer that is most frequent, over all and for the first two words of a question, in the questions that it learned
    from: --support-split or --support-data.

    [bold]Examples[/bold]

      linmap evaluate vqa --data daquar.json --images photos/ --split train --output results/

      linmap evaluate vqa --data questions_val.json --annotations answers_val.json --images val2014/
      --support-data questions_train.json --support-annotations answers_train.json --support-images train2014/

      linmap evaluate vqa --data daquar.json --images photos/ --shots 0,4 --supports 1 --limit 50 --json

      linmap evaluate vqa --clippo runs/vqa --data runs/vqa/questions.json --images photos/ --split "held out"
      --support-split train
    """
    from linmap.cli.devices import check_device, check_dtype, device_for

    check_device(device)
    check_dtype(dtype)
    numbers = _shots(shots)
    drawn_by = clippo or (model if is_clippo(model) else None)
    if clippo is not None and model is not None:
        raise typer.BadParameter("--clippo and --model each name the model; give one of them.")
    if drawn_by is not None:
        refuse_shots(context)
    if update_card:
        require_card(drawn_by or model, drawn_by or model or "the bundled model")
    from linmap.cli.messages import no_bars_off_terminals, quiet_libraries

    quiet_libraries()
    no_bars_off_terminals()
    from linmap.cli.evaluate import drawn_vqa_report, vqa_report
    from linmap.cli.evaluate.caption_run import results_folder
    from linmap.cli.evaluate.captioners import model_digest
    from linmap.cli.evaluate.drawn_vqa import classifier_folder
    from linmap.cli.evaluate.drawn_vqa_measure import measure_drawn
    from linmap.cli.evaluate.vqa_report import report_of, scores_of
    from linmap.cli.models import model_folder, read_config
    from linmap.cli.study.options import command_line
    from linmap.data.images import UnreadableImages
    from linmap.data.support_sets import draw_supports
    from linmap.evaluation.vqa import score_answers, vqa_metrics_for
    from linmap.evaluation.written_answers import WrittenAnswers
    from linmap.prefix.few_shot import MAX_ANSWER_TOKENS
    from linmap.prefix.few_shot_prompts import question_prompt

    if drawn_by is not None:
        classifier_folder(drawn_by)
    else:
        folder = model_folder(model)
        read_config(folder)  # a wrong one is said before the hours, not after them
    unreadable = UnreadableImages(max_unreadable)
    asked = _read(data, images, split, annotations, unreadable)
    pool = None
    if support_data is not None or support_split is not None:
        answers = support_annotations or (annotations if support_data is None else None)
        pool = _read(support_data or data, support_images or images, support_split, answers, unreadable)
    said = f"{support_data or data}" + (f", split {support_split}" if support_split else "")
    if drawn_by is not None:
        facts = {"data": data, "split": split, "support_data": said if pool else None, "digest": _digest([asked])}
        with results_folder(output, "vqa"):
            told, answered = measure_drawn(
                context,
                drawn_by,
                asked,
                pool,
                facts,
                unreadable,
                output=output,
                limit=limit,
                sets=supports,
                controls=control is not VqaControl.NONE,
                batch_size=batch_size,
                device=device,
            )
            _tell(told, answered, output, drawn_vqa_report, as_json=as_json)
        if update_card:
            update_card_of(drawn_by, list(drawn_vqa_scores(told)), quiet=as_json)
        return
    drawn = draw_supports(asked, max(numbers), supports, seed, pool=pool, limit=limit)
    metrics = vqa_metrics_for([question.answers for support in drawn for question in support.questions])
    score_answers(["desk"], [["desk"] * 10], metrics)  # WordNet is fetched before the hours, not after them
    decoding = {"do_sample": False, "num_beams": 1, "max_new_tokens": MAX_ANSWER_TOKENS}
    identity = {
        "model": model_digest(folder),
        "questions": _digest([part for support in drawn for part in (support.examples, support.questions)]),
        "shots": max(numbers),
        "decoding": decoding,
        "device": device_for(device).type,
        "dtype": dtype,
    }
    rows = [SEEING] if control is VqaControl.NONE else [SEEING, BLIND]
    run = Run([one for one in drawn if one.questions], numbers, rows, batch_size)
    with results_folder(output, "vqa"):
        written = WrittenAnswers(None if output is None else output / "answers.jsonl", identity)
        answer_all(lambda: _load(model, device, dtype), run, written, unreadable)
        scores, count, photos = scores_of(run, written, metrics)
        report: dict[str, Any] = {
            "rows": report_of(scores),
            "metrics": list(metrics),
            "shots": numbers,
            "control": None if control is VqaControl.NONE else str(control),
            "data": data,
            "split": split,
            "questions": count,
            "photos": photos,
            "left_out": len(unreadable.errors),
            "supports": supports,
            "support_data": said,
            "seed": seed,
            "prompt": question_prompt("{question}", "<image>"),
            "decoding": decoding,
            "model": model or "the bundled model",
            "command": command_line(context),
        }
        _tell(report, scores, output, vqa_report, as_json=as_json)
    if update_card:
        update_card_of(model, list(vqa_scores(report)), quiet=as_json)


def _shots(text: str) -> list[int]:
    numbers = []
    for word in text.split(","):
        if not word.strip().isdecimal() or int(word) > MOST_SHOTS:
            raise typer.BadParameter(f"--shots: {word.strip()!r} is no whole number from 0 to {MOST_SHOTS}.")
        numbers.append(int(word))
    return sorted(set(numbers))


def _read(
    data: str, images: Path | None, split: str | None, annotations: Path | None, unreadable: UnreadableImages
) -> list[VisualQuestion]:
    """Questions of a file, or of a dataset where there is no such file."""
    from linmap.data.questions import questions_from_dataset, read_questions
    from linmap.data.text_files import is_file
    from linmap.errors import QuestionDataError

    if is_file(Path(data)) or data.endswith(".json"):
        if images is None:
            raise QuestionDataError(f"{data} names photos; say where they lie: --images DIR.")
        return read_questions(data, images, split, annotations=annotations, unreadable=unreadable)
    from linmap.data.captions import load_split

    return questions_from_dataset(load_split(data, split))


def _digest(parts: Sequence[Sequence[VisualQuestion]]) -> str:
    """Of everything that is asked and shown."""
    facts = [
        [[one.key, one.photo.rpartition("/")[2], _size(one.image), one.question, one.shown] for one in part]
        for part in parts
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _size(photo: Photo) -> int:
    """Of a file, in bytes: another photo under the same name has another."""
    return photo.stat().st_size if isinstance(photo, Path) else 0


def _load(model: str | None, device: str, dtype: str) -> Captioner:
    from linmap.cli.models import load_captioner
    from linmap.errors import CaptioningError

    captioner = load_captioner(model, device, dtype)
    if captioner.model.encoder is None:
        raise CaptioningError("This model holds no image encoder: it reads features, not photos. Name one that does.")
    return captioner


def _tell(report: dict[str, Any], scores: Any, folder: Path | None, form: ModuleType, *, as_json: bool) -> None:
    """Writes the files that are asked for, and the report to stdout whatever becomes of them.

    Args:
        report: What is told.
        scores: What it was made of.
        folder: Where files go.
        form: Of `vqa_report` and `drawn_vqa_report` the one that knows these scores.
        as_json: One line of JSON in place of tables.
    """
    from linmap.cli.evaluate.caption_report import results_json, write_file

    files = [] if folder is None else [folder / f"results.{kind}" for kind in ("json", "md", "png")]
    try:
        if files:
            write_file(files[0], results_json(report))
            write_file(files[1], form.markdown(report, scores))
            form.plot(scores, files[2])
    finally:  # a file that cannot be written is an error, and no reason to lose the numbers
        if as_json:
            typer.echo(json.dumps(report))
        else:
            _print(form.console_lines(report, scores), files)


def _print(lines: list[Any], files: list[Path]) -> None:
    from rich.console import Console

    from linmap.cli.evaluate.output import WIDE

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, emoji=False, width=WIDE)
    for line in lines:
        console.print(line, soft_wrap=isinstance(line, str))
    said = f"written: {', '.join(map(str, files))}" if files else "nothing written; --output DIR keeps it"
    console.print(said, soft_wrap=True)
