"""Every example says how it is called, is described, and asks for what it needs; CI runs each in its quick form."""

from __future__ import annotations

import ast
import re
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


def _run(script: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", [str(script), *words])
    runpy.run_path(str(script), run_name="__main__")


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_an_example_says_how_it_is_called(script, monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        _run(script, monkeypatch, "--help")
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"python examples/{script.name}" in said
    assert "--quick" in said
    assert "--output" in said


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_the_steps_of_an_example_are_numbered(script):
    numbers = [int(number) for number in re.findall(r"^    # (\d+)\. [A-Z]", script.read_text(encoding="utf-8"), re.M)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 3


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_an_example_and_its_command_stand_on_the_page_of_examples(script, repository):
    page = (repository / "docs" / "examples.md").read_text(encoding="utf-8")
    assert f"python examples/{script.name}" in page


@pytest.mark.parametrize(
    "name", ["train_linear_prefix", "finetune_with_lora", "clippo_pairs", "your_own_encoder", "train_dual_encoder"]
)
def test_captions_without_their_photos_are_refused(name, repository, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        _run(repository / "examples" / f"{name}.py", monkeypatch, "--captions", "captions.json")
    assert "--captions needs --images, the folder of its photos" in capsys.readouterr().err


def test_no_example_takes_what_another_one_defines():
    names = {script.stem for script in EXAMPLES}
    for script in EXAMPLES:
        for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.module not in names, f"{script.name} runs only beside {node.module}.py"
