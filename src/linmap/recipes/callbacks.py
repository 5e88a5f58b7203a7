"""What a run shows while it trains: a progress bar, the loss as a picture, captions of a few photos as a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from transformers import ProgressCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

__all__ = ["HistoryPlot", "ProgressBar", "SamplePage", "plot_history", "plot_losses"]

THUMBNAIL = 320  # pixels, the longer side


class ProgressBar(ProgressCallback):
    """One bar over the steps, with the newest loss, validation loss and learning rate behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.newest: dict[str, str] = {}

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Writes the newest numbers behind the bar."""
        shown = {
            "loss": "loss",
            "eval_loss": "val_loss",
            "eval_cider": "val_cider",
            "eval_cider_d": "val_cider_d",
            "eval_recall": "val_R@10",
            "learning_rate": "lr",
        }
        self.newest |= {shown[key]: f"{value:.4g}" for key, value in (logs or {}).items() if key in shown}
        if self.training_bar is not None:
            self.training_bar.set_postfix(self.newest)


def plot_losses(history: Sequence[dict[str, float]], path: Path, unit: str = "nats a token") -> None:
    """Draws the training and validation loss over the steps, as a PNG.

    Args:
        history: `TrainerState.log_history`: dictionaries with `step` and `loss` or `eval_loss`.
        path: Where the picture goes; replaced in one move.
        unit: Of the loss.
    """
    lines = {"loss": ("training", "-"), "eval_loss": ("validation", "o-")}
    plot_history(history, path, lines, f"loss ({unit})")


def plot_history(
    history: Sequence[dict[str, float]], path: Path, lines: Mapping[str, tuple[str, str]], label: str
) -> None:
    """Draws logged numbers over the steps, as a PNG.

    Args:
        history: `TrainerState.log_history`: dictionaries with `step` and some of the numbers.
        path: Where the picture goes; replaced in one move.
        lines: For each number its name in the legend and matplotlib's style of its line.
        label: What the numbers are, with their unit.
    """
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    for key, (name, style) in lines.items():
        points = [(entry["step"], entry[key]) for entry in history if key in entry]
        if points:
            axes.plot(*zip(*points, strict=True), style, label=name, markersize=3, linewidth=1)
    axes.set(xlabel="step", ylabel=label)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend()
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    figure.savefig(part)
    part.replace(path)


class HistoryPlot(TrainerCallback):
    """Draws what has been logged so far at every evaluation.

    Args:
        draw: From `TrainerState.log_history` to a picture on disk.
    """

    def __init__(self, draw: Callable[[Sequence[dict[str, float]]], None]) -> None:
        self.draw = draw

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Draws."""
        self.draw(state.log_history)


class SamplePage(TrainerCallback):
    """Writes `samples.md` at every evaluation: a few photos, a reference, and how their captions change.

    The pictures lie beside it in `samples/`, as does what has been captioned so far (`captions.json`), from which a
    resumed run goes on.

    Args:
        folder: Output folder of the run.
        pictures: The photos; None for one of which only the features are here.
        references: A caption of each, written by a person.
        caption: Captions the photos with the model as it is now, one text each.
        names: What to call those without a picture.
    """

    def __init__(
        self,
        folder: Path,
        pictures: Sequence[Image.Image | None],
        references: Sequence[str],
        caption: Callable[[], list[str]],
        names: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.unseen = {
            number: name
            for number, (name, picture) in enumerate(zip(names, pictures, strict=False), 1)
            if picture is None
        }
        self.references = references
        self.caption = caption
        self.rows: list[dict[str, Any]] = []
        (folder / "samples").mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(pictures, 1):
            if picture is None:
                continue
            small = picture.convert("RGB")
            small.thumbnail((THUMBNAIL, THUMBNAIL))
            small.save(folder / "samples" / f"{number}.jpg", quality=90)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Takes up the captions written up to the step this run starts at."""
        kept = self.folder / "samples" / "captions.json"
        if state.global_step and kept.is_file():
            rows = json.loads(kept.read_text(encoding="utf-8"))
            self.rows = [row for row in rows if row["step"] <= state.global_step]

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Captions the photos and writes the page."""
        loss = (metrics or {}).get("eval_loss")
        self.rows.append({"step": state.global_step, "loss": loss, "captions": self.caption()})
        _replace(self.folder / "samples" / "captions.json", json.dumps(self.rows, indent=1, ensure_ascii=False))
        _replace(self.folder / "samples.md", self.page())

    def page(self) -> str:
        """The page as Markdown; the newest captions stand first."""
        lines = ["# Captions while training", ""]
        for number, reference in enumerate(self.references, 1):
            photo = f"![photo {number}](samples/{number}.jpg)"
            if number in self.unseen:
                photo = f"Photo {number}: {_cell(self.unseen[number])}"
            lines += [photo, "", f"Reference: {_cell(reference)}", ""]
            lines += ["| step | validation loss | caption |", "|---:|---:|---|"]
            for row in reversed(self.rows):
                loss = "" if row["loss"] is None else f"{row['loss']:.3f}"
                lines.append(f"| {row['step']} | {loss} | {_cell(row['captions'][number - 1])} |")
            lines.append("")
        return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|") or "(empty)"


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
