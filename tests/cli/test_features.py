"""`linmap features extract` and `linmap features info`, also when killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from linmap import LinearVisionPrefixModel, LinearVisionPrefixProcessor
from linmap.data.captions import read_captions
from linmap.data.feature_store import FeatureStore
from linmap.data.images import open_photo
from linmap.data.shard_writing import write_caption_shards

DEADLINE = 300  # seconds; a busy machine needs minutes to import torch


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_what_is_extracted_is_what_the_model_would_have_made_of_the_photos(
    linmap, model_dir, photos, captions, tmp_path
):
    output = tmp_path / "features"
    ran = linmap(
        "features", "extract", captions, "--images", photos, "--model", model_dir, "--output", output, "--dtype",
        "float32", "--json",
    )  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    report = json.loads(ran.out)
    assert (report["photos"], report["captions"], report["cells"], report["width"]) == (3, 6, 4, 64)
    assert (report["shards"], report["complete"], report["extracted_here"], report["unreadable"]) == (1, True, 1, 0)
    model = LinearVisionPrefixModel.from_pretrained(model_dir)
    processor = LinearVisionPrefixProcessor.from_pretrained(model_dir)
    captioned = read_captions(captions, photos)
    pictures = [open_photo(photo.image) for photo in captioned]
    with torch.no_grad():
        wanted = model.encode_images(processor.image_processor(pictures, return_tensors="pt")["pixel_values"])
    store = FeatureStore(output)
    torch.testing.assert_close(store.features()[0:3], wanted, rtol=0, atol=1e-6)
    assert [photo.captions for photo in store.photos()] == [photo.captions for photo in captioned]


def test_a_recipe_and_an_encoder_by_name_say_the_same_encoder(linmap, photos, captions, tmp_path):
    import yaml

    recipe = {
        "description": "none",
        "source": "none",
        "model": {"encoder": "timm:test_vit", "encoder_pretrained": False, "language_model": "none", "grid_size": 5},
        "data": {"captions": str(captions), "images": str(photos)},
        "training": {"steps": 1},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    words = ["features", "extract", captions, "--images", photos, "--split", "val"]
    assert linmap(*words, "--recipe", tmp_path / "recipe.yaml", "--output", tmp_path / "of-recipe").code == 0
    store = FeatureStore(tmp_path / "of-recipe")
    assert (store.identity.name, store.identity.cells, len(store)) == ("timm:test_vit.r160_in1k", 25, 2)
    ran = linmap(*words, "--encoder", "timm:no_such_thing", "--output", tmp_path / "of-name")
    assert (ran.code, ran.out) == (2, "")
    assert "timm" in ran.err
    assert "has no model 'no_such_thing'" in ran.err


def test_people_read_what_was_left_out_and_that_shards_were_there(linmap, model_dir, photos, captions, tmp_path):
    (photos / "b.png").write_bytes(b"")
    words = ["features", "extract", captions, "--images", photos, "--model", model_dir, "-o", tmp_path / "features"]
    ran = linmap(*words)
    assert (ran.code, ran.out) == (2, "")
    assert "b.png: the file is empty; fetch it again" in ran.err
    ran = linmap(*words, "--max-unreadable", "1")
    assert "2 photos, 5 captions, 4 x 64 float16" in ran.out
    assert "left out: 1 photos that cannot be read (b.png: the file is empty; fetch it again)" in ran.out
    again = linmap(*words, "--max-unreadable", "1")
    assert "1 shards were finished before, and are as they were written" in again.out
    told = linmap("features", "info", tmp_path / "features", "--verify")
    assert "2 with 5 captions, splits train, val" in told.out
    assert "grid, 4 x 64, float16" in told.out
    assert "random weights, seed 0" in told.out
    assert "b.png: the file is empty" in told.out
    told = json.loads(linmap("features", "info", tmp_path / "features", "--json").out)
    assert (told["photos"], told["verified"], told["encoder"]["name"]) == (2, False, "timm:test_vit.r160_in1k")
    damaged = tmp_path / "features" / "features-00001.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    ran = linmap("features", "info", tmp_path / "features", "--verify")
    assert (ran.code, ran.out) == (2, "")
    assert "features-00001.safetensors is damaged or another file" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Nothing says which encoder; give one of --recipe, --model and --encoder."),
        (["--recipe", "blind", "--model", "default"], "blind and default says which encoder; give one of"),
        (["--model", "default", "--grid-size", "2"], "--features and --grid-size go with --encoder"),
        (["--encoder", "timm:test_vit", "--features", "pooled", "--grid-size", "2"], "--features pooled has none"),
        (["--recipe", "blind"], "shows no image: there are no features to extract"),
        (["--recipe", "limber-nfrn50-tuned"], "learns, so its features change with every step"),
        (["--recipe", "linear-dual"], "trains no linear vision prefix, so it reads no stored features"),
        (["--model", "default", "--num-shards", "2"], "--num-shards and --shard-index go together"),
        (["--model", "default", "--num-shards", "2", "--shard-index", "2"], "There is no shard index 2 of 2"),
        (["--model", "default", "--dtype", "int8"], "Unknown dtype 'int8'"),
    ],
)
def test_what_does_not_go_together_is_one_line(linmap, photos, captions, tmp_path, words, said, model_dir):
    words = [str(model_dir) if word == "default" and "blind" not in words else word for word in words]
    ran = linmap("features", "extract", captions, "--images", photos, "--output", tmp_path / "out", *words)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_launcher_and_the_options_are_not_both_obeyed(linmap, photos, captions, tmp_path, model_dir, monkeypatch):
    words = ["features", "extract", captions, "--images", photos, "--model", model_dir, "--output", tmp_path / "out"]
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    ran = linmap(*words, "--num-shards", "2", "--shard-index", "0")
    assert ran.code == 2
    assert "2 processes were launched (WORLD_SIZE), and each would take --shard-index 0" in ran.err
    ran = linmap(*words)
    assert ran.code == 0
    assert "not complete: some of 1 shards are still to come from other processes" in ran.out
    monkeypatch.setenv("RANK", "0")
    assert "3 photos" in linmap(*words).out


def test_an_extraction_that_is_killed_and_run_again_ends_with_the_same_bytes(linmap, model_dir, photos, tmp_path):
    seen = ["a.jpg", "b.png", "c.jpg"]
    write_caption_shards(
        ({"image": photos / seen[number % 3], "caption": f"photo {number}"} for number in range(160)),
        tmp_path / "tars",
        20,
    )
    words = ["features", "extract", tmp_path / "tars", "--model", model_dir, "--batch-size", "1", "--output"]
    assert linmap(*words, tmp_path / "whole").code == 0
    cut = tmp_path / "cut"
    code = "import sys, torch; torch.set_num_threads(int(sys.argv.pop(1))); from linmap.cli.app import main; main()"
    command = [sys.executable, "-c", code, str(torch.get_num_threads()), *map(str, words), str(cut)]
    process = subprocess.Popen(command, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + DEADLINE
        while process.poll() is None and not (cut / "features-00002.json").is_file():
            assert time.monotonic() < end, "the extraction did not get so far in time"
            time.sleep(0.001)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL, "the extraction had ended before it could be killed"
    before = {file: (cut / file).stat().st_mtime_ns for file in ("features-00001.safetensors", "features-00002.json")}
    assert not (cut / "features-00008.json").exists()
    ran = linmap(*words, cut, "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["found_here"] >= 2
    assert files_of(cut) == files_of(tmp_path / "whole")
    assert {file: (cut / file).stat().st_mtime_ns for file in before} == before


def test_the_help_teaches_by_examples(linmap):
    told = " ".join(linmap("features", "extract", "--help").out.split())
    assert "linmap features extract captions.json --images photos/ --recipe limber-clip-rn50x16" in told
    assert "accelerate launch" in told
