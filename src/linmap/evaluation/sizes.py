"""A score against a size: of a memory, of a training set; several draws of each size."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from linmap.errors import EvaluationError

__all__ = ["SizeScores", "scores_by_size"]


@dataclass(frozen=True, slots=True)
class SizeScores:
    """What was measured at one size.

    Args:
        size: How many.
        scores: For each thing measured one score a draw.
    """

    size: int
    scores: dict[str, tuple[float, ...]]

    @property
    def draws(self) -> int:
        """How often the size was drawn."""
        return len(next(iter(self.scores.values())))

    def mean(self, name: str) -> float:
        """Over the draws."""
        return statistics.fmean(self.scores[name])

    def range(self, name: str) -> tuple[float, float]:
        """The lowest and the highest of the draws."""
        return min(self.scores[name]), max(self.scores[name])


def scores_by_size(
    measure: Callable[[int, int], Mapping[str, float]], sizes: Sequence[int], *, whole: int, seeds: int = 1
) -> tuple[SizeScores, ...]:
    """Measures at each size, the smallest first, once a draw; of the whole there is one draw.

    Args:
        measure: From a size and a seed, 0 to `seeds - 1`, to scores by name, the same names each time.
        sizes: From 1 to `whole`; those that come twice are measured once.
        whole: What there is to draw from.
        seeds: Draws of each size.

    Raises:
        EvaluationError: No size, or one that cannot be drawn; no seed.

    Example:
        >>> rows = scores_by_size(lambda size, seed: {"PD": size + seed}, [2, 4], whole=4, seeds=2)
        >>> [(row.size, row.scores) for row in rows]
        [(2, {'PD': (2, 3)}), (4, {'PD': (4,)})]
    """
    if wrong := [size for size in sizes if not 1 <= size <= whole]:
        raise EvaluationError(f"The size {wrong[0]:,} cannot be drawn from {whole:,}; give sizes from 1 to {whole:,}.")
    if not sizes or seeds < 1:
        raise EvaluationError(f"{len(sizes)} sizes with {seeds} draws each measure nothing; give at least one of both.")
    found = []
    for size in sorted(set(sizes)):
        draws = [measure(size, seed) for seed in range(seeds if size < whole else 1)]
        found.append(SizeScores(size, {name: tuple(draw[name] for draw in draws) for name in draws[0]}))
    return tuple(found)
