"""Tokens as people read them: on one line, nothing invisible, not longer than there is room."""

from __future__ import annotations

__all__ = ["shown"]


def shown(text: str, longest: int = 18) -> str:
    """`text` with blanks and control characters spelt out, and cut where it is longer than `longest` characters.

    Example:
        >>> shown("\\n"), shown("dog"), shown("antidisestablishmentarianism")
        ('\\\\n', 'dog', 'antidisestablishm…')
    """
    if not text.isprintable() or not text.strip():
        text = repr(text)[1:-1] if text.strip(" ") else "␣" * len(text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
