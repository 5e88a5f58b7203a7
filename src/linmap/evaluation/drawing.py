"""Figures of matplotlib, made without a window and written whole."""

from __future__ import annotations

import contextlib
import logging
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from linmap.errors import EvaluationError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["new_figure", "save_figure"]

logger = logging.getLogger(__name__)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches."""
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def save_figure(figure: Figure, path: str | Path) -> None:
    """Writes a PNG in one move; warns of characters that the font lacks.

    Raises:
        EvaluationError: It cannot be written.
    """
    path = Path(path)
    part = path.with_name(f"{path.stem}.part.png")
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.filterwarnings("always", r"Glyph \d+")
            figure.savefig(part, format="png")
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise EvaluationError(
            f"The plot {path} cannot be written ({error.strerror or error}); name another file."
        ) from error
    lacking = set()
    for one in said:
        if found := re.match(r"Glyph (\d+)", str(one.message)):
            lacking.add(chr(int(found[1])))
        else:
            warnings.warn(one.message, stacklevel=3)
    _say_undrawn(figure, lacking)


def _say_undrawn(figure: Figure, characters: set[str]) -> None:
    """Warns once of the names that hold `characters`, which the font lacks."""
    from matplotlib.text import Text

    texts = dict.fromkeys(text.get_text() for text in figure.findobj(Text))
    if names := [text for text in texts if characters & {*text}]:
        logger.warning(
            "%d names in the plot hold characters that its font lacks, drawn as boxes: %s. Name a font that has them "
            "as font.family in a matplotlibrc.",
            len(names),
            ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else ""),
        )
