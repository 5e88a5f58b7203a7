"""Made at build time, so that pages ask no other host: equations as MathML, the import graph as a table."""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert

_EQUATION = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<latex>.*?)\\[)\]]</(?P=tag)>', flags=re.DOTALL
)
_GRAPH = re.compile(r"^```mermaid\n.*?^```$", flags=re.DOTALL | re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A graph of `a --> b & c` lines as a table; GitHub draws it, and drawing here would take a script of megabytes."""
    return _GRAPH.sub(lambda found: _as_table(found[0]), markdown)


def on_page_content(content: str, **_: Any) -> str:
    """The equations that `pymdownx.arithmatex` marks, as MathML, which browsers draw without a script."""
    return _EQUATION.sub(lambda found: _as_mathml(found["latex"], found["tag"]), content)


def _as_mathml(latex: str, tag: str) -> str:
    block = tag == "div"
    drawn = convert(html.unescape(latex).strip(), display="block" if block else "inline")
    return f'<{tag} class="equation">{drawn}</{tag}>' if block else drawn


def _as_table(graph: str) -> str:
    arrows = [line.split("-->") for line in graph.splitlines() if "-->" in line]
    rows = [f"| `{source.strip()}` | {', '.join(f'`{t.strip()}`' for t in to.split('&'))} |" for source, to in arrows]
    return "\n".join(["| part | may import |", "|---|---|", *rows])
