"""`linmap push`: what it uploads, what it prints, and what it refuses before anything is sent."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from linmap.cli.app import main
from tests.hub.conftest import TOKEN
from tests.hub_server import HubClient, SmallHub


def test_a_run_is_pushed_without_its_checkpoints_photos_and_cache(
    hub: SmallHub, client: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(folders["decap"], run)
    for file in ("checkpoint-5/optimizer.pt", "cache/features.safetensors", "samples/1.jpg", "training_args.bin"):
        (run / file).parent.mkdir(exist_ok=True)
        (run / file).write_bytes(b"0")
    for file in ("recipe.yaml", "training_log.json", "loss.png", "LICENSE"):
        (run / file).write_bytes(b"1")
    said = client.linmap("push", str(run), "org/run", "--private", "-m", "After 5 steps", "--token", TOKEN)
    assert said.code == 0, said.err
    repository = hub.repositories["org/run"]
    assert said.out == f"{hub.url}/org/run/commit/{repository.branches['main']}\n"
    assert said.err == "linmap: not uploaded: cache, checkpoint-5, samples, training_args.bin\n"
    assert repository.private
    assert repository.messages == ["After 5 steps"]
    more = {"recipe.yaml", "training_log.json", "loss.png", "LICENSE", "linmap_model.py", ".gitattributes"}
    model = {path.relative_to(folders["decap"]).as_posix() for path in folders["decap"].rglob("*") if path.is_file()}
    assert set(repository.files) == model | more


def test_branches_and_pull_requests_can_be_asked_for(
    hub: SmallHub, client: HubClient, folders: dict[str, Path]
) -> None:
    folder = str(folders["clippo"])
    assert client.linmap("push", folder, "org/from-cli", "--revision", "next", "--token", TOKEN).code == 0
    assert set(hub.files("org/from-cli")) == {".gitattributes"}
    said = client.linmap("push", folder, "org/from-cli", "--create-pr", "--token", "hf_stranger")
    assert (said.code, said.out) == (0, f"{hub.url}/org/from-cli/discussions/1\n")
    assert set(hub.files("org/from-cli")) == {".gitattributes"}


def test_a_model_that_names_a_folder_of_this_machine_is_pushed_with_a_warning(
    hub: SmallHub, client: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(folders["decap"], model)
    config = json.loads((model / "config.json").read_text())
    config |= {"checkpoint_contents": "learned"}
    config["backbones"]["dual_encoder"]["name"] = str(folders["dual"])
    (model / "config.json").write_text(json.dumps(config))
    config |= {"trained_encoder": True}
    config["backbones"]["encoder"] = {**config["backbones"]["dual_encoder"]}  # such a one lies in the checkpoint
    (model / "config.json").write_text(json.dumps(config))
    said = client.linmap("push", str(model), "org/local-part", "--token", TOKEN)
    assert said.code == 0
    assert "The encoder of this" not in said.err
    assert f"dual_encoder of this model is recorded as {folders['dual']}, which only this machine has" in said.err


def spoil(name: str) -> Callable[[Path], None]:
    """What was done to a folder."""

    def cut(folder: Path) -> None:
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:100])

    return {
        "no config": lambda folder: (folder / "config.json").unlink(),
        "no weights": lambda folder: (folder / "model.safetensors").unlink(),
        "no processor": lambda folder: (folder / "processor_config.json").unlink(),
        "damaged config": lambda folder: (folder / "config.json").write_text("{"),
        "another kind": lambda folder: (folder / "config.json").write_text('{"model_type": "bert"}'),
        "wrong value": lambda folder: (folder / "config.json").write_text(
            '{"model_type": "clippo", "image_size": "large"}'
        ),
        "cut off": cut,
        "damaged processor": lambda folder: (folder / "processor_config.json").write_text("{"),
        "a shard missing": lambda folder: (folder / "model.safetensors.index.json").write_text(
            '{"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}'
        ),
        "damaged index": lambda folder: (folder / "model.safetensors.index.json").write_text("[]"),
    }[name]


REFUSED = {
    "no config": r"holds no config\.json, so it is no model\. Found: README\.md, ",
    "no weights": r"holds no model\.safetensors: the model's weights are missing",
    "no processor": r"holds a model without its processor \(processor_config\.json\)\. Save it there too",
    "damaged config": r"config\.json is damaged: .*Save the model again",
    "another kind": r"holds a model of type 'bert'; linmap pushes those of type clippo, decap, dual_encoder, "
    r"linear_vision_prefix\. For others there is hf upload",
    "wrong value": r"image_size",
    "damaged processor": r"processor_config\.json is damaged: .*Save it again",
    "a shard missing": r"lacks model-00002-of-00002\.safetensors, which its index names",
    "damaged index": r"model\.safetensors\.index\.json is damaged: .*Save the model again",
    "cut off": r"model\.safetensors is cut off or damaged: .*Save it again",
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_folder_that_is_no_whole_model_is_refused_before_the_hub_is_asked(
    case: str, folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folders["clippo"], tmp_path / "model")
    spoil(case)(tmp_path / "model")
    assert main(["push", str(tmp_path / "model"), "org/name"]) == 2
    said = capsys.readouterr().err
    assert re.search(REFUSED[case], said), said
    assert said.startswith("linmap: error: ")
    assert said.count("\n") == 1


def test_a_memory_that_lacks_a_shard_is_not_pushed(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folders["decap"], tmp_path / "model")
    next((tmp_path / "model" / "memory").glob("latents-*")).unlink()
    assert main(["push", str(tmp_path / "model"), "org/name"]) == 2
    assert "latents-00001.safetensors" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    for name, found in (("nowhere", "is not there"), ("file", "is a file")):
        assert main(["push", str(tmp_path / name), "org/name"]) == 2
        assert f"{tmp_path / name} {found}. Name the folder that save_pretrained" in capsys.readouterr().err


def test_an_empty_token_is_none(client: HubClient, folders: dict[str, Path]) -> None:
    said = client.linmap("push", str(folders["dual"]), "org/new", "--token", "")
    assert said.code == 2
    assert "The Hub takes nothing from somebody without a token" in said.err


@pytest.mark.weights
def test_the_bundled_captioner_is_pushed_and_captions_by_its_name(
    hub: SmallHub, client: HubClient, repository: Path
) -> None:
    from linmap import default_model

    photo = str(repository / "examples" / "photos" / "cat.jpg")
    assert client.linmap("push", str(default_model()), "org/bundled", "--token", TOKEN).code == 0
    assert hub.files("org/bundled")["model.safetensors"] == (Path(default_model()) / "model.safetensors").read_bytes()
    said = client.linmap("caption", photo, "--model", "org/bundled", "--json")
    assert said.code == 0, said.err
    assert len(json.loads(said.out)["caption"].split()) > 2
