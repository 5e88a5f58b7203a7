"""A run that is killed and resumed ends with the very weights of a run that was not."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linmap.errors import OutputFolderError, UnknownNameError
from linmap.recipes import train
from linmap.recipes.checkpoints import find_checkpoints, why_incomplete
from linmap.recipes.outputs import OutputFolder
from linmap.recipes.recipe import load_recipe, recipe_from_dict
from linmap.recipes.schema import Recipe
from tests.recipes.killed_runs import assert_bit_equal, train_and_kill, weights_of

RecipeMaker = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("length_grouped", [True, False])
def test_a_killed_run_that_is_resumed_ends_with_bit_equal_weights(
    recipe_file: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, length_grouped: bool
) -> None:
    # 36 captions in batches of 4: 9 steps an epoch; killed in the second epoch of five, with dropout on.
    file = recipe_file(
        training={"steps": 40, "length_grouped": length_grouped}, evaluation={"every": 5, "samples": 1, "photos": 2}
    )
    recipe = load_recipe(file)
    whole = train(recipe, tmp_path / "whole")
    cut = tmp_path / "cut"
    train_and_kill(file, cut, at=lambda: (cut / "checkpoint-15").exists())  # while it is being written
    assert not (cut / "model.safetensors").exists()

    with caplog.at_level(logging.WARNING, logger="linmap"):
        assert train(recipe, cut, resume=True) == cut
    assert "Resuming from" in caplog.text
    assert_bit_equal(weights_of(cut), weights_of(whole))
    assert_bit_equal(weights_of(cut / "checkpoint-40"), weights_of(whole / "checkpoint-40"))
    assert (cut / "samples.md").read_text() == (whole / "samples.md").read_text()


def test_a_run_cut_off_between_epochs_is_resumed_to_bit_equal_weights(tiny_recipe: RecipeMaker, tmp_path: Path) -> None:
    recipe = recipe_from_dict(tiny_recipe(training={"steps": 27, "keep_checkpoints": 9}, evaluation={"every": 9}))
    whole = train(recipe, tmp_path / "whole")
    cut = tmp_path / "cut"
    shutil.copytree(whole, cut, ignore=shutil.ignore_patterns("checkpoint-18", "checkpoint-27", "training_log.json"))
    train(recipe, cut, resume=True)
    assert_bit_equal(weights_of(cut / "checkpoint-27"), weights_of(whole / "checkpoint-27"))


def test_a_run_cut_off_after_its_last_step_is_only_finished(tiny_recipe: RecipeMaker, tmp_path: Path) -> None:
    recipe = recipe_from_dict(tiny_recipe())
    whole = train(recipe, tmp_path / "whole")
    cut = tmp_path / "cut"
    shutil.copytree(
        whole,
        cut,
        ignore=lambda folder, names: (
            {"training_log.json", "model.safetensors"} & set(names) if Path(folder) == whole else set()
        ),
    )
    train(recipe, cut, resume=True)
    assert_bit_equal(weights_of(cut), weights_of(whole))
    assert (cut / "training_log.json").is_file()


@pytest.fixture(scope="module")
def recipe(tiny_recipe: RecipeMaker) -> Recipe:
    return recipe_from_dict(tiny_recipe(training={"keep_checkpoints": 9}))


@pytest.fixture(scope="module")
def whole(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(recipe, tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture
def cut(whole: Path, tmp_path: Path) -> Path:
    """The run as it was after step 8: checkpoints 4 and 8."""
    folder = tmp_path / "cut"
    shutil.copytree(whole, folder, ignore=shutil.ignore_patterns("checkpoint-12", "training_log.json"))
    (folder / "model.safetensors").unlink()
    return folder


@pytest.mark.parametrize(
    "file", ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"]
)
def test_a_checkpoint_that_lacks_a_file_or_half_of_one_is_incomplete(cut: Path, file: str) -> None:
    checkpoint = cut / "checkpoint-8"
    assert why_incomplete(checkpoint) is None
    whole_file = (checkpoint / file).read_bytes()
    (checkpoint / file).write_bytes(whole_file[: len(whole_file) // 2])
    assert why_incomplete(checkpoint) == f"{file} is cut off"
    assert find_checkpoints(cut).last == cut / "checkpoint-4"
    (checkpoint / file).unlink()
    assert why_incomplete(checkpoint) == f"{file} is missing"


def test_an_incomplete_checkpoint_is_said_to_be_one_and_the_one_before_is_taken(
    cut: Path, whole: Path, recipe: Recipe, caplog: pytest.LogCaptureFixture
) -> None:
    (cut / "checkpoint-8" / "trainer_state.json").unlink()
    with caplog.at_level(logging.WARNING, logger="linmap"):
        train(recipe, cut, resume=True)
    assert "checkpoint-8 is incomplete (trainer_state.json is missing) and is skipped" in caplog.text
    assert "Resuming from" in caplog.text
    assert_bit_equal(weights_of(cut / "checkpoint-12"), weights_of(whole / "checkpoint-12"))


def test_a_run_without_a_complete_checkpoint_starts_again_and_says_so(
    cut: Path, whole: Path, recipe: Recipe, caplog: pytest.LogCaptureFixture
) -> None:
    for checkpoint in cut.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    with caplog.at_level(logging.WARNING, logger="linmap"):
        train(recipe, cut, resume=True)
    assert "holds no complete checkpoint: starting at the first step" in caplog.text
    assert_bit_equal(weights_of(cut), weights_of(whole))


def test_resuming_encodes_no_photo_again(cut: Path, recipe: Recipe) -> None:
    features = cut / "cache" / "features.safetensors"
    before = features.stat().st_mtime_ns
    train(recipe, cut, resume=True)
    assert features.stat().st_mtime_ns == before


def test_a_run_is_resumed_with_its_own_recipe_only(cut: Path, tiny_recipe: RecipeMaker) -> None:
    other = recipe_from_dict(tiny_recipe(training={"keep_checkpoints": 9, "learning_rate": 1.0}))
    with pytest.raises(OutputFolderError, match=r"other values of training\.learning_rate\. Resume it with the same"):
        train(other, cut, resume=True)


def test_a_run_is_resumed_with_other_words_about_it(cut: Path, tiny_recipe: RecipeMaker) -> None:
    words = {"description": "Another", "source": "Elsewhere", "license": "mit", "data_terms": "For research"}
    same = tiny_recipe(training={"keep_checkpoints": 9})
    OutputFolder(cut).check(recipe_from_dict({**same, **words}), resume=True, overwrite=False)
    begun_before = (cut / "recipe.yaml").read_text().replace("data_terms: null\n", "")
    assert "data_terms" not in begun_before
    (cut / "recipe.yaml").write_text(begun_before)
    OutputFolder(cut).check(recipe_from_dict({**same, **words}), resume=True, overwrite=False)


def test_a_folder_that_holds_a_run_is_not_overwritten_unasked(whole: Path, cut: Path, recipe: Recipe) -> None:
    with pytest.raises(OutputFolderError, match=r"holds a finished run\. Choose another --output, or --overwrite"):
        train(recipe, whole)
    with pytest.raises(OutputFolderError, match=r"holds a run that was cut off: --resume goes on with it\."):
        train(recipe, cut)


def test_a_run_that_is_refused_before_it_began_leaves_no_run_behind(tiny_recipe: RecipeMaker, tmp_path: Path) -> None:
    output = tmp_path / "run"
    wrong = recipe_from_dict(tiny_recipe(data={"train_split": "trian"}))
    for overwrite in (False, False, True):
        with pytest.raises(UnknownNameError, match="Did you mean 'train'"):
            train(wrong, output, overwrite=overwrite)
    assert not list(output.iterdir())


def test_a_run_that_is_refused_leaves_the_run_that_was_there(cut: Path, recipe: Recipe, tmp_path: Path) -> None:
    early = tmp_path / "early"
    early.mkdir()
    shutil.copy(cut / "recipe.yaml", early)
    with pytest.raises(OutputFolderError, match="cut off"):
        train(recipe, early)
    assert (early / "recipe.yaml").is_file()


def test_a_finished_run_has_nothing_to_resume(whole: Path, recipe: Recipe, caplog: pytest.LogCaptureFixture) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    with caplog.at_level(logging.WARNING, logger="linmap"):
        assert train(recipe, whole, resume=True) == whole
    assert "there is nothing to resume" in caplog.text
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before


def test_overwriting_starts_anew(cut: Path, whole: Path, recipe: Recipe) -> None:
    (cut / "checkpoint-8" / "trainer_state.json").write_text("{}")
    train(recipe, cut, overwrite=True)
    assert_bit_equal(weights_of(cut), weights_of(whole))


def content_of(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_overwriting_removes_what_a_run_writes_and_keeps_the_features_and_the_card(
    whole: Path, tmp_path: Path, recipe: Recipe
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    for half_written in ("samples.md.part", "training_log.json.part", "loss.part.png", "samples/captions.json.part"):
        (folder / half_written).touch()
    (folder / "README.md").write_text("edited by hand")
    OutputFolder(folder).open(recipe, overwrite=True)
    assert {path.name for path in folder.iterdir()} == {"recipe.yaml", "cache", "README.md"}
    assert (folder / "README.md").read_text() == "edited by hand"
    assert (folder / "cache" / "features.safetensors").is_file()


@pytest.mark.parametrize(
    "foreign", ["thesis.txt", "photos/a.jpg", "samples/mine.png", "checkpoint-best/model.safetensors", ".hidden"]
)
def test_nothing_is_overwritten_in_a_run_s_folder_that_holds_something_a_run_does_not_write(
    cut: Path, recipe: Recipe, foreign: str
) -> None:
    (cut / foreign).parent.mkdir(exist_ok=True)
    (cut / foreign).write_text("years of work")
    before = content_of(cut)
    named = foreign if foreign.startswith("samples/") else foreign.split("/")[0]
    message = rf"/{re.escape(named)} was not written by the run in .*Move it away, or choose another --output"
    with pytest.raises(OutputFolderError, match=message):
        train(recipe, cut, overwrite=True)
    assert content_of(cut) == before


def test_a_folder_whose_recipe_is_the_user_s_own_holds_no_run(
    recipe_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = recipe_file().parent
    for name in ("samples", "photos"):
        (project / name).mkdir()
        (project / name / "1.jpg").write_text("a photo")
    (project / "README.md").write_text("my project")
    before = content_of(project)
    monkeypatch.chdir(project)
    own = load_recipe("recipe.yaml")
    with pytest.raises(OutputFolderError, match="holds files that are not of a training run"):
        train(own, ".")
    with pytest.raises(OutputFolderError, match="holds no training run, so it is not overwritten"):
        train(own, ".", overwrite=True)
    with pytest.raises(OutputFolderError, match=r"There is no run in \. to resume"):
        train(own, ".", resume=True)
    assert content_of(project) == before


def test_a_run_cut_off_before_anything_but_its_recipe_was_written_is_a_run(recipe: Recipe, tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path / "run")
    folder.open(recipe)
    with pytest.raises(OutputFolderError, match="holds a run that was cut off: --resume goes on with it"):
        folder.check(recipe, resume=False, overwrite=False)
    assert folder.open(recipe, resume=True) is None
    assert folder.open(recipe, overwrite=True) is None


def test_a_folder_with_something_else_in_it_is_never_emptied(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputFolderError, match=r"holds files that are not of a training run"):
        train(recipe, tmp_path)
    with pytest.raises(OutputFolderError, match=r"holds no training run, so it is not overwritten"):
        train(recipe, tmp_path, overwrite=True)
    with pytest.raises(OutputFolderError, match=r"is a file; choose a folder as --output"):
        train(recipe, tmp_path / "thesis.txt")
    with pytest.raises(OutputFolderError, match=r"There is no run in .* to resume: start it without --resume"):
        train(recipe, tmp_path / "nowhere", resume=True)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
