"""The picture of the imports in docs/design.md is true: read from there, compared with what the code does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "linmap"
EVERYWHERE = {"errors"}  # not drawn: every part may raise


def _drawn_arrows() -> dict[str, set[str]]:
    """concept -> the concepts it may import, from the mermaid diagram headed by `imports`."""
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    (diagram,) = re.findall(r"```mermaid\n%% imports\n(.*?)```", text, flags=re.DOTALL)
    arrows: dict[str, set[str]] = {}
    for line in diagram.splitlines():
        if "-->" in line:
            source, targets = line.split("-->")
            arrows.setdefault(source.strip(), set()).update(target.strip() for target in targets.split("&"))
    return arrows


def _concept(module: str) -> str:
    """`linmap.prefix.modeling` -> `prefix`; `linmap` itself and its private files have none."""
    return module.split(".")[1] if "." in module else ""


def _imported(path: Path) -> set[str]:
    """Concepts of linmap that a file imports anywhere: at the top, inside functions, for the type checker."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively; write the whole name, as the rest does"
            if node.module == "linmap":
                modules.update(f"linmap.{alias.name}" for alias in node.names)
            elif node.module is not None:
                modules.add(node.module)
    return {_concept(module) for module in modules if module.split(".")[0] == "linmap"} - {""}


def _code_arrows() -> dict[str, set[str]]:
    arrows: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        concept = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if concept not in ("__init__", "__main__", "registration"):  # the front doors: they lead everywhere
            arrows.setdefault(concept, set()).update(_imported(path) - {concept})
    return arrows


@pytest.mark.parametrize("concept", sorted(_code_arrows()))
def test_imports_go_only_where_the_picture_says(concept):
    strays = _code_arrows()[concept] - _drawn_arrows().get(concept, set()) - EVERYWHERE
    assert not strays, f"{concept} may not import {strays}; move what it needs down, or pass it in as an argument."


def test_every_arrow_of_the_picture_is_an_import_of_the_code():
    code = _code_arrows()
    unused = {(a, b) for a, targets in _drawn_arrows().items() for b in targets if b not in code.get(a, set())}
    assert not unused, f"docs/design.md draws arrows that no import follows: {sorted(unused)}"


def test_the_arrows_of_the_picture_never_run_in_a_circle():
    left = {source: set(targets) for source, targets in _drawn_arrows().items()}
    while left:
        leaves = {source for source, targets in left.items() if not targets & left.keys()}
        assert leaves, f"a circle among {sorted(left)}"
        left = {source: targets for source, targets in left.items() if source not in leaves}


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "base"])
def test_no_file_is_named_after_no_concept(name):
    assert not [path for path in PACKAGE.rglob("*") if path.stem.strip("_") == name]
