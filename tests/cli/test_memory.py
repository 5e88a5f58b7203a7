"""`linmap memory build` and `linmap memory info`, also when killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from linmap import DualEncoderModel, DualEncoderProcessor
from linmap.decap.memory import SupportMemory
from linmap.dual.embedding import embed_texts


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "captions.txt"
    file.write_bytes(b"a dog runs\n\na cat \xff\na cat sleeps\n" + b"x" * 10_000_000 + b"\na dog runs\ntwo men\n")
    return file


def test_every_sentence_is_embedded_and_what_is_none_is_counted_and_named(linmap, dual_dir, text, captions, tmp_path):
    output, empty = tmp_path / "memory", tmp_path / "empty.txt"
    empty.touch()
    ran = linmap(
        "memory", "build", text, captions, empty, "--split", "val", "--model", dual_dir, "-o", output, "--dtype",
        "float32", "--json",
    )  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    memory = SupportMemory.from_pretrained(output, verify=True)
    kept = ["a dog runs", "a cat sleeps", "two men", "a brown dog", "two men on bicycles"]
    assert list(memory.captions) == kept
    model, processor = DualEncoderModel.from_pretrained(dual_dir), DualEncoderProcessor.from_pretrained(dual_dir)
    torch.testing.assert_close(memory.latents(), embed_texts(model, processor, kept), rtol=0, atol=1e-6)
    memory.require_text_tower(model.text_fingerprint())
    report = json.loads(ran.out)
    assert report["left_out"] == {"empty": 1, "undecodable": 1, "too long": 1, "duplicate": 2, "empty file": 1}
    assert report["first_left_out"] == {
        "empty": [f"{text}:2"],
        "undecodable": [f"{text}:3"],
        "too long": [f"{text}:5"],
        "duplicate": [f"{text}:6", f"{captions}: caption 1 of a.jpg"],
        "empty file": [str(empty)],
    }
    assert (report["captions"], report["dim"], report["dtype"], report["shards"]) == (5, 32, "float32", 1)


def test_people_read_what_was_left_out_and_where(linmap, dual_dir, text, tmp_path):
    ran = linmap("memory", "build", text, "--model", dual_dir, "--output", tmp_path / "memory", "--dtype", "int8")
    assert ran.code == 0
    assert "3 captions, 32 channels, int8" in ran.out
    assert f"left out: 1 empty ({text}:2); 1 undecodable ({text}:3); 1 too long ({text}:5); 1 dup" in ran.out
    again = linmap("memory", "build", text, "--model", dual_dir, "--output", tmp_path / "memory", "--dtype", "int8")
    assert "it was complete; left out then: 1 empty, 1 undecodable, 1 too long, 1 duplicate" in again.out


def test_another_build_in_the_folder_is_refused_or_loses_it(linmap, dual_dir, text, captions, tmp_path):
    first = ["memory", "build", text, "--model", dual_dir, "--output", tmp_path / "memory"]
    assert linmap(*first).code == 0
    ran = linmap(*first, "--dtype", "int8")
    assert (ran.code, ran.out) == (2, "")
    assert "was built with other values of dtype. Choose another --output, or --overwrite to lose it." in ran.err
    assert "with other values of sources" in linmap(*first[:2], captions, *first[3:]).err
    assert linmap(*first, "--dtype", "int8", "--overwrite").code == 0
    assert SupportMemory.from_pretrained(tmp_path / "memory").dtype == "int8"


def test_info_tells_what_a_memory_is_made_of(linmap, dual_dir, text, tmp_path):
    linmap("memory", "build", text, "--model", dual_dir, "--output", tmp_path / "memory")
    told = json.loads(linmap("memory", "info", tmp_path / "memory", "--json").out)
    assert (told["captions"], told["dim"], told["dtype"], told["verified"]) == (3, 32, "float16", True)
    assert told["first"] == ["a dog runs", "a cat sleeps", "two men"]
    assert [source["name"] for source in told["build"]["sources"]] == ["captions.txt"]
    read = linmap("memory", "info", tmp_path / "memory").out
    assert "32 channels, float16" in read
    assert "1 empty, 1 undecodable, 1 too long, 1 duplicate" in read


def test_info_names_a_damaged_file(linmap, dual_dir, text, tmp_path):
    linmap("memory", "build", text, "--model", dual_dir, "--output", tmp_path / "memory")
    file = tmp_path / "memory" / "latents-00001.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    ran = linmap("memory", "info", tmp_path / "memory")
    assert (ran.code, ran.out) == (2, "")
    assert f"{file} is damaged or another file: its sha256 is" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.txt"], "There is no file or folder 'nowhere.txt'. Name text files"),
        (["{text}", "--dtype", "int4"], "Unknown dtype 'int4'. Did you mean 'int8'? Known: float16, float32, int8."),
        (["{text}", "--device", "tpu"], "Unknown device 'tpu'"),
        (["{captions}", "--split", "vall"], "Unknown split 'vall'. Did you mean 'val'?"),
        (["{text}", "--limit", "0"], "Invalid value for '--limit'"),
    ],
)
def test_what_cannot_be_built_is_one_line(linmap, dual_dir, text, captions, tmp_path, words, said):
    words = [word.format(text=text, captions=captions) for word in words]
    ran = linmap("memory", "build", *words, "--model", dual_dir, "--output", tmp_path / "memory")
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert ran.err.count("\n") == 1


def build_and_kill(words: list[str], shard_rows: int, at: Callable[[], bool]) -> None:
    """Runs `linmap memory build` in a process of its own and ends it with SIGKILL as soon as `at()` holds."""
    process = subprocess.Popen(_command(words, shard_rows), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 120
        while process.poll() is None and not at():
            assert time.monotonic() < end, "the build did not get so far in time"
            time.sleep(0.001)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL, "the build had ended before it could be killed"


def _command(words: list[str], shard_rows: int) -> list[str]:
    code = (
        "import sys, torch; torch.set_num_threads(int(sys.argv.pop(1)))\n"
        "from linmap.decap import memory_files; memory_files.SHARD_ROWS = int(sys.argv.pop(1))\n"
        "from linmap.cli.app import main; sys.exit(main())"
    )
    return [sys.executable, "-c", code, str(torch.get_num_threads()), str(shard_rows), *map(str, words)]


def assert_killed_builds_end_alike(words: list[str], tmp_path: Path, shard_rows: int) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run = {"check": True, "stdout": subprocess.DEVNULL, "env": os.environ}
    subprocess.run(_command([*words, "--output", str(whole)], shard_rows), **run)
    for shard in (1, 2):  # twice, and the second time while a shard is being written
        file = cut / f"latents-{shard:05d}.safetensors"
        build_and_kill([*words, "--output", str(cut)], shard_rows, at=lambda file=file: file.exists())
    assert not json.loads((cut / "memory.json").read_text(encoding="utf-8"))["complete"]
    subprocess.run(_command([*words, "--output", str(cut)], shard_rows), **run)
    assert files_of(cut) == files_of(whole)
    assert len(SupportMemory.from_pretrained(cut, verify=True)) > 2 * shard_rows


def test_a_build_that_is_killed_and_run_again_ends_with_the_same_bytes(dual_dir, tmp_path):
    file = tmp_path / "many.txt"
    file.write_text("".join(f"a dog and {number} cats\n" * 2 for number in range(900)), encoding="utf-8")
    assert_killed_builds_end_alike(["memory", "build", str(file), "--model", str(dual_dir)], tmp_path, shard_rows=60)


@pytest.mark.weights
def test_the_bundled_dual_encoders_build_goes_on_too(tmp_path):
    file = tmp_path / "some.txt"
    file.write_text("".join(f"{number} dogs run after a red ball\n" for number in range(300)), encoding="utf-8")
    assert_killed_builds_end_alike(["memory", "build", str(file)], tmp_path, shard_rows=60)
