from __future__ import annotations

from pathlib import Path

import pytest

import linmap.hub
from linmap.errors import WeightsUnavailableError
from linmap.hub import default_model


def test_the_bundled_model_is_a_folder_under_seven_megabytes() -> None:
    folder = Path(default_model())
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"model.safetensors", "config.json", "processor_config.json", "README.md"} <= {path.name for path in files}
    assert (folder / "model.safetensors").stat().st_size <= 6_000_000
    assert sum(path.stat().st_size for path in files) < 7_000_000
    assert not [path for path in files if path.suffix in (".bin", ".pt", ".pth", ".pkl")]


def test_an_installation_without_the_bundled_model_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linmap.hub, "FOLDER", tmp_path)
    with pytest.raises(
        WeightsUnavailableError, match=r"bundled model is not in this installation: .* Name another model, .*train"
    ):
        default_model()
