"""What a finished run of a dual encoder leaves in its folder: the model, its card, the numbers and their plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from linmap.cards import write_model_card
from linmap.recipes.callbacks import plot_history, plot_losses
from linmap.recipes.dual.schema import DualRecipe
from linmap.recipes.outputs import OutputFolder
from linmap.recipes.pace import Pace
from linmap.recipes.recipe import recipe_to_yaml
from linmap.recipes.results import epoch_facts, write_log

if TYPE_CHECKING:
    from transformers import TrainerState

    from linmap.dual.modeling import DualEncoderModel
    from linmap.dual.processing import DualEncoderProcessor
    from linmap.evaluation.retrieval import RetrievalScores

__all__ = ["DualRunFacts", "plot_run", "write_results"]

WAYS = {"text_to_image": "text to image", "image_to_text": "image to text"}


@dataclass(frozen=True)
class DualRunFacts:
    """What is known of a run beside its recipe and its log.

    Args:
        photos: Photos learned from.
        captions: Captions learned from.
        validation_photos: Photos the weights were chosen by.
        validation_captions: Their captions.
        pace: Batches, steps and epochs.
        scores: Retrieval on the validation photos with the weights that are kept, and chance.
        seconds: Time the training took, from its start or its last resumption on.
        device: Where it ran.
    """

    photos: int
    captions: int
    validation_photos: int
    validation_captions: int
    pace: Pace
    scores: RetrievalScores
    seconds: float
    device: str


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


def write_results(
    recipe: DualRecipe,
    model: DualEncoderModel,
    processor: DualEncoderProcessor,
    state: TrainerState,
    folder: OutputFolder,
    facts: DualRunFacts,
) -> None:
    """Writes the model as it is and everything about the run; the log comes last and says that all is there."""
    model.save_pretrained(folder.path)
    processor.save_pretrained(folder.path)
    plot_run(state.log_history, folder.path)
    write_model_card(
        folder.path,
        kind="dual_encoder",
        backbones=model.config.backbones or {},
        trained=[f"{tower}_encoder" for tower in recipe.model.trained_towers],
        training=_card_facts(recipe, model, state, facts),
        scores=_card_scores(recipe, facts),
    )
    write_log(
        folder,
        {
            **epoch_facts(state, facts.pace, recipe.training.epochs, recipe.evaluation.metric),
            "text_to_image": facts.scores.text_to_image,
            "image_to_text": facts.scores.image_to_text,
            "chance_text_to_image": facts.scores.chance_text_to_image,
            "chance_image_to_text": facts.scores.chance_image_to_text,
            "logit_scale": float(model.logit_scale.detach().exp()),
            "photos": facts.photos,
            "captions": facts.captions,
            "validation_photos": facts.validation_photos,
            "validation_captions": facts.validation_captions,
            "seconds": facts.seconds,
            "device": facts.device,
            "torch": torch.__version__,
            "history": state.log_history,
        },
    )


def _card_facts(
    recipe: DualRecipe, model: DualEncoderModel, state: TrainerState, facts: DualRunFacts
) -> dict[str, Any]:
    best_epoch = round((state.best_global_step or 0) / facts.pace.steps_per_epoch, 2)
    means = "recall" if recipe.evaluation.metric == "recall" else "loss"
    return {
        "command": "linmap train recipe.yaml",
        "recipe": recipe_to_yaml(recipe).rstrip(),
        "data": {"what": recipe.description, "photos": f"{facts.photos:,}", "captions": f"{facts.captions:,}"},
        "license": recipe.license,
        "steps": f"{state.global_step:,} of {facts.pace.batch_size:,} pairs ({recipe.training.epochs} epochs)",
        "weights kept": f"epoch {best_epoch:g}, the best {means} on {facts.validation_photos:,} validation photos",
        "temperature": f"1/{float(model.logit_scale.detach().exp()):.1f}",
    }


def _card_scores(recipe: DualRecipe, facts: DualRunFacts) -> list[dict[str, Any]]:
    """Recall both ways with chance, on the photos that chose the weights."""
    scores = facts.scores
    measured = {
        "text_to_image": (scores.text_to_image, scores.chance_text_to_image),
        "image_to_text": (scores.image_to_text, scores.chance_image_to_text),
    }
    alike = {"split": recipe.data.validation_split or "validation", "photos": scores.images, "texts": scores.texts}
    return [
        {"metric": f"{WAYS[way]} {name}, %", "value": float(value), "control": control, **alike}
        for way, (recall, chance) in measured.items()
        for name in recall
        for control, value in ((None, recall[name]), ("chance", chance[name]))
    ]
