"""What a finished run of a dual encoder leaves in its folder: the model, its card, the numbers and their plots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from linmap.cards import write_model_card
from linmap.recipes.dual.schema import DualRecipe
from linmap.recipes.outputs import OutputFolder
from linmap.recipes.pace import Pace
from linmap.recipes.pair_results import PairRunFacts, log_of_pairs, plot_run, scores_for_card
from linmap.recipes.recipe import recipe_to_yaml
from linmap.recipes.results import TRAINED_BY, epoch_facts, write_log

if TYPE_CHECKING:
    from transformers import TrainerState

    from linmap.dual.modeling import DualEncoderModel
    from linmap.dual.processing import DualEncoderProcessor

__all__ = ["write_results"]


def write_results(
    recipe: DualRecipe,
    model: DualEncoderModel,
    processor: DualEncoderProcessor,
    state: TrainerState,
    folder: OutputFolder,
    facts: PairRunFacts,
    pace: Pace,
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
        training=_card_facts(recipe, model, state, facts, pace),
        scores=scores_for_card(facts.scores, recipe.data),
    )
    write_log(
        folder,
        {
            **epoch_facts(state, pace, recipe.training.epochs, recipe.evaluation.metric),
            **log_of_pairs(facts, model.logit_scale, state.log_history),
        },
    )


def _card_facts(
    recipe: DualRecipe, model: DualEncoderModel, state: TrainerState, facts: PairRunFacts, pace: Pace
) -> dict[str, Any]:
    best_epoch = round((state.best_global_step or 0) / pace.steps_per_epoch, 2)
    means = "recall" if recipe.evaluation.metric == "recall" else "loss"
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
        "steps": f"{state.global_step:,} of {pace.batch_size:,} pairs ({recipe.training.epochs} epochs)",
        "weights kept": f"epoch {best_epoch:g}, the best {means} on {facts.validation_photos:,} validation photos",
        "temperature": f"1/{float(model.logit_scale.detach().exp()):.1f}",
    }
