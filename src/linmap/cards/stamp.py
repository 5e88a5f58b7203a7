"""The stamp at the end of a card: a digest of the card's own text, so that an edited card is known as one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from huggingface_hub import ModelCard

__all__ = ["FOLDER", "card_for_repository", "is_untouched", "repository_of", "stamped", "with_tags", "without_stamp"]

FOLDER = "path/to/this/folder"
"""What the snippets of a card in a folder call the model."""

_STAMP = re.compile(
    r"\n<!-- Written by linmap(?: for (?P<repository>\S+))?, (?P<digest>[0-9a-f]{64})\. "
    r"An edited card is kept\. -->\n?\Z"
)
_INDEX_NAME = re.compile(r"^(model-index:\n- name: ).*$", re.MULTILINE)
_USE = re.compile(r"^## Use$.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)


def stamped(text: str, repository: str | None = None) -> str:
    """A card's text with the stamp that says so; `repository` is what its snippets call the model, if no folder."""
    text = text.rstrip() + "\n"
    whose = f" for {repository}" if repository else ""
    return f"{text}\n<!-- Written by linmap{whose}, {_digest(text)}. An edited card is kept. -->\n"


def without_stamp(text: str) -> str:
    """The text up to its stamp, valid or not."""
    return _STAMP.sub("", text)


def is_untouched(text: str) -> bool:
    """Whether the text of a card is as linmap wrote it: it ends with the digest of itself.

    Example:
        >>> card = stamped("# Mine")
        >>> is_untouched(card), is_untouched(card.replace("Mine", "Ours")), is_untouched("# Mine")
        (True, False, False)
    """
    stamp = _STAMP.search(text)
    return stamp is not None and stamp["digest"] == _digest(text[: stamp.start()])


def repository_of(text: str) -> str | None:
    """The repository that the snippets of a card speak of; None for a folder."""
    stamp = _STAMP.search(text)
    return stamp["repository"] if stamp else None


def card_for_repository(text: str, repo_id: str) -> str:
    """The card of a folder as it should stand in a repository: its snippets and its `model-index` name that.

    A card that somebody edited is returned as it is. One that came from another repository, untouched, names this one.

    Args:
        text: Of the README.md.
        repo_id: `"organisation/name"`.

    Example:
        >>> card = stamped('## Use\\n\\nDeCapModel.from_pretrained("path/to/this/folder")')
        >>> print(card_for_repository(card, "org/name").splitlines()[2])
        DeCapModel.from_pretrained("org/name")
    """
    if not is_untouched(text):
        return text
    named = re.compile(rf"(?<![\w./-]){re.escape(repository_of(text) or FOLDER)}(?![\w./-])")
    renamed = _USE.sub(lambda use: named.sub(lambda _: repo_id, use[0]), without_stamp(text))
    name = repo_id.rpartition("/")[2]
    return stamped(_INDEX_NAME.sub(lambda found: found[1] + name, renamed, count=1), repo_id)


def with_tags(text: str, tags: Iterable[str]) -> str:
    """The text of a card with more tags in its header, by which the Hub finds it; who edited it stays its author.

    Example:
        >>> print(with_tags("---\\ntags:\\n- clip\\n---\\n# Mine", ["clip", "birds"]))
        ---
        tags:
        - clip
        - birds
        ---
        # Mine
    """
    card = ModelCard(without_stamp(text))
    header = card.data.to_dict()
    card.data["tags"] = list(dict.fromkeys([*(header.get("tags") or ()), *tags]))
    return stamped(str(card), repository_of(text)) if is_untouched(text) else str(card)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
