"""What a finished run leaves in its folder: the model, its card, the numbers and their plot."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from linmap.cards import write_model_card
from linmap.recipes.callbacks import plot_losses
from linmap.recipes.outputs import LOG_FILE, OutputFolder
from linmap.recipes.pace import Pace
from linmap.recipes.recipe import recipe_to_yaml
from linmap.recipes.schema import GenerationRecipe, Recipe

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedTokenizerBase, TrainerState

    from linmap.prefix.modeling import LinearVisionPrefixModel
    from linmap.prefix.processing import LinearVisionPrefixProcessor

__all__ = ["TRAINED_BY", "RunFacts", "epoch_facts", "generate_by_default", "write_log", "write_results"]

TRAINED_BY = "linmap train recipe.yaml"
"""The command that a card gives for what training did; the folder of a run holds the recipe."""


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run beside its recipe and its log.

    Args:
        photos: Photos learned from.
        captions: Captions learned from.
        validation_photos: Photos the weights were chosen by.
        explained: Share of the variance the ridge start explains; None without one, or when the run was resumed.
        seconds: Time the training took, from its start or its last resumption on.
        device: Where it ran.
        processes: How many ran it together.
    """

    photos: int
    captions: int
    validation_photos: int
    explained: float | None
    seconds: float
    device: str
    processes: int = 1


def write_results(
    recipe: Recipe,
    model: LinearVisionPrefixModel,
    processor: LinearVisionPrefixProcessor,
    state: TrainerState,
    folder: OutputFolder,
    facts: RunFacts,
) -> None:
    """Writes the model as it is and everything about the run; the log comes last and says that all is there."""
    generate_by_default(model.generation_config, recipe.generation, processor.tokenizer)
    model.save_pretrained(folder.path)
    processor.save_pretrained(folder.path)
    plot_losses(state.log_history, folder.path / "loss.png")
    batch = recipe.training.batch_size * recipe.training.gradient_accumulation * facts.processes
    epochs = round(state.global_step * batch / facts.captions, 2)
    write_model_card(folder.path, **model.card_facts(), training=_card_facts(recipe, state, facts, epochs))
    log = {
        "steps": state.global_step,
        "epochs": epochs,
        "best_step": state.best_global_step,
        f"best_{recipe.evaluation.metric}": state.best_metric,
        "photos": facts.photos,
        "captions": facts.captions,
        "validation_photos": facts.validation_photos,
        "ridge_explained_variance": facts.explained,
        "seconds": facts.seconds,
        "device": facts.device,
        "processes": facts.processes,
        "torch": torch.__version__,
        "history": state.log_history,
    }
    write_log(folder, log)


def generate_by_default(config: GenerationConfig, said: GenerationRecipe, tokenizer: PreTrainedTokenizerBase) -> None:
    """Writes into a model's generation configuration what its recipe says; tokens suppressed there already stay so."""
    settings = asdict(said)
    if settings.pop("one_line"):
        pieces = tokenizer.batch_decode([[token] for token in range(len(tokenizer))])
        broken = {token for token, piece in enumerate(pieces) if "\n" in piece}
        settings["suppress_tokens"] = sorted(broken.union(config.suppress_tokens or ()))
    config.update(**settings)


def epoch_facts(state: TrainerState, pace: Pace, epochs: int, metric: str) -> dict[str, Any]:
    """What the log says of a run that counts epochs: its steps, and which of them was the best by `metric`."""
    return {
        "steps": state.global_step,
        "epochs": epochs,
        "steps_per_epoch": pace.steps_per_epoch,
        "batch_size": pace.batch_size,
        "best_step": state.best_global_step,
        "best_epoch": round((state.best_global_step or 0) / pace.steps_per_epoch, 2),
        f"best_{metric}": state.best_metric,
    }


def write_log(folder: OutputFolder, log: dict[str, Any]) -> None:
    """Writes the numbers of a run, in one move: with them it is finished."""
    part = folder.path / f"{LOG_FILE}.part"
    part.write_text(json.dumps(log, indent=1), encoding="utf-8")
    part.replace(folder.path / LOG_FILE)


def _card_facts(recipe: Recipe, state: TrainerState, facts: RunFacts, epochs: float) -> dict[str, Any]:
    best = "CIDEr-D" if recipe.evaluation.metric == "cider" else "loss, nats a token"
    score = None if state.best_metric is None else f"{state.best_metric:.3f}"
    return {
        "command": TRAINED_BY,
        "recipe": recipe_to_yaml(recipe).rstrip(),
        "data": {
            "what": recipe.description,
            "photos": f"{facts.photos:,}",
            "captions": f"{facts.captions:,}",
            "terms": recipe.data_terms,
        },
        "license": recipe.license,
        "steps": f"{state.global_step:,} ({epochs} epochs)",
        "weights kept": f"step {state.best_global_step}, the best on {facts.validation_photos:,} validation photos",
        f"validation {best}": score,
        "start": f"ridge regression, explaining {facts.explained:.1%} of the variance" if facts.explained else None,
    }
