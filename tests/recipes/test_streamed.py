"""Training on shards: exactly resumable, cut off wherever, with and without workers."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from linmap.data import caption_examples, read_captions
from linmap.data.images import UnreadableImages
from linmap.data.shard_writing import write_caption_shards
from linmap.errors import CaptionDataError, RecipeError, TooManyUnreadableImagesError, UnreadableImageError
from linmap.recipes import train
from linmap.recipes.recipe import load_recipe, recipe_from_dict
from linmap.recipes.streamed import validation_photos
from tests.recipes.killed_runs import assert_bit_equal, train_and_kill, weights_of

RecipeMaker = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def shards(photo_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `train` (36 captions in 4 shards) and `val` (12 captions in 2)."""
    folder = tmp_path_factory.mktemp("shards")
    for split, per_shard in (("train", 10), ("val", 6)):
        read = read_captions(photo_set / "captions.json", photo_set / "images", split)
        write_caption_shards(caption_examples(read), folder / split, per_shard)
    return folder


@pytest.fixture
def streamed(tiny_recipe: RecipeMaker, shards: Path) -> RecipeMaker:
    """`streamed(**sections)`: the tiny recipe on shards."""

    def make(**sections: dict[str, Any]) -> dict[str, Any]:
        data = {
            "format": "webdataset",
            "captions": str(shards / "train" / "{00000..00003}.tar"),
            "images": None,
            "validation_captions": str(shards / "val"),
            "train_split": None,
            "validation_split": None,
            "precompute_features": False,
        }
        own = {"data": data, "initialisation": {"method": "default"}, "training": {"length_grouped": False}}
        return tiny_recipe(**{name: own.get(name, {}) | sections.get(name, {}) for name in {*own, *sections}})

    return make


