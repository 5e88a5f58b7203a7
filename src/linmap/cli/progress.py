"""A progress bar on stderr that steps aside while something is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["ProgressBar"]


class ProgressBar:
    """Counts up to `total` on a terminal; says nothing when stderr is none, or there is only one thing to wait for.

    It appears at the first `advance`, so that what is written while a model loads stays readable.
    """

    def __init__(self, what: str, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False)
        self._task = self._bar.add_task(what, total=total)
        self._wanted = console.is_terminal and total > 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar.live.is_started:  # stopping one that never started writes an empty line
            self._bar.stop()

    def advance(self) -> None:
        """One more is done."""
        self._bar.advance(self._task)
        if self._wanted:
            self._bar.start()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """No bar on the terminal while the block writes."""
        shown = self._bar.live.is_started
        if shown:
            self._bar.stop()
        yield
        if shown:
            self._bar.start()
