"""What is left out on the way, counted and named: nothing disappears in silence."""

from __future__ import annotations

from typing import Any

__all__ = ["NAMED", "LeftOut"]

NAMED = 5
"""Places that are named for each reason; the rest are counted."""


class LeftOut:
    """Counts what is left out of a stream, by reason, and keeps the places of the first few.

    Example:
        >>> left_out = LeftOut()
        >>> left_out.add("empty", "captions.txt:2")
        >>> str(left_out)
        '1 empty (captions.txt:2)'
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.places: dict[str, list[str]] = {}

    def add(self, reason: str, place: str) -> None:
        """One more is left out."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        named = self.places.setdefault(reason, [])
        if len(named) < NAMED:
            named.append(place)

    def to_dict(self) -> dict[str, Any]:
        """By reason, ready for JSON: how many, and where the first stood."""
        return {reason: {"count": count, "first": self.places[reason]} for reason, count in self.counts.items()}

    def __str__(self) -> str:
        return "; ".join(
            f"{count:,} {reason} ({', '.join(self.places[reason])}{', …' if count > NAMED else ''})"
            for reason, count in self.counts.items()
        )
