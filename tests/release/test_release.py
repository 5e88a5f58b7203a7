"""What a release would hold: built from this checkout, checked as the index checks it, installed and used elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from linmap.cli.app import main

LARGEST_WHEEL = 25_000_000
"""Bytes."""


def _run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def facts(repository: Path) -> dict:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def release(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source distribution, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, repository)
    (source,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    return source, wheel


def test_the_wheel_is_small_enough_for_the_package_index(release):
    assert release[1].stat().st_size < LARGEST_WHEEL


def test_the_package_index_would_take_both_files(release):
    said = _run(sys.executable, "-m", "twine", "check", "--strict", *release).stdout
    assert said.count("PASSED") == 2


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(release, repository):
    package = repository / "src" / "linmap"
    wanted = {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(release[1]) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == wanted


def test_the_source_distribution_holds_what_its_tests_and_docs_need(release):
    with tarfile.open(release[0]) as source:
        names = {name.split("/", 1)[1] for name in source.getnames() if "/" in name}
    for needed in ("README.md", "LICENSE", "CHANGELOG.md", "mkdocs.yml", "tests/conftest.py", "docs/design.md"):
        assert needed in names


def test_the_version_is_written_in_one_place(repository, facts):
    says = re.compile(rf"version\W+{re.escape(facts['version'])}\b", re.IGNORECASE)
    names = ("pyproject.toml", "CITATION.cff", "README.md", "mkdocs.yml", "CONTRIBUTING.md", "src/linmap/__init__.py")
    files = [*(repository / name for name in names), *(repository / "docs").rglob("*.md")]
    places = [path.name for path in files for _ in says.findall(path.read_text(encoding="utf-8"))]
    assert places == ["pyproject.toml"]


def test_the_changelog_tells_of_this_version_or_of_what_is_not_released_yet(repository, facts):
    newest = re.search(r"^## \[(.+?)\]", (repository / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest[1] in ("Unreleased", facts["version"])


@pytest.mark.weights
def test_the_wheel_captions_a_photo_in_an_environment_of_its_own(release, repository, facts, tmp_path, capsys):
    """What it depends on is that of this environment: fetching torch once more would take minutes and 6 GB."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=False)
    scripts = {"base": str(home), "platbase": str(home), "installed_base": str(home)}
    site = Path(sysconfig.get_path("purelib", "venv", scripts))
    _run(sys.executable, "-m", "pip", "--python", home, "install", "--no-deps", "--no-index", "-q", release[1])
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    photo = tmp_path / "photo.jpg"
    photo.write_bytes((repository / "examples" / "photos" / "tennis.jpg").read_bytes())
    bin_folder = Path(sysconfig.get_path("scripts", "venv", scripts))
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    where = _run(bin_folder / "python", "-c", "import linmap; print(linmap.__file__)", cwd=tmp_path, env=environment)
    assert Path(where.stdout.strip()).is_relative_to(home)
    program = bin_folder / "linmap"
    assert _run(program, "--version", cwd=tmp_path, env=environment).stdout == f"linmap {facts['version']}\n"
    said = _run(program, "caption", photo, cwd=tmp_path, env=environment).stdout
    assert main(["caption", str(photo)]) == 0
    assert said == capsys.readouterr().out
