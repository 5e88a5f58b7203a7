"""What a finished run of CLIPPO leaves in its folder: the model, its card, the numbers and their plots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from linmap.cards import write_model_card
from linmap.recipes.clippo.schema import ClippoRecipe
from linmap.recipes.outputs import OutputFolder
from linmap.recipes.pair_results import PairRunFacts, log_of_pairs, plot_run, scores_for_card
from linmap.recipes.recipe import recipe_to_yaml
from linmap.recipes.results import TRAINED_BY, write_log

if TYPE_CHECKING:
    from transformers import TrainerState

    from linmap.clippo.modeling import ClippoModel
    from linmap.clippo.processing import ClippoProcessor

__all__ = ["write_results"]


def write_results(
    recipe: ClippoRecipe,
    model: ClippoModel,
    processor: ClippoProcessor,
    state: TrainerState,
    folder: OutputFolder,
    facts: PairRunFacts,
) -> None:
    """Writes the model as it is and everything about the run; the log comes last and says that all is there."""
    model.save_pretrained(folder.path)
    processor.save_pretrained(folder.path)
    plot_run(state.log_history, folder.path)
    started = model.config.initialised_from
    write_model_card(
        folder.path,
        kind="clippo",
        backbones={} if started is None else {"tower": started},
        trained=() if started is None else ("tower",),
        training=_card_facts(recipe, model, state, facts),
        scores=scores_for_card(facts.scores, recipe.data),
    )
    write_log(
        folder,
        {
            "steps": state.global_step,
            "epochs": round(state.global_step * recipe.photo_rows / facts.captions, 2) if facts.captions else 0.0,
            "batch_size": recipe.training.batch_size,
            "text_pairs": dict(zip([said.kind for said in recipe.data.text_pairs], recipe.text_rows, strict=True)),
            "parameters": model.num_parameters(),
            "best_step": state.best_global_step,
            f"best_{recipe.evaluation.metric}": state.best_metric,
            **log_of_pairs(facts, model.logit_scale, state.log_history),
        },
    )


def _card_facts(recipe: ClippoRecipe, model: ClippoModel, state: TrainerState, facts: PairRunFacts) -> dict[str, Any]:
    means = "recall" if recipe.evaluation.metric == "recall" else "loss"
    texts = ", ".join(
        f"{count} {said.kind.replace('_', ' ')}"
        for said, count in zip(recipe.data.text_pairs, recipe.text_rows, strict=True)
    )
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
        "parameters": f"{model.num_parameters():,}",
        "steps": f"{state.global_step:,} of {recipe.training.batch_size:,} pairs",
        "text-text pairs in each batch": texts or None,
        "weights kept": f"step {state.best_global_step}, the best {means} on {facts.validation_photos:,} validation "
        "photos",
        "temperature": f"1/{float(model.logit_scale.detach().exp()):.1f}",
    }
