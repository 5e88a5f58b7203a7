"""The blocks of code in README and docs, and the commands in them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
_BLOCK = re.compile(r"(?:<!-- (?P<needs>[^\n]*?) -->\n+)?^```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^```", re.S | re.M)
_ASSIGNMENT = re.compile(r"(\w+)=(.*)", re.S)


class Block(NamedTuple):
    """A fenced block, with what the comment in front of it says."""

    needs: str
    language: str
    code: str

    @property
    def runs(self) -> bool:
        """Whether a test runs it."""
        return not self.needs.startswith("not run")


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """The blocks of `page` in their order, or those of one language."""
    found = _BLOCK.finditer(page.read_text(encoding="utf-8"))
    every = [Block(block["needs"] or "", block["language"], block["code"]) for block in found]
    return [block for block in every if language in (None, block.language)]


def named(page: Path) -> str:
    """The page as the repository names it."""
    return str(page.relative_to(ROOT))


def commands(code: str) -> list[list[str]]:
    """The commands of a shell block, each as its words: lines joined, comments gone, variables of the block put in."""
    variables: dict[str, str] = {}
    found = []
    for words in _lines(code):
        if len(words) == 1 and (assigned := _ASSIGNMENT.fullmatch(words[0])):
            variables[assigned[1]] = assigned[2]
            continue
        expanded = [part for word in words for part in _expanded(word, variables)]
        while expanded:
            end = expanded.index("&&") if "&&" in expanded else len(expanded)
            found.append(expanded[:end])
            expanded = expanded[end + 1 :]
    return found


def _lines(code: str) -> list[list[str]]:
    lines, waiting = [], ""
    for line in code.replace("\\\n", " ").splitlines():
        waiting += line
        try:
            words = shlex.split(waiting, comments=True)
        except ValueError:  # a quotation goes on in the next line
            waiting += "\n"
            continue
        waiting = ""
        if words:
            lines.append(words)
    assert not waiting, f"a quotation does not end: {waiting}"
    return lines


def _expanded(word: str, variables: dict[str, str]) -> list[str]:
    if word.startswith("$") and word[1:] in variables:
        return variables[word[1:]].split()
    return [word]
