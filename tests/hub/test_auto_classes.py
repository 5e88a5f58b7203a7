"""The Auto classes of transformers find a pushed model: with linmap imported, without it, and where it is missing."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from tests.hub import steps
from tests.hub.conftest import TOKEN
from tests.hub_server import HubClient, SmallHub


@pytest.fixture(scope="module")
def newcomer(hub: SmallHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubClient]:
    """A client that never imports linmap itself; each step is a process of its own that starts where this one is."""
    one = HubClient(hub.url, tmp_path_factory.mktemp("newcomer"))
    one(with_transformers)
    yield one
    one.close()


def with_transformers() -> None:
    import open_clip  # noqa: F401 - what linmap imports, too, and each copy of this process would import anew
    import timm  # noqa: F401
    import torch
    import transformers

    torch.set_num_threads(1)
    assert transformers.AutoModel is not None
    assert transformers.AutoProcessor is not None


def apart(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Runs a step in a copy of this process, which is thrown away."""
    assert "linmap" not in sys.modules
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as copy:
        return copy.submit(function, *arguments, **named).result()


@pytest.mark.parametrize("family", steps.FAMILIES)
def test_with_trusted_code_nobody_needs_to_import_linmap(
    family: str, hub: SmallHub, client: HubClient, newcomer: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    client(steps.push, family, folders[family], f"org/auto-{family}", token=TOKEN)
    at = {"cache_dir": str(tmp_path), "trust_remote_code": True}
    classes, found = newcomer(apart, auto_loaded, family, f"org/auto-{family}", **at)
    assert classes == [steps.FAMILIES[family].model, steps.FAMILIES[family].processor]
    assert steps.alike(found, steps.answers(family, folders[family]))


def auto_loaded(family: str, name: str, **hub: Any) -> tuple[list[str], list[Any]]:
    import transformers

    auto = getattr(transformers, steps.FAMILIES[family].auto)
    model = auto.from_pretrained(name, **hub)
    processor = transformers.AutoProcessor.from_pretrained(name, **hub)
    assert type(transformers.AutoConfig.from_pretrained(name, **hub)) is type(model.config)
    return [type(model).__name__, type(processor).__name__], steps.answered(family, model, processor)


def test_where_linmap_is_missing_transformers_says_what_to_install(
    client: HubClient, newcomer: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    client(steps.push, "prefix", folders["prefix"], "org/needs-linmap", token=TOKEN)
    at = {"cache_dir": str(tmp_path), "trust_remote_code": True}
    for auto in ("AutoModelForImageTextToText", "AutoProcessor", "AutoConfig"):
        said = newcomer(apart, refused_without_linmap, auto, "org/needs-linmap", **at)
        assert said.startswith("ImportError: This modeling file requires the following packages")
        assert said.endswith("linmap. Run `pip install linmap`")


class Blocked:
    """Stands before the other finders, and finds no linmap."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name.partition(".")[0] == "linmap":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def refused_without_linmap(auto: str, name: str, **hub: Any) -> str:
    import transformers

    sys.meta_path.insert(0, Blocked())  # type: ignore[arg-type]  # a finder needs no more
    try:
        getattr(transformers, auto).from_pretrained(name, **hub)
    except ImportError as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError("It loaded without linmap.")


@pytest.mark.parametrize("trust", [None, True])
def test_with_linmap_imported_nothing_from_the_network_is_executed(
    trust: bool | None, client: HubClient, newcomer: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    client(steps.push, "dual", folders["dual"], "org/untrusted", token=TOKEN)
    at = {"cache_dir": str(tmp_path), "trust_remote_code": trust}
    found = newcomer(apart, with_linmap, "dual", "org/untrusted", **at)
    assert steps.alike(found, steps.answers("dual", folders["dual"]))
    assert not list(tmp_path.rglob("*.py"))


def with_linmap(family: str, name: str, **hub: Any) -> list[Any]:
    import linmap

    assert linmap.__version__
    _, found = auto_loaded(family, name, **hub)
    assert not [module for module in sys.modules if module.startswith("transformers_modules")]
    return found


def test_a_model_that_came_by_trusted_code_is_saved_without_copies_of_linmap(
    client: HubClient, newcomer: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    client(steps.push, "decap", folders["decap"], "org/copied", token=TOKEN)
    at = {"cache_dir": str(tmp_path / "cache"), "trust_remote_code": True}
    newcomer(apart, auto_resaved, "decap", "org/copied", tmp_path / "again", **at)
    assert not list((tmp_path / "again").rglob("*.py"))
    assert "auto_map" not in (tmp_path / "again" / "config.json").read_text()
    assert "auto_map" not in (tmp_path / "again" / "processor_config.json").read_text()


def auto_resaved(family: str, name: str, folder: Path, **hub: Any) -> None:
    import transformers

    auto = getattr(transformers, steps.FAMILIES[family].auto)
    auto.from_pretrained(name, **hub).save_pretrained(folder)
    transformers.AutoProcessor.from_pretrained(name, **hub).save_pretrained(folder)
