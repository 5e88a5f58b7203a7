"""What `linmap caption` writes: captions with what is behind them to stdout, errors to stderr, as they come."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from linmap.decap.strategies import SupportSentence
    from linmap.errors import LinmapError

__all__ = ["Outcome", "write_outcomes"]

NO_SUPPORT = "(the photo's own latent was decoded: no sentence of a memory is behind this)"


@dataclass(frozen=True)
class Outcome:
    """A caption, or why there is none.

    Args:
        name: Of the photo or video, as written; several for a video that is given as frames.
        kind: `"image"` or `"video"`, its name in JSON.
        caption: The caption; None where `error` is set.
        error: Why there is none.
        support: The sentences behind the caption, the weightiest first; None where nobody asked for them.
    """

    name: str | Sequence[str]
    kind: str = "image"
    caption: str | None = None
    error: LinmapError | None = None
    support: Sequence[SupportSentence] | None = None

    @property
    def label(self) -> str:
        """What a line begins with."""
        if isinstance(self.name, str):
            return self.name
        return f"{self.name[0]} … {self.name[-1]} ({len(self.name)} frames)" if len(self.name) > 1 else self.name[0]


def write_outcomes(outcomes: Iterable[Outcome], total: int, as_json: bool) -> int:
    """Writes `outcomes` as they come, with a progress bar on a terminal; returns how many failed.

    Args:
        outcomes: In the order in which they are written.
        total: How many will come.
        as_json: One JSON object a line, errors too.
    """
    from linmap.cli.messages import say_error
    from linmap.cli.progress import ProgressBar

    failed = 0
    with ProgressBar("Captioning", total) as bar:
        for outcome in outcomes:
            with bar.hidden():
                if outcome.error is not None:
                    failed += 1
                    say_error(str(outcome.error))
                for line in [_json(outcome)] if as_json else _text(outcome):
                    typer.echo(line)
                sys.stdout.flush()
            bar.advance()
    return failed


def _json(outcome: Outcome) -> str:
    facts: dict[str, Any] = {outcome.kind: outcome.name if isinstance(outcome.name, str) else list(outcome.name)}
    if outcome.error is not None:
        return json.dumps({**facts, "error": str(outcome.error)})
    facts["caption"] = outcome.caption
    if outcome.support is not None:
        facts["support"] = [
            {"caption": sentence.caption, "weight": sentence.weight, "index": sentence.index}
            for sentence in outcome.support
        ]
    return json.dumps(facts)


def _text(outcome: Outcome) -> list[str]:
    if outcome.error is not None:
        return []
    lines = [f"{outcome.label}: {_on_one_line(outcome.caption or '')}"]
    if outcome.support is not None:
        lines += [f"    {sentence.weight:6.1%}  {_on_one_line(sentence.caption)}" for sentence in outcome.support]
        lines += [] if outcome.support else [f"    {NO_SUPPORT}"]
    return lines


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
