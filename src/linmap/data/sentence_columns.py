"""Which column of a table holds sentences, and the sentences in one of its cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from linmap.errors import CaptionDataError

__all__ = ["only_text_column", "texts_of"]


def only_text_column(row: Mapping[str, Any], place: str) -> str:
    """The only column of a row that holds text, or a list of texts.

    Raises:
        CaptionDataError: There are several, or none.
    """
    found = [name for name, value in row.items() if _is_text(value)]
    if len(found) == 1:
        return found[0]
    raise CaptionDataError(
        f"{place} has {len(found) or 'no'} columns of text; name the one that holds the sentences (--column). "
        f"Columns: {', '.join(row) or 'none'}."
    )


def texts_of(cell: Any, place: str) -> Iterator[tuple[str | None, str]]:
    """The text in a cell, or each of its list of texts, with the place; None stands for no text.

    Raises:
        CaptionDataError: It holds something else.
    """
    for one in cell if isinstance(cell, list) else [cell]:
        if one is not None and not isinstance(one, str):
            raise CaptionDataError(f"{place} holds {one!r}, which is no text; mend it, or name another column.")
        yield one, place


def _is_text(cell: Any) -> bool:
    return isinstance(cell, str) or (isinstance(cell, list) and bool(cell) and isinstance(cell[0], str))
