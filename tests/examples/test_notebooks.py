"""The notebooks are what the examples make, hold real output, and run."""

from __future__ import annotations

import ast
import importlib.util

import nbformat
import pytest


@pytest.fixture(scope="module")
def generate(repository):
    specification = importlib.util.spec_from_file_location("generate", repository / "notebooks" / "generate.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def _names(repository):
    return sorted(path.stem for path in (repository / "notebooks").glob("*.ipynb"))


def test_there_are_the_notebooks_that_the_generator_makes(generate, repository):
    assert _names(repository) == sorted(generate.NOTEBOOKS)


@pytest.mark.parametrize("name", ["train_linear_prefix", "decap_text_only"])
def test_a_notebook_is_what_its_example_makes(name, generate, repository):
    kept = nbformat.read(repository / "notebooks" / f"{name}.ipynb", 4)
    made = generate.notebook_of(name, generate.NOTEBOOKS[name])
    assert [(cell.cell_type, cell.source) for cell in kept.cells] == [
        (cell.cell_type, cell.source) for cell in made.cells
    ], "the example has changed: python notebooks/generate.py"


@pytest.mark.parametrize("name", ["train_linear_prefix", "decap_text_only"])
def test_only_the_reading_of_the_command_line_is_left_out_of_a_notebook(name, repository):
    source = (repository / "examples" / f"{name}.py").read_text(encoding="utf-8")
    main = next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == "main")
    first_step = source[: source.index("    # 1. ")].count("\n")
    before = [ast.unparse(node) for node in main.body[1:] if node.lineno <= first_step]
    assert before
    assert [code for code in before if "parser" not in code] == []


@pytest.mark.parametrize("name", ["train_linear_prefix", "decap_text_only"])
def test_a_notebook_is_small_was_run_from_top_to_end_and_shows_a_picture(name, repository):
    path = repository / "notebooks" / f"{name}.ipynb"
    assert path.stat().st_size < 300_000
    code = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    assert "image/png" in outputs[-1].data
    text = path.read_text(encoding="utf-8")
    assert "/home/" not in text
    assert "/tmp/" not in text


@pytest.mark.weights
def test_a_notebook_runs_in_its_quick_form(generate, tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    notebook = generate.notebook_of("decap_text_only", ["--quick", "--figure", str(tmp_path / "captions.png")])
    generate.run(notebook)
    said = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert "380 sentences to learn, 20 kept apart" in said
    assert "cat.jpg:" in said
    assert (tmp_path / "captions.png").is_file()
