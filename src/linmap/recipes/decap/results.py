"""What a finished run of DeCap leaves in its folder: the model with its memory, its card, the numbers and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from linmap.cards import write_model_card
from linmap.cards.scores import dataset_name
from linmap.recipes.callbacks import plot_history, plot_losses
from linmap.recipes.decap.assembly import DeCapParts
from linmap.recipes.decap.schema import DeCapRecipe
from linmap.recipes.outputs import OutputFolder
from linmap.recipes.pace import Pace
from linmap.recipes.recipe import recipe_to_yaml
from linmap.recipes.results import TRAINED_BY, epoch_facts, write_log

if TYPE_CHECKING:
    from transformers import TrainerState

    from linmap.decap.modeling import DeCapModel

__all__ = ["DeCapRunFacts", "plot_run", "round_learned", "write_results"]


@dataclass(frozen=True)
class DeCapRunFacts:
    """What is known of a run beside its recipe and its log.

    Args:
        texts: Sentences learned from.
        validation_texts: Sentences the loss was measured on.
        photos: Photos that captions were scored on; 0 without any.
        table: CIDEr-D of each strategy and of its blind control, as `PhotoValidation.table` gives it.
        pace: Batches, steps and epochs.
        seconds: Time the training took, from its start or its last resumption on.
        device: Where it ran.
    """

    texts: int
    validation_texts: int
    photos: int
    table: dict[str, dict[str, float]]
    pace: Pace
    seconds: float
    device: str


def plot_run(history: Sequence[dict[str, float]], folder: Path) -> None:
    """Draws `loss.png` and, if captions were scored, `cider_d.png` into `folder`."""
    plot_losses(history, folder / "loss.png")
    if any("eval_cider_d" in entry for entry in history):
        plot_history(history, folder / "cider_d.png", {"eval_cider_d": ("greedy captions", "o-")}, "CIDEr-D")


@torch.no_grad()
def round_learned(model: DeCapModel, dtype: torch.dtype) -> dict[str, Tensor]:
    """Rounds what was learned to `dtype`, in place, so that what is scored is what is saved.

    Returns:
        What was learned, in `dtype`; a head that is the embedding table stands there once.
    """
    tied = set(model.all_tied_weights_keys)
    learned = {name for name, weight in model.named_parameters(remove_duplicate=False) if weight.requires_grad} - tied
    weights = model.state_dict()
    for name in learned:
        weights[name].copy_(weights[name].to(dtype))
    return {name: weights[name].to(dtype) for name in weights if name in learned}


def write_results(
    recipe: DeCapRecipe,
    parts: DeCapParts,
    learned: dict[str, Tensor],
    state: TrainerState,
    folder: OutputFolder,
    facts: DeCapRunFacts,
) -> None:
    """Writes the model with its memory and everything about the run; the log comes last and says that all is there.

    Args:
        recipe: As resolved.
        parts: The model with its memory, and its processor.
        learned: What `model.safetensors` is to hold.
        state: Of the training.
        folder: Of the run.
        facts: The rest.
    """
    model, processor, _ = parts
    model.save_pretrained(folder.path, state_dict=learned)
    processor.save_pretrained(folder.path)
    plot_run(state.log_history, folder.path)
    epochs = epoch_facts(state, facts.pace, recipe.training.epochs, recipe.evaluation.metric)
    backbones = model.config.backbones or {}
    write_model_card(
        folder.path,
        kind="decap",
        backbones=backbones,
        trained=["decoder"] if model.config.train_decoder and "decoder" in backbones else [],
        training=_card_facts(recipe, model, facts, epochs),
        scores=_card_scores(recipe, model, facts),
    )
    write_log(
        folder,
        {
            **epochs,
            "strategies": facts.table,
            "tau": recipe.model.tau,
            "texts": facts.texts,
            "validation_texts": facts.validation_texts,
            "memory_captions": 0 if model.memory is None else len(model.memory),
            "photos": facts.photos,
            "seconds": facts.seconds,
            "device": facts.device,
            "torch": torch.__version__,
            "history": state.log_history,
        },
    )


def _card_facts(
    recipe: DeCapRecipe, model: DeCapModel, facts: DeCapRunFacts, epochs: Mapping[str, Any]
) -> dict[str, Any]:
    chosen_by = (
        f"loss on {facts.validation_texts:,} other sentences"
        if recipe.evaluation.metric == "loss"
        else f"CIDEr-D on {facts.photos:,} photos"
    )
    memory = model.memory
    return {
        "command": TRAINED_BY,
        "recipe": recipe_to_yaml(recipe).rstrip(),
        "data": {
            "what": recipe.description,
            "sentences": f"{facts.texts:,}",
            "photos": "none",
            "terms": recipe.data_terms,
        },
        "license": recipe.license,
        "steps": f"{epochs['steps']:,} of {facts.pace.batch_size:,} sentences ({recipe.training.epochs} epochs)",
        "weights kept": f"epoch {epochs['best_epoch']:g}, the best {chosen_by}",
        "memory": None if memory is None else f"{len(memory):,} sentences of the training text, {memory.dtype}",
    }


def _card_scores(recipe: DeCapRecipe, model: DeCapModel, facts: DeCapRunFacts) -> list[dict[str, Any]]:
    """A row for each strategy, its blind control beside it."""
    photos = recipe.evaluation.photos
    if photos is None:
        return []
    beams = model.generation_config.num_beams or 1
    search = "greedy" if beams == 1 else f"{beams} beams"
    decoding = {
        "projection": f"projection, tau {recipe.model.tau:g}, {search}",
        "nearest": f"nearest, {search}",
        "visual": f"visual, {search}",
        "retrieval": "retrieval, no decoder",
    }
    alike = {
        "metric": "CIDEr-D",
        "dataset": dataset_name(photos.captions),
        "split": photos.split,
        "photos": facts.photos,
        "tokenizer": photos.tokenizer,
        "command": TRAINED_BY,
    }
    return [
        {**alike, "decoding": decoding[strategy], "control": control, "value": float(value)}
        for strategy, scores in facts.table.items()
        for control, value in ((None, scores["cider_d"]), ("blind", scores["blind"]))
    ]