def losses_of(log: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Step, epoch and losses of everything a run logged, but its summary: that tells times."""
    entries = [entry for entry in log["history"] if "train_runtime" not in entry]
    return [tuple(entry.get(key) for key in ("step", "epoch", "loss", "eval_loss")) for entry in entries]


def test_a_killed_run_that_is_resumed_in_the_middle_of_an_epoch_ends_with_bit_equal_weights(
    streamed: RecipeMaker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # 36 captions in batches of 4, two a step: an epoch is 4.5 steps; killed in the fourth, with dropout on
    content = streamed(
        data={"workers": 2},
        training={"steps": 30, "gradient_accumulation": 2},
        evaluation={"every": 5, "samples": 1, "photos": 2},
    )
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    recipe = load_recipe(file)
    whole = train(recipe, tmp_path / "whole")
    cut = tmp_path / "cut"
    train_and_kill(file, cut, at=lambda: (cut / "checkpoint-15").exists())
    with caplog.at_level(logging.WARNING, logger="linmap"):
        train(recipe, cut, resume=True)
    assert "Resuming from" in caplog.text
    assert_bit_equal(weights_of(cut), weights_of(whole))
    assert_bit_equal(weights_of(cut / "checkpoint-30"), weights_of(whole / "checkpoint-30"))
    logs = [json.loads((folder / "training_log.json").read_text()) for folder in (whole, cut)]
    assert losses_of(logs[0]) == losses_of(logs[1])
    assert losses_of(logs[0])[-1][1] == pytest.approx(30 * 8 / 36)  # the epoch
    assert logs[0]["epochs"] == round(30 * 8 / 36, 2)
    assert (logs[0]["photos"], logs[0]["validation_photos"]) == (36, 2)


def test_a_run_without_workers_that_is_cut_off_is_resumed_to_bit_equal_weights(
    streamed: RecipeMaker, tmp_path: Path
) -> None:
    settings = {"training": {"steps": 12, "keep_checkpoints": 9}, "evaluation": {"every": 4, "samples": 0}}
    recipe = recipe_from_dict(streamed(**settings))
    whole = train(recipe, tmp_path / "whole")
    cut = tmp_path / "cut"
    shutil.copytree(whole, cut, ignore=shutil.ignore_patterns("checkpoint-12", "training_log.json"))
    order = cut / "checkpoint-8" / "stream.json"
    said = json.loads(order.read_text())
    order.write_text(json.dumps(said | {"processes": 2}))
    with pytest.raises(
        RecipeError, match=r"in another order: processes 2 before, 1 now\. Resume it with the shards as"
    ):
        train(recipe, cut, resume=True)
    order.write_text(json.dumps(said))
    train(recipe, cut, resume=True)
    assert_bit_equal(weights_of(cut / "checkpoint-12"), weights_of(whole / "checkpoint-12"))


def test_two_processes_learn_what_one_with_twice_the_workers_learns(streamed: RecipeMaker, tmp_path: Path) -> None:
    def content(workers: int, accumulated: int) -> dict[str, Any]:
        return streamed(
            model={"projector_dropout": 0.0},
            data={"workers": workers},
            training={"steps": 12, "gradient_accumulation": accumulated, "learning_rate": 3e-3},
            evaluation={"every": 6, "samples": 1, "max_new_tokens": 2},
        )

    one = train(recipe_from_dict(content(2, 2)), tmp_path / "one")
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(content(0, 1)), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        launcher = ["-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={free.getsockname()[1]}"]
    words = [*launcher, "-m", "linmap", "train", str(file), "--output", str(tmp_path / "two")]
    done = subprocess.run(
        [sys.executable, *words], env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    losses = [losses_of(json.loads((run / "training_log.json").read_text())) for run in (one, tmp_path / "two")]
    assert len(losses[0]) == 3
    for entry, other in zip(*losses, strict=True):
        assert entry[:2] == other[:2]
        assert [value for value in entry[2:] if value] == pytest.approx(
            [value for value in other[2:] if value], abs=1e-4
        )
    for name, value in weights_of(one).items():
        torch.testing.assert_close(weights_of(tmp_path / "two")[name], value, rtol=0, atol=1e-4)


def test_a_streamed_run_learns_what_stands_in_the_shards(streamed: RecipeMaker, tmp_path: Path) -> None:
    output = train(recipe_from_dict(streamed(training={"steps": 60}, evaluation={"every": 20})), tmp_path / "run")
    log = json.loads((output / "training_log.json").read_text())
    losses = [loss for *_, loss in losses_of(log) if loss is not None]
    assert losses[-1] < losses[0]


def test_shards_are_counted_once(streamed: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_from_dict(streamed(training={"steps": 2}, evaluation={"every": 2}))
    train(recipe, tmp_path / "run")
    counts = json.loads((tmp_path / "run" / "cache" / "shards.json").read_text())
    assert [values[-1] for values in counts.values()] == [10, 10, 10, 6]
    monkeypatch.setattr("linmap.data.streams.CaptionStream.count", lambda stream: sum(stream.counts.values()))
    train(recipe, tmp_path / "run", overwrite=True)
    (tmp_path / "run" / "cache" / "shards.json").write_text("[")
    monkeypatch.undo()
    train(recipe, tmp_path / "run", overwrite=True)


def test_damaged_samples_are_left_out_up_to_the_limit(
    streamed: RecipeMaker, shards: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(shards / "train", tmp_path / "train")
    damaged = tmp_path / "train" / "00001.tar"
    with tarfile.open(shards / "train" / "00001.tar") as old, tarfile.open(damaged, "w") as new:
        for number, info in enumerate(old):
            held = old.extractfile(info).read()  # type: ignore[union-attr]
            if number == 0:
                held = bytes(len(held))  # a photo of zeros, found when it is opened
            if number != 4:  # a caption in the JSON beside it is as good as one in the text
                new.addfile(info, io.BytesIO(held))
    data = {"captions": str(tmp_path / "train"), "unreadable_limit": 1}
    recipe = recipe_from_dict(streamed(data=data, training={"steps": 20}, evaluation={"every": 20}))
    with caplog.at_level(logging.WARNING, logger="linmap"):
        train(recipe, tmp_path / "run")
    assert caplog.text.count("Left out") == 1
    assert "00001.tar" in caplog.text


def test_too_many_damaged_samples_stop_before_the_training(streamed: RecipeMaker, shards: Path, tmp_path: Path) -> None:
    shutil.copytree(shards / "train", tmp_path / "train")
    for name in ("00000.tar", "00002.tar"):
        held = (tmp_path / "train" / name).read_bytes()
        (tmp_path / "train" / name).write_bytes(held[: len(held) // 2])
    recipe = recipe_from_dict(streamed(data={"captions": str(tmp_path / "train"), "unreadable_limit": 1}))
    with pytest.raises(TooManyUnreadableImagesError, match=r"at most 1 may be left out: .*0000[02]\.tar"):
        train(recipe, tmp_path / "run")


def test_validation_shards_beyond_the_photos_looked_at_are_not_read(
    streamed: RecipeMaker, shards: Path, tmp_path: Path
) -> None:
    shutil.copytree(shards / "val", tmp_path / "val")
    (tmp_path / "val" / "00001.tar").write_bytes(b"no shard")
    data = {"validation_captions": str(tmp_path / "val")}
    few = recipe_from_dict(streamed(data=data, evaluation={"photos": 6}))
    assert len(validation_photos(few, UnreadableImages()).photos) == 6
    with pytest.raises(UnreadableImageError, match=r"00001\.tar: the shard is damaged"):
        validation_photos(recipe_from_dict(streamed(data=data, evaluation={"photos": 7})), UnreadableImages())


def test_fewer_shards_than_workers_is_said_before_the_training(streamed: RecipeMaker, tmp_path: Path) -> None:
    with pytest.raises(CaptionDataError, match=r"There are 4 shards for 5 readers \(processes: 1, workers: 5\)"):
        train(recipe_from_dict(streamed(data={"workers": 5})), tmp_path / "run")


def test_shards_to_validate_on_are_none_to_learn_from(streamed: RecipeMaker, shards: Path, tmp_path: Path) -> None:
    recipe = recipe_from_dict(streamed(data={"validation_captions": str(shards / "train" / "0000[01].tar")}))
    with pytest.raises(
        RecipeError, match=r"learned from: .*00000\.tar and 1 other shards are in data\.captions and in"
    ):
        train(recipe, tmp_path / "run")


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"data": {"precompute_features": True}}, "which shards are not made for: set it to false, or extract"),
        ({"data": {"train_photos": 5}}, r"data\.train_photos cannot be said of shards: name fewer"),
        ({"data": {"train_split": "train"}}, "'webdataset' has no splits: set data.train_split and"),
        ({"data": {"validation_captions": None}}, "The weights would be chosen by photos they learned from"),
        ({"initialisation": {"method": "ridge"}}, "'ridge' looks at all photos before the first step.* 'default'"),
        ({"training": {"length_grouped": True}}, "length_grouped sorts all captions.* set it to false"),
    ],
)
def test_what_needs_all_photos_at_once_is_refused_by_name(
    streamed: RecipeMaker, sections: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe_from_dict(streamed(**sections))
