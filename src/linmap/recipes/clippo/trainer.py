"""The trainer of a CLIPPO run: which weights decay, Adafactor with a momentum, the inverse square root schedule."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from transformers import Adafactor

from linmap.recipes.clippo.schema import ClippoTrainingRecipe
from linmap.recipes.contrastive_trainer import ContrastiveTrainer
from linmap.recipes.schedules import inverse_sqrt_schedule

__all__ = ["ClippoTrainer"]


class ClippoTrainer(ContrastiveTrainer):
    """`ContrastiveTrainer` for CLIPPO.

    Args:
        said: The optimiser's part of the recipe.
        **kwargs: What `ContrastiveTrainer` takes.
    """

    def __init__(self, *, said: ClippoTrainingRecipe, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._said = said

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """Weights of linear layers and of the patch embedding: what the original calls kernels."""
        return [f"{name}.weight" for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """The Trainer's AdamW, or Adafactor with momentum."""
        if self._said.optimizer == "adamw" or self.optimizer is not None:
            return super().create_optimizer(model)
        learned: nn.Module = self.model if model is None else model  # type: ignore[assignment]
        decaying = set(self.get_decay_parameter_names(learned))
        weights = [(name, weight) for name, weight in learned.named_parameters() if weight.requires_grad]
        groups = [
            {
                "params": [weight for name, weight in weights if (name in decaying) == decays],
                "weight_decay": self._said.weight_decay if decays else 0.0,
            }
            for decays in (True, False)
        ]
        self.optimizer = Adafactor(
            groups,
            lr=self._said.learning_rate,
            beta1=self._said.betas[0],
            clip_threshold=math.inf,
            decay_rate=-0.8,
            scale_parameter=False,
            relative_step=False,
        )
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:
        """The Trainer's own, or the inverse square root."""
        if self._said.schedule != "inverse_sqrt" or self.lr_scheduler is not None:
            return super().create_scheduler(num_training_steps, optimizer)
        moved = self.optimizer if optimizer is None else optimizer
        assert moved is not None
        self.lr_scheduler = inverse_sqrt_schedule(
            moved,
            steps=num_training_steps,
            warmup=self._said.warmup_steps,
            timescale=self._said.timescale,
            cooldown=self._said.cooldown_steps,
        )
        return self.lr_scheduler
