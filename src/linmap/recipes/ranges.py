"""Checks of single values of a recipe: a word among the known ones, a number in its range, named in the message."""

from __future__ import annotations

from linmap.errors import RecipeError, UnknownNameError

__all__ = ["above_zero", "at_least", "at_most", "one_of", "share"]


def one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    """Raises `UnknownNameError` unless `value` is among `known`."""
    if value not in known:
        raise UnknownNameError(what, value, known)


def at_least(what: str, value: float | None, smallest: float) -> None:
    """Raises `RecipeError` below `smallest`; None passes."""
    if value is not None and not value >= smallest:  # so that nan is refused too
        raise RecipeError(f"{what} is {value}; it must be at least {smallest}.")


def at_most(what: str, value: float, largest: float) -> None:
    """Raises `RecipeError` above `largest`."""
    if not value <= largest:
        raise RecipeError(f"{what} is {value}; it must be at most {largest}.")


def above_zero(what: str, value: float) -> None:
    """Raises `RecipeError` at 0 and below."""
    if not value > 0:
        raise RecipeError(f"{what} is {value}; it must be greater than 0.")


def share(what: str, value: float) -> None:
    """Raises `RecipeError` unless 0 <= value < 1."""
    if not 0 <= value < 1:
        raise RecipeError(f"{what} is {value}; it must be at least 0 and less than 1.")
