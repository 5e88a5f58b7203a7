"""What finished runs that learn from pairs leave alike: recall both ways beside chance, as numbers and plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from linmap.cards.scores import dataset_name
from linmap.recipes.callbacks import plot_history, plot_losses
from linmap.recipes.results import TRAINED_BY

if TYPE_CHECKING:
    from torch import Tensor

    from linmap.evaluation.retrieval import RetrievalScores
    from linmap.recipes.sections import CaptionedPhotosRecipe

__all__ = ["PairRunFacts", "log_of_pairs", "plot_run", "scores_for_card"]

WAYS = {"text_to_image": "text to image", "image_to_text": "image to text"}


@dataclass(frozen=True, kw_only=True)
class PairRunFacts:
    """What is known of a run beside its recipe and its log.

    Args:
        photos: Photos learned from.
        captions: Captions learned from.
        validation_photos: Photos the weights were chosen by.
        validation_captions: Their captions.
        scores: Retrieval on the validation photos with the weights that are kept, and chance.
        seconds: Time the training took, from its start or its last resumption on.
        device: Where it ran.
        processes: How many ran it together.
    """

    photos: int
    captions: int
    validation_photos: int
    validation_captions: int
    scores: RetrievalScores
    seconds: float
    device: str
    processes: int = 1


def plot_run(history: Sequence[dict[str, float]], folder: Path) -> None:
    """Draws `loss.png` and `recall.png` into `folder`."""
    plot_losses(history, folder / "loss.png", unit="nats a pair")
    styles = {"R@1": ":", "R@5": "--", "R@10": "-"}
    lines = {
        f"eval_{way}_{name}": (f"{words}, {name}", f"{colour}{style}")
        for (way, words), colour in zip(WAYS.items(), ("C0", "C1"), strict=True)
        for name, style in styles.items()
    }
    plot_history(history, folder / "recall.png", lines, "validation recall (%)")


def log_of_pairs(facts: PairRunFacts, logit_scale: Tensor, history: Sequence[dict[str, float]]) -> dict[str, Any]:
    """What the log of a run says of its data, its scores and the machine.

    Args:
        facts: Of the run.
        logit_scale: Logarithm of the inverse temperature.
        history: `TrainerState.log_history`.
    """
    return {
        "text_to_image": facts.scores.text_to_image,
        "image_to_text": facts.scores.image_to_text,
        "chance_text_to_image": facts.scores.chance_text_to_image,
        "chance_image_to_text": facts.scores.chance_image_to_text,
        "logit_scale": float(logit_scale.detach().exp()),
        "photos": facts.photos,
        "captions": facts.captions,
        "validation_photos": facts.validation_photos,
        "validation_captions": facts.validation_captions,
        "seconds": facts.seconds,
        "device": facts.device,
        "processes": facts.processes,
        "torch": torch.__version__,
        "history": list(history),
    }


def scores_for_card(scores: RetrievalScores, data: CaptionedPhotosRecipe) -> list[dict[str, Any]]:
    """Recall both ways with chance, on the photos that chose the weights; see `linmap.cards.model_card`."""
    measured = {
        "text_to_image": (scores.text_to_image, scores.chance_text_to_image),
        "image_to_text": (scores.image_to_text, scores.chance_image_to_text),
    }
    alike = {
        "dataset": dataset_name(data.validation_captions or data.captions),
        "split": data.validation_split or "validation",
        "photos": scores.images,
        "texts": scores.texts,
        "command": TRAINED_BY,
    }
    return [
        {"metric": f"{WAYS[way]} {name}, %", "value": float(value), "control": control, **alike}
        for way, (recall, chance) in measured.items()
        for name in recall
        for control, value in ((None, recall[name]), ("chance", chance[name]))
    ]
