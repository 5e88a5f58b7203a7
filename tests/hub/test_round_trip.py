"""From a folder to the Hub and back, over real HTTP, for every family: what was pushed answers as before."""

from __future__ import annotations

import json
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from linmap.sharing.contents import contents
from linmap.weights.repositories import PROCESSOR_FILES
from tests.hub import steps
from tests.hub.conftest import TOKEN
from tests.hub_server import HubClient, SmallHub

CARD = "README.md"


@pytest.mark.parametrize("family", steps.FAMILIES)
def test_what_was_pushed_answers_as_before_from_an_empty_cache(
    family: str, hub: SmallHub, client: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    repo = f"org/{family}"
    commit = client(steps.push, family, folders[family], repo, private=True, token=TOKEN)
    assert commit["url"] == f"{hub.url}/{repo}/commit/{commit['oid']}"
    assert hub.repositories[repo].private
    pushed = client(steps.answers, family, repo, token=TOKEN, cache_dir=str(tmp_path))
    assert steps.alike(pushed, steps.answers(family, folders[family]))
    at = client(steps.answers, family, repo, token=TOKEN, cache_dir=str(tmp_path), revision=commit["oid"])
    assert steps.alike(at, pushed)


def names_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("family", steps.FAMILIES)
def test_model_processor_and_card_end_beside_each_other(
    family: str, hub: SmallHub, client: HubClient, folders: dict[str, Path]
) -> None:
    together, apart = f"org/together-{family}", f"org/apart-{family}"
    client(steps.push, family, folders[family], together, token=TOKEN)
    client(steps.push, family, folders[family], apart, apart=True, token=TOKEN)
    assert set(hub.files(together)) == names_in(folders[family]) | {"linmap_model.py", ".gitattributes"}
    named = hub.files(together)[CARD].replace(together.encode(), apart.encode())
    assert {**hub.files(together), CARD: b""} == {**hub.files(apart), CARD: b""}
    assert without_digest(hub.files(apart)[CARD]) == without_digest(named)


def without_digest(card: bytes) -> bytes:
    return card.rpartition(b"<!-- Written by linmap")[0]


@pytest.mark.parametrize("family", steps.FAMILIES)
def test_the_card_that_is_uploaded_is_ours_and_its_snippets_load_the_repository(
    family: str, hub: SmallHub, client: HubClient, folders: dict[str, Path]
) -> None:
    """Trap T11: transformers' own push_to_hub writes a generic card over it."""
    repo = f"org/card-{family}"
    client(steps.push, family, folders[family], repo, token=TOKEN)
    card = hub.files(repo)[CARD].decode()
    assert "library_name: linmap" in card
    assert f'from_pretrained("{repo}")' in card
    assert "path/to/this/folder" not in card


def test_configurations_point_to_linmap_in_the_repository_alone(
    hub: SmallHub, client: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    client(steps.push, "decap", folders["decap"], "org/mapped", token=TOKEN)
    config = json.loads(hub.files("org/mapped")["config.json"])
    assert config["auto_map"] == {
        "AutoConfig": "linmap_model.DeCapConfig",
        "AutoModel": "linmap_model.DeCapModel",
        "AutoModelForImageTextToText": "linmap_model.DeCapModel",
    }
    assert json.loads(hub.files("org/mapped")["processor_config.json"])["auto_map"] == {
        "AutoProcessor": "linmap_model.DeCapProcessor"
    }
    client(resaved, "decap", "org/mapped", tmp_path / "again", token=TOKEN, cache_dir=str(tmp_path / "cache"))
    assert names_in(tmp_path / "again") == names_in(folders["decap"])
    assert "auto_map" not in (tmp_path / "again" / "config.json").read_text()
    assert "auto_map" not in (tmp_path / "again" / "processor_config.json").read_text()


def resaved(family: str, name: str, folder: Path, **hub: Any) -> None:
    for part in steps.loaded(family, name, **hub):
        part.save_pretrained(folder)


def test_saving_can_push_what_it_saved(
    hub: SmallHub, client: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    client(saved_and_pushed, "dual", folders["dual"], tmp_path / "model", "org/saved", token=TOKEN, private=True)
    files = hub.files("org/saved")
    assert {"model.safetensors", "processor_config.json", CARD, "linmap_model.py"} <= set(files)
    assert b"library_name: linmap" in files[CARD]
    assert hub.repositories["org/saved"].private
    assert hub.repositories["org/saved"].messages == [
        "Upload DualEncoderProcessor",
        "Upload DualEncoderModel",
        "Upload DualEncoderConfig",
    ]


def saved_and_pushed(family: str, source: Path, folder: Path, repo_id: str, **hub: Any) -> None:
    model, processor = steps.loaded(family, source)
    processor.save_pretrained(folder, push_to_hub=True, repo_id=repo_id, **hub)
    model.save_pretrained(folder, push_to_hub=True, repo_id=repo_id, **hub)
    model.config.mini_batch_size = 3
    model.config.push_to_hub(repo_id, **hub)


def test_a_configuration_alone_takes_nothing_away(hub: SmallHub) -> None:
    files = hub.files("org/saved")  # of the test above: the configuration was pushed last
    assert {"model.safetensors", "processor_config.json", CARD} <= set(files)
    assert json.loads(files["config.json"])["mini_batch_size"] == 3


def test_branches_and_pull_requests_leave_main_alone(
    hub: SmallHub, client: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    client(steps.push, "clippo", folders["clippo"], "org/branches", token=TOKEN)
    main = dict(hub.files("org/branches"))
    client(steps.push, "sentences", folders["sentences"], "org/branches", token=TOKEN, revision="classifier")
    proposed = client(
        steps.push, "questions", folders["questions"], "org/branches", token="hf_stranger", create_pr=True
    )
    assert hub.files("org/branches") == main
    assert proposed["pr_url"] == f"{hub.url}/org/branches/discussions/1"
    at = {"cache_dir": str(tmp_path), "token": False}
    branch = client(steps.answers, "sentences", "org/branches", revision="classifier", **at)
    assert steps.alike(branch, steps.answers("sentences", folders["sentences"]))
    merged = client(steps.answers, "clippo", "org/branches", **at)
    assert steps.alike(merged, steps.answers("clippo", folders["clippo"]))


def test_files_of_an_earlier_push_go_and_files_of_people_stay(
    hub: SmallHub, client: HubClient, folders: dict[str, Path]
) -> None:
    client(steps.push, "decap", folders["decap"], "org/changing", token=TOKEN)
    hub.repositories["org/changing"].commit(
        "main", {"notes.md": b"mine", "encoder/plan.json": b"{}", "tokenizer.json.bak": b""}, [], "By hand"
    )
    assert {"dual_encoder/model.safetensors", "memory/memory.json"} <= set(hub.files("org/changing"))
    client(steps.push, "clippo", folders["clippo"], "org/changing", token=TOKEN)
    people = {"notes.md", "encoder/plan.json", "tokenizer.json.bak", ".gitattributes"}
    assert set(hub.files("org/changing")) == names_in(folders["clippo"]) | {"linmap_model.py"} | people


def test_pushing_the_same_again_makes_no_commit(hub: SmallHub, client: HubClient, folders: dict[str, Path]) -> None:
    first = client(steps.push, "clippo", folders["clippo"], "org/same", token=TOKEN)
    second = client(steps.push, "clippo", folders["clippo"], "org/same", token=TOKEN)
    assert first["oid"] == second["oid"]
    assert len(hub.repositories["org/same"].messages) == 1


def test_a_memory_is_loaded_from_the_repository_of_its_model(
    client: HubClient, hub: SmallHub, folders: dict[str, Path], tmp_path: Path
) -> None:
    client(steps.push, "decap", folders["decap"], "org/memory", token=TOKEN)
    at = {"subfolder": "memory", "token": TOKEN, "cache_dir": str(tmp_path)}
    assert client(captions_of, "org/memory", **at) == ["a dog runs", "a cat sleeps", "two red balls"]
    assert {path.parent.name for path in tmp_path.rglob("snapshots/**/*.safetensors")} == {"memory"}


def captions_of(name: str, **hub: Any) -> list[str]:
    from linmap import SupportMemory

    return list(SupportMemory.from_pretrained(name, **hub).captions)


def test_an_adapter_on_a_model_is_pushed_with_it(
    client: HubClient, hub: SmallHub, folders: dict[str, Path], tmp_path: Path
) -> None:
    """transformers saves such a model as its adapter alone."""
    client(steps.push, "prefix", folders["prefix"], "org/adapted", token=TOKEN)
    expected = client(adapted, folders["prefix"], "org/adapted")
    assert {"model.safetensors", "adapter_config.json", "adapter_model.safetensors"} <= set(hub.files("org/adapted"))
    assert client(with_adapter, "org/adapted", str(tmp_path)) == expected
    client(steps.push, "clippo", folders["clippo"], "org/adapted", token=TOKEN)
    assert not [name for name in hub.files("org/adapted") if name.startswith("adapter")]


def adapted(folder: Path, repo_id: str) -> Any:
    import torch
    from peft import LoraConfig

    model, processor = steps.loaded("prefix", folder)
    model.add_adapter(
        LoraConfig(r=2, target_modules=["c_attn"], modules_to_save=["projector"], fan_in_fan_out=True),
    )
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.ones_(weight)
    model.push_to_hub(repo_id, token=TOKEN)
    return steps.answered("prefix", model.eval(), processor)


def with_adapter(repo_id: str, cache: str) -> Any:
    model, processor = steps.loaded("prefix", repo_id, cache_dir=cache)
    model.load_adapter(repo_id)
    return steps.answered("prefix", model.eval(), processor)


def test_what_would_be_left_out_is_named_and_nothing_is_pushed(
    client: HubClient, hub: SmallHub, folders: dict[str, Path]
) -> None:
    refusal = client.refusal(steps.push, "clippo", folders["clippo"], "org/lost", variant="fp16", token=TOKEN)
    assert refusal.startswith("SharingError: Nothing was pushed to 'org/lost': model.fp16.safetensors would be left")
    assert "org/lost" not in hub.repositories


def test_a_folder_with_nothing_in_it_makes_no_repository(client: HubClient, hub: SmallHub, tmp_path: Path) -> None:
    refusal = client.refusal(folder_pushed, tmp_path / "nowhere", "org/nothing")
    assert refusal == f"ModelNotFoundError: {tmp_path / 'nowhere'} holds nothing to push. " + (
        "Name a folder that save_pretrained wrote."
    )
    assert "org/nothing" not in hub.repositories


def test_a_model_of_somebody_elses_class_gets_no_auto_map(client: HubClient, hub: SmallHub, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    client(folder_pushed, tmp_path, "org/other-class")
    assert set(hub.files("org/other-class")) == {"config.json", ".gitattributes"}


def folder_pushed(folder: Path, repo_id: str) -> None:
    from linmap.sharing import push_folder

    push_folder(folder, repo_id, token=TOKEN)


@pytest.mark.parametrize(
    "name",
    [
        "PhobertTokenizer",
        "GPTNeoXJapaneseTokenizer",
        "RoCBertTokenizer",
        "LukeTokenizer",
        "XLMRobertaTokenizer",
        "T5Tokenizer",
        "LlamaTokenizer",
        "GPT2Tokenizer",
        "BertTokenizer",
    ],
)
def test_every_file_that_a_tokenizer_of_transformers_is_made_of_is_pushed_and_fetched(
    name: str, tmp_path: Path
) -> None:
    import transformers

    files = set(getattr(transformers, name).vocab_files_names.values())
    for file in files:
        (tmp_path / file).touch()
    assert set(contents(tmp_path)) == files
    assert all(any(fnmatch(file, pattern) for pattern in PROCESSOR_FILES) for file in files)


def test_a_private_clip_of_transformers_is_loaded_with_the_token_and_into_the_cache_that_were_named(
    hub: SmallHub, client: HubClient, text_encoder_dir: Callable[[str], Path], tmp_path: Path
) -> None:
    client(uploaded, text_encoder_dir("clip"), "org/clip")
    commit = hub.repositories["org/clip"].branches["main"]
    records = client(recorded_towers, "org/clip", token=TOKEN, cache_dir=str(tmp_path))
    assert records == {"image_encoder": ("hf:org/clip", commit), "text_encoder": ("hf:org/clip", commit)}


def uploaded(folder: Path, repo_id: str) -> None:
    from huggingface_hub import HfApi

    api = HfApi(token=TOKEN)
    api.create_repo(repo_id, private=True)
    api.upload_folder(repo_id=repo_id, folder_path=folder)


def recorded_towers(name: str, **hub: Any) -> dict[str, tuple[str, str]]:
    import torch

    model, processor = steps.loaded("dual", name, **hub)
    texts = processor(text=steps.TEXTS, return_tensors="pt")
    assert torch.isfinite(model.get_text_features(**texts)).all()
    return {part: (record["name"], record["revision"]) for part, record in model.config.backbones.items()}
