"""`linmap train` as a user types it, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from linmap.cli.app import main

RecipeFile = Callable[..., Path]


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of stderr."""
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("linmap: error: ")]
    return line


def test_train_writes_the_folder_it_was_given_and_says_where(
    recipe_file: RecipeFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    arguments = ["train", str(recipe_file()), "--output", str(folder), "--set", "training.steps=2"]
    assert main(arguments) == 0
    assert capsys.readouterr().out.strip() == str(folder)
    assert (folder / "model.safetensors").is_file()
    assert main(arguments) == 2
    assert "holds a finished run. Choose another --output, or --overwrite" in error_of(capsys)
    assert main([*arguments, "--resume"]) == 0
    assert main([*arguments, "--resume", "--overwrite"]) == 2
    assert "exclude each other" in error_of(capsys)


def test_a_dry_run_prints_the_plan_and_writes_nothing(
    recipe_file: RecipeFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = recipe_file()
    before = set(tmp_path.rglob("*"))
    assert main(["train", str(file), "--output", str(tmp_path / "run"), "--dry-run"]) == 0
    out = capsys.readouterr().out
    for word in ("frozen", "trained", "photos", "captions", "steps", "memory"):
        assert f"\n{word} " in out
    assert set(tmp_path.rglob("*")) == before


def test_a_dry_run_names_the_data_that_is_not_here(recipe_file: RecipeFile, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(recipe_file()), "--dry-run", "--set", "data.captions=nowhere.json"]) == 0
    out = capsys.readouterr().out
    assert "missing  data.captions nowhere.json is not here: photos, captions and epochs are not counted" in out
    assert "steps    12 of 4 captions; evaluation" in out


def test_mistakes_are_one_line_and_exit_code_two(recipe_file: RecipeFile, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(recipe_file())
    assert main(["train", file, "--set", "training.lerning_rate=1"]) == 2
    assert "Did you mean 'learning_rate'?" in error_of(capsys)
    assert main(["train", "efficientnet-lite0-smollm2-135n"]) == 2
    assert "Did you mean 'efficientnet-lite0-smollm2-135m'?" in error_of(capsys)
    assert main(["train", file, "--dry-run", "--set", "model.encoder=timm:test_vitt"]) == 2
    assert "test_vit" in error_of(capsys)
    assert main(["train", file, "--output", f"{file}.run", "--set", "data.captions=nowhere.json"]) == 2
    assert "nowhere.json" in error_of(capsys)


def test_the_help_holds_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    assert "--set training.steps=500" in capsys.readouterr().out
