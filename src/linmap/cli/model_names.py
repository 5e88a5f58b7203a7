"""Words after `--model` where several models are measured: `NAME=MODEL`, or `MODEL`, called as its folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from linmap.errors import ModelNotFoundError

__all__ = ["BUNDLED", "named_words"]

BUNDLED = "default"
NAME = re.compile(r"\w[\w .+-]{0,39}")
"""What a model may be called: it names a file."""

OPEN_CLIP = "open_clip:"


def named_words(words: Sequence[str], what: str, *, option: str = "--model") -> list[tuple[str, str]]:
    """Names and words of the models, in their order.

    Args:
        words: As they were given.
        what: What errors call such a model, such as `"captioner"`.
        option: What the words stand behind.

    Raises:
        ModelNotFoundError: A name is none, or two models have the same; a word is missing.

    Example:
        >>> named_words(["mine=runs/a", "runs/b", "default"], "captioner")
        [('mine', 'runs/a'), ('b', 'runs/b'), ('bundled', 'default')]
    """
    from linmap.data.text_files import is_folder

    found: dict[str, tuple[str, str]] = {}
    for given in words:
        name, equals, word = given.partition("=")
        if not equals or is_folder(Path(given).expanduser()):
            name, word = "", given
        word = word.strip()
        if not word:
            raise ModelNotFoundError(f"{option} {given} names no model; give {option} NAME=MODEL.")
        name = name.strip() or _name_of(word)
        if not NAME.fullmatch(name):
            raise ModelNotFoundError(
                f"{option} {given}: {name!r} cannot name a {what}; take at most 40 letters, digits, blanks, dots, "
                f"plus signs and hyphens: {option} NAME=MODEL."
            )
        if name.casefold() in found:
            raise ModelNotFoundError(f"Two {what}s are called {name!r}; give each its own name: {option} NAME=MODEL.")
        found[name.casefold()] = (name, word)
    return list(found.values())


def _name_of(word: str) -> str:
    if word == BUNDLED:
        return "bundled"
    if word.startswith(OPEN_CLIP):  # NAME/TAG, both of which tell
        last = word.removeprefix(OPEN_CLIP)
    else:
        last = Path(word).expanduser().resolve().name if word.startswith((".", "~", "/")) else Path(word).name
    return re.sub(r"[^\w .+-]+", "-", last).strip(" .-")[:40]
