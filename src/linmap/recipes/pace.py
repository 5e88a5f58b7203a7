"""Epochs in steps: how a run that counts passes over its data looks to a trainer that counts batches."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Pace"]


@dataclass(frozen=True)
class Pace:
    """Epochs in steps.

    Args:
        batch_size: Examples in a batch.
        steps_per_epoch: Batches in which each example is shown once.
        steps: Of the whole run.
        warmup_steps: Of these, those in which the learning rate grows.
        evaluation_steps: Between two evaluations.
    """

    batch_size: int
    steps_per_epoch: int
    steps: int
    warmup_steps: int
    evaluation_steps: int

    @classmethod
    def of(
        cls,
        examples: int,
        batch_size: int,
        *,
        epochs: int,
        epochs_between_evaluations: int,
        warmup_share: float = 0.0,
        warmup_steps: int = 0,
    ) -> Pace:
        """How so many passes over so many examples go.

        Args:
            examples: Shown once in each epoch.
            batch_size: Of them shown at once.
            epochs: Passes.
            epochs_between_evaluations: Passes from one evaluation to the next.
            warmup_share: Share of all steps that are warm-up.
            warmup_steps: Or their number.

        Example:
            >>> Pace.of(30_000, 64, epochs=4, epochs_between_evaluations=1, warmup_share=0.1).warmup_steps
            188
        """
        steps_per_epoch = math.ceil(examples / batch_size)
        steps = epochs * steps_per_epoch
        return cls(
            batch_size=batch_size,
            steps_per_epoch=steps_per_epoch,
            steps=steps,
            warmup_steps=warmup_steps or round(warmup_share * steps),
            evaluation_steps=epochs_between_evaluations * steps_per_epoch,
        )
