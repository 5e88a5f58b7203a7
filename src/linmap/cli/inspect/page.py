"""The words of a prefix as a page: one HTML file that needs nothing else, the photo inside it."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import TYPE_CHECKING

from linmap.cli.inspect.spelling import shown
from linmap.errors import EvaluationError

if TYPE_CHECKING:
    from linmap.prefix.inspection import InspectedPrefix, NearWord

__all__ = ["STYLE", "photo_markup", "table_markup", "write_page"]

IN_A_CELL = 3
"""Words written over the photo; the rest stands in the cell's list, which opens under the pointer and in the table."""

BODY_STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 68rem; padding: 0 1rem; }
"""

STYLE = """
.photo { position: relative; width: min(100%, 56rem); aspect-ratio: var(--shape); container-type: inline-size; }
.photo img { position: absolute; inset: 0; width: 100%; height: 100%; }
.cells { position: absolute; inset: 0; display: grid; }
.cells div { display: flex; flex-direction: column; align-items: center; justify-content: center; overflow: hidden;
  outline: 1px solid #fff8; font-size: min(var(--size), 1.25rem); line-height: 1.25; cursor: help; }
.cells span { color: #fff; background: #000a; padding: 0 .25em; max-width: 100%; overflow: hidden;
  white-space: nowrap; }
.cells span.chance { color: #b5b5b5; }
table { border-collapse: collapse; margin-top: 1.5rem; }
td, th { padding: .15rem .6rem; text-align: left; border-bottom: 1px solid #8884; font-variant-numeric: tabular-nums; }
td.chance, td.number { color: #888; }
"""


def write_page(found: InspectedPrefix, name: str, path: Path) -> None:
    """Writes `found` to `path`.

    Args:
        found: What `inspect_photo` gave.
        name: Of the photo, for the title.
        path: Where the HTML goes; replaced in one move.

    Raises:
        EvaluationError: The file cannot be written.
    """
    part = path.with_name(f"{path.stem}.part.html")
    try:
        part.write_text(_page(found, name), encoding="utf-8", errors="backslashreplace")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise EvaluationError(f"The page {path} cannot be written ({error.strerror}); name another file.") from error


def _page(found: InspectedPrefix, name: str) -> str:
    title = html.escape(f"What the prefix of {name} lies near to")
    measure = "by cosine to the input embeddings" + (
        ", words and vectors without the mean word" if found.centred else ""
    )
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>{BODY_STYLE}{STYLE}</style></head>
<body>
<h1>{title}</h1>
<p>The nearest words of the language model's vocabulary, {measure}. Grey: no nearer than the nearest word of a random
direction ({found.chance:.2f}), so of no meaning. Words have a length of {found.word_length:.2f} on average.</p>
{photo_markup(found)}
{table_markup(found)}
</body>
</html>
"""


def photo_markup(found: InspectedPrefix) -> str:
    """The photo as HTML, with the words over its cells; `STYLE` says how it looks."""
    buffer = io.BytesIO()
    found.view.save(buffer, format="PNG")
    picture = base64.b64encode(buffer.getvalue()).decode("ascii")
    image = f'<img alt="What the encoder was shown" src="data:image/png;base64,{picture}">'
    shape = f"--shape: {found.view.width} / {found.view.height}"
    if found.grid is None:
        return f'<div class="photo" style="{shape}; max-width: 28rem">{image}</div>'
    rows, columns = found.grid
    size = f"--size: {min(4, 12 / columns):.2f}cqw"
    tracks = f"grid-template: repeat({rows}, 1fr) / repeat({columns}, 1fr)"
    cells = "\n".join(_cell(words, found.chance) for words in found.words)
    over = f'<div class="cells" style="{tracks}">\n{cells}\n</div>'
    return f'<div class="photo" style="{shape}; {size}">{image}\n{over}</div>'


def _cell(words: tuple[NearWord, ...], chance: float) -> str:
    all_of_them = html.escape("\n".join(f"{word.cosine:.2f}  {shown(word.text)}" for word in words))
    lines = "".join(f"<span{_grey(word, chance)}>{html.escape(shown(word.text))}</span>" for word in words[:IN_A_CELL])
    return f'<div title="{all_of_them}">{lines}</div>'


def table_markup(found: InspectedPrefix) -> str:
    """Every vector's words with their cosines as an HTML table; `STYLE` says how it looks."""
    place = ("row", "column") if found.grid else ("vector",)
    heads = "".join(f"<th>{head}</th>" for head in (*place, "length", "nearest words"))
    return (
        f"<table>\n<tr>{heads}</tr>\n"
        + "\n".join(_row(found, number) for number in range(len(found.words)))
        + "\n</table>"
    )


def _row(found: InspectedPrefix, number: int) -> str:
    place = divmod(number, found.grid[1]) if found.grid else (number,)
    cells = [f'<td class="number">{each + 1}</td>' for each in place]
    cells.append(f'<td class="number">{found.lengths[number]:.2f}</td>')
    cells += [
        f"<td{_grey(word, found.chance)}>{html.escape(shown(word.text))} {word.cosine:.2f}</td>"
        for word in found.words[number]
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _grey(word: NearWord, chance: float) -> str:
    return "" if word.cosine > chance else ' class="chance"'
