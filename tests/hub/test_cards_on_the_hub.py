"""Whose words stand in a repository's card: ours until a person edits it, theirs from then on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from linmap.cards import is_untouched
from tests.hub import steps
from tests.hub.conftest import TOKEN
from tests.hub_server import HubClient, SmallHub

CARD = "README.md"
SCORE = {"metric": "CIDEr-D", "dataset": "Flickr8k", "split": "test", "photos": 1000, "value": 31.5}


def edited(hub: SmallHub, repo: str) -> str:
    """Somebody adds a line to the card on the Hub."""
    text = hub.files(repo)[CARD].decode() + "\nIt likes dogs.\n"
    hub.repositories[repo].commit("main", {CARD: text.encode()}, [], "Say what it likes")
    return text


def test_a_card_that_a_person_edited_on_the_hub_stays(
    hub: SmallHub, client: HubClient, folders: dict[str, Path]
) -> None:
    client(steps.push, "dual", folders["dual"], "org/edited", token=TOKEN)
    text = edited(hub, "org/edited")
    client(steps.push, "clippo", folders["clippo"], "org/edited", token=TOKEN)
    assert hub.files("org/edited")[CARD].decode() == text
    assert b'"clippo"' in hub.files("org/edited")["config.json"]


def test_tags_that_are_asked_for_go_into_the_card(hub: SmallHub, client: HubClient, folders: dict[str, Path]) -> None:
    client(steps.push, "clippo", folders["clippo"], "org/tagged", token=TOKEN, tags=["birds"])
    card = hub.files("org/tagged")[CARD].decode()
    assert {"linmap", "clippo", "birds"} <= set(ModelCard(card).data.tags or [])
    assert 'from_pretrained("org/tagged")' in card
    assert is_untouched(card)


def test_new_scores_go_into_the_card_that_a_person_edited(
    hub: SmallHub, client: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    client(steps.push, "dual", folders["dual"], "org/scored", token=TOKEN)
    edited(hub, "org/scored")
    client(shared_with_scores, "dual", folders["dual"], tmp_path, "org/scored", token=TOKEN)
    card = hub.files("org/scored")[CARD].decode()
    assert "It likes dogs." in card
    assert "31.5" in card[: card.index("\n---\n")], "the header has the result for the Hub"
    assert "31.5" in card[card.index("\n---\n") :], "the table has it for people"


def test_a_score_of_an_untouched_card_reaches_the_hub_with_it(
    hub: SmallHub, client: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    client(shared_with_scores, "dual", folders["dual"], tmp_path, "org/measured", token=TOKEN)
    card = hub.files("org/measured")[CARD].decode()
    assert "31.5" in card
    assert 'from_pretrained("org/measured")' in card


def shared_with_scores(family: str, source: Path, folder: Path, repo_id: str, **hub: Any) -> None:
    from linmap.cards import update_model_card
    from linmap.sharing import push_folder

    model, _ = steps.loaded(family, source)
    model.save_pretrained(folder)
    update_model_card(folder, [SCORE])
    push_folder(folder, repo_id, **hub)


def test_a_card_edited_in_the_folder_goes_up_as_it_is(
    hub: SmallHub, client: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    client(steps.push, "dual", folders["dual"], "org/own-words", token=TOKEN)
    for words in ("# Mine\n", "# Mine, later\n"):
        (tmp_path / CARD).write_text(words, encoding="utf-8")
        client(saved_and_pushed, "dual", folders["dual"], tmp_path, "org/own-words", token=TOKEN)
        assert hub.files("org/own-words")[CARD].decode() == words


def saved_and_pushed(family: str, source: Path, folder: Path, repo_id: str, **hub: Any) -> None:
    model, _ = steps.loaded(family, source)
    model.save_pretrained(folder, push_to_hub=True, repo_id=repo_id, **hub)


def test_a_card_that_transformers_drafted_gives_way_and_ours_never_does(
    hub: SmallHub, client: HubClient, folders: dict[str, Path]
) -> None:
    client(tokenizer_pushed, "decap", folders["decap"], "org/drafted", token=TOKEN)
    assert b"Model Card for Model ID" in hub.files("org/drafted")[CARD]
    client(steps.push, "decap", folders["decap"], "org/drafted", token=TOKEN)
    ours = hub.files("org/drafted")[CARD]
    assert b"library_name: linmap" in ours
    client(tokenizer_pushed, "decap", folders["decap"], "org/drafted", token=TOKEN)
    client(steps.push, "decap", folders["decap"], "org/drafted", apart=True, token=TOKEN)
    assert hub.files("org/drafted")[CARD] == ours


def tokenizer_pushed(family: str, source: Path, repo_id: str, **hub: Any) -> None:
    _, processor = steps.loaded(family, source)
    processor.tokenizer.push_to_hub(repo_id, **hub)  # of transformers: it writes a card into a repository without one


@pytest.mark.parametrize("family", ["dual", "decap"])
@pytest.mark.parametrize("changed", [False, True])
def test_a_model_as_it_was_loaded_takes_the_record_of_its_training_along_and_a_changed_one_does_not(
    family: str, changed: bool, hub: SmallHub, client: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    repo = f"org/recorded-{family}-{changed}"
    run = shutil.copytree(folders[family], tmp_path / "run")
    (run / "recipe.yaml").write_text("seed: 3", encoding="utf-8")
    (run / "training_args.bin").write_bytes(b"0")
    client(measured_and_pushed, family, run, repo, changed)
    files = hub.files(repo)
    assert ("recipe.yaml" in files, b"31.5" in files[CARD]) == (not changed, not changed)
    assert f'from_pretrained("{repo}")'.encode() in files[CARD]
    assert "training_args.bin" not in files


def measured_and_pushed(family: str, run: Path, repo_id: str, changed: bool) -> None:
    import torch

    from linmap.cards import update_model_card

    update_model_card(run, [SCORE])
    model, processor = steps.loaded(family, run)
    if changed:
        with torch.no_grad():
            next(weight for name, weight in model.named_parameters() if "proj" in name).mul_(2)
    model.push_to_hub(repo_id, processor=processor, token=TOKEN)
