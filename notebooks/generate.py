"""Makes the notebooks from the examples and runs them: the scripts are the only source.

    python notebooks/generate.py                    # makes and runs all, and keeps what they print
    python notebooks/generate.py train_linear_prefix

The docstring of an example and each numbered step of its `main` become a cell of text and a cell of code, its command
line a cell of settings that can be changed. Write into the script, not into the notebook.
"""

from __future__ import annotations

import argparse
import ast
import re
import runpy
import sys
import textwrap
from pathlib import Path
from typing import Any

import jupytext
import nbclient
import nbformat

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"
NOTEBOOKS = {
    "train_linear_prefix": ["--steps", "40", "--figure", "captions.png"],
    "decap_text_only": ["--steps", "300", "--figure", "captions.png"],
}
"""Which examples, and the command line that each is run with."""


def notebook_of(example: str, command_line: list[str]) -> nbformat.NotebookNode:
    """The notebook of an example, not yet run.

    Args:
        example: Its name, without `.py`.
        command_line: What the script would be told.
    """
    notebook = jupytext.reads(percent_script(example, command_line), "py:percent")
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"cell-{number}"  # else another each time
    return notebook


def percent_script(example: str, command_line: list[str]) -> str:
    """The same as a script in jupytext's percent format."""
    source = (EXAMPLES / f"{example}.py").read_text(encoding="utf-8")
    module = ast.parse(source)
    main = next(node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == "main")
    lines = source.splitlines()
    top = "\n".join(lines[module.body[0].end_lineno : main.lineno - 1])
    below = "\n".join(lines[main.end_lineno : module.body[-1].lineno - 1])
    steps = textwrap.dedent("\n".join(lines[main.lineno : main.end_lineno]))
    settings = _settings(example, main, command_line)
    cells = [
        ("markdown", _introduction(example, ast.get_docstring(module) or "")),
        ("code", _in_a_notebook(f"{top.strip()}\n\n\n{below.strip()}", example)),
        ("markdown", "What the command line would say; change it and run all."),
        ("code", f"import argparse\n\narguments = {settings}"),
    ]
    for step in re.split(r"^(?=# \d+\. )", steps, flags=re.M)[1:]:
        words, code = _words_and_code(step)
        cells += [("markdown", words), ("code", code)]
    if "--figure" in command_line:
        cells.append(("code", 'from PIL import Image\n\nImage.open(arguments.figure).convert("RGB").quantize()'))
    return "\n".join(_cell(kind, text) for kind, text in cells)


def run(notebook: nbformat.NotebookNode) -> None:
    """Runs a notebook where it lies, in place; progress bars are left out of what is kept.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell fails.
    """
    nbclient.NotebookClient(notebook, timeout=3600, resources={"metadata": {"path": str(HERE)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_noise(output)]


def _introduction(example: str, docstring: str) -> str:
    title, _, rest = docstring.partition("\n\n")
    told = "\n\n".join(part for part in rest.split("\n\n") if not part.startswith("    "))
    made = f"*Made from [`examples/{example}.py`](../examples/{example}.py) by `python notebooks/generate.py`.*"
    needed = "In a checkout, after `python -m pip install .` and an installation of Jupyter."
    photos = "The photos are under CC BY 2.0: [whose they are](../examples/photos/LICENSES.md)."
    return f"# {' '.join(title.split())}\n\n{told}\n\n{needed}\n\n{photos}\n\n{made}"


def _settings(example: str, main: ast.FunctionDef, command_line: list[str]) -> str:
    """The arguments as the example's own parser reads them, one a line, each behind what its help says."""
    names = runpy.run_path(str(EXAMPLES / f"{example}.py"))
    until = next(place for place, node in enumerate(main.body) if "parse_args" in ast.unparse(node))
    exec(compile(ast.Module(main.body[1:until], []), f"{example}.py", "exec"), names)  # behind main's docstring
    parser: argparse.ArgumentParser = names["parser"]
    found = parser.parse_args(command_line)
    lines = []
    for action in parser._actions:
        if action.dest != "help":
            comment = f"  # {action.help}" if action.help else ""
            lines.append(f"    {action.dest}={_written(getattr(found, action.dest))},{comment}")
    return "\n".join(["argparse.Namespace(", *lines, ")"])


def _written(value: Any) -> str:
    if isinstance(value, list) and value == sorted((EXAMPLES / "photos").glob("*.jpg")):
        return 'sorted(PHOTOS.glob("*.jpg"))'
    if isinstance(value, Path | str):
        return f'Path("{value}")' if isinstance(value, Path) else f'"{value}"'
    return repr(value)


def _in_a_notebook(code: str, example: str) -> str:
    code = code.replace("from __future__ import annotations\n", "").replace("import argparse\n", "")
    return code.replace("Path(__file__).parent", 'Path("../examples")').strip()


def _words_and_code(step: str) -> tuple[str, str]:
    lines = step.rstrip().splitlines()
    count = next((place for place, line in enumerate(lines) if not line.startswith("#")), len(lines))
    words = " ".join(line.removeprefix("#").strip() for line in lines[:count])
    number, _, told = words.partition(". ")
    title = re.split(r"[.,:;]", told, maxsplit=1)[0]
    return f"## {number}. {title}\n\n{told}", "\n".join(lines[count:])


def _cell(kind: str, text: str) -> str:
    if kind == "code":
        return f"# %%\n{text}\n"
    commented = "\n".join(f"# {line}".rstrip() for line in text.splitlines())
    return f"# %% [markdown]\n{commented}\n"


def _is_noise(output: nbformat.NotebookNode) -> bool:
    """Progress bars and what libraries say of them on standard error."""
    return output.get("name") == "stderr" or "application/vnd.jupyter.widget-view+json" in output.get("data", {})


def main() -> None:
    """Makes, runs and writes the notebooks that are named, or all."""
    for example in sys.argv[1:] or NOTEBOOKS:
        notebook = notebook_of(example, NOTEBOOKS[example])
        run(notebook)
        path = HERE / f"{example}.ipynb"
        nbformat.write(notebook, path)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
