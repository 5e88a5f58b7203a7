"""`Trainer.push_to_hub`, while training and afterwards: the model's own card, and nothing that is not the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.hub import steps
from tests.hub.conftest import TOKEN
from tests.hub_server import HubClient, Repository, SmallHub

CARD = "README.md"


def trained(
    kind: str, source: Path, output: Path, repo_id: str, *, push: bool = True, then: bool = False, **settings: Any
) -> list[Any]:
    """Trains a classifier for two steps; what it answers afterwards."""
    from transformers import Trainer, TrainingArguments

    from linmap.sharing.trainer import SharingTrainer

    model, processor = steps.loaded("sentences", source)
    pixels = processor(text=steps.TEXTS, return_tensors="pt")["text_pixel_values"]
    rows: Any = [{"text_pixel_values": picture, "labels": number} for number, picture in enumerate(pixels)]
    arguments = TrainingArguments(
        output_dir=str(output),
        max_steps=2,
        per_device_train_batch_size=2,
        save_steps=1,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        push_to_hub=push,
        hub_model_id=repo_id,
        hub_token=settings.pop("token", TOKEN),
        dataloader_pin_memory=False,
        **settings,
    )
    if kind == "ours":
        trainer: Any = SharingTrainer(model, arguments, train_dataset=rows, processor=processor)
    else:
        trainer = Trainer(model, arguments, train_dataset=rows)
    trainer.train()
    trainer.push_to_hub()
    if then:
        model.push_to_hub(repo_id, token=TOKEN)
    return steps.answered("sentences", model.eval(), processor)


def test_a_training_run_ends_on_the_hub_under_the_models_own_card(
    hub: SmallHub, client: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    found = client(trained, "ours", folders["sentences"], tmp_path / "run", "org/trained", hub_private_repo=True)
    repository = hub.repositories["org/trained"]
    assert repository.private
    assert repository.messages[-1] == "End of training"
    assert repository.messages[0] == "Training in progress, step 1"
    card = repository.files[CARD].decode()
    assert "library_name: linmap" in card
    assert "learning_rate: 5.0e-05" in card
    assert 'from_pretrained("org/trained")' in card
    assert not [name for name in repository.files if name.endswith((".bin", ".pt", ".pth")) or "checkpoint" in name]
    pushed = client(steps.answers, "sentences", "org/trained", token=TOKEN, cache_dir=str(tmp_path / "c"))
    assert steps.alike(pushed, found)


def test_the_trainer_keeps_a_card_that_was_edited_on_the_hub(
    hub: SmallHub, client: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    client(steps.push, "sentences", folders["sentences"], "org/again", token=TOKEN)
    hub.repositories["org/again"].commit("main", {CARD: b"# Mine\n"}, [], "My words")
    client(trained, "ours", folders["sentences"], tmp_path, "org/again", push=False)
    assert hub.files("org/again")[CARD] == b"# Mine\n"
    assert hub.repositories["org/again"].messages[-1] == "End of training"


def test_a_card_that_was_edited_in_the_folder_of_the_run_outlives_its_checkpoints(
    hub: SmallHub, client: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / CARD).write_text("# Mine\n", encoding="utf-8")
    client(trained, "ours", folders["sentences"], tmp_path / "run", "org/own-card")
    assert (tmp_path / "run" / CARD).read_text(encoding="utf-8") == "# Mine\n"
    assert {files[CARD] for files in hub.repositories["org/own-card"].commits.values() if CARD in files} == {
        b"# Mine\n"
    }


def test_checkpoints_go_up_where_the_settings_say_so(
    hub: SmallHub, client: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    settings = {"hub_strategy": "checkpoint", "hub_always_push": True}
    client(trained, "ours", folders["sentences"], tmp_path / "run", "org/checkpoints", **settings)
    assert "last-checkpoint/optimizer.pt" in hub.files("org/checkpoints")
    client(steps.answers, "sentences", "org/checkpoints", cache_dir=str(tmp_path / "cache"))
    assert not list((tmp_path / "cache").rglob("last-checkpoint"))


def test_a_run_with_a_wrong_token_stops_before_its_first_step(
    client: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    refusal = client.refusal(trained, "ours", folders["sentences"], tmp_path, "org/refused", token="hf_wrong")
    assert refusal.startswith("SharingError: The push failed. The Hub does not know the token")
    assert not list(tmp_path.glob("checkpoint-*"))


def test_a_run_that_shall_be_private_does_not_begin_in_a_public_repository(
    hub: SmallHub, client: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    hub.repositories["org/public"] = Repository("org/public")
    refusal = client.refusal(trained, "ours", folders["sentences"], tmp_path, "org/public", hub_private_repo=True)
    assert refusal.startswith("SharingError: 'org/public' is on the Hub already, and public: private=True cannot hide")
    assert not list(tmp_path.glob("checkpoint-*"))


def test_the_card_of_transformers_own_trainer_gives_way_to_ours(
    hub: SmallHub, client: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    client(trained, "plain", folders["sentences"], tmp_path, "org/plain", push=False)
    assert b"generated automatically according to the information the Trainer had" in hub.files("org/plain")[CARD]
    client(trained, "plain", folders["sentences"], tmp_path, "org/plain", push=False, then=True)
    assert b"library_name: linmap" in hub.files("org/plain")[CARD]


def test_runs_of_recipes_share_in_the_same_way() -> None:
    from linmap.recipes.trainer import OrderedTrainer
    from linmap.sharing.trainer import SharingTrainer

    assert issubclass(OrderedTrainer, SharingTrainer)


@pytest.mark.parametrize("arguments", [{}, {"dataset": "Flickr8k", "license": "mit", "tasks": "x"}])
def test_what_transformers_card_takes_is_taken(
    arguments: dict[str, Any], client: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    card = client(card_of, folders["sentences"], tmp_path, **arguments)
    assert "library_name: linmap" in card
    assert ("Flickr8k" in card, "license: mit" in card) == (bool(arguments), bool(arguments))


def card_of(source: Path, output: Path, **arguments: Any) -> str:
    from transformers import TrainingArguments

    from linmap.sharing.trainer import SharingTrainer

    model, _ = steps.loaded("sentences", source)
    settings = TrainingArguments(output_dir=str(output), use_cpu=True, report_to=[])
    SharingTrainer(model, settings).create_model_card(**arguments)
    return (output / CARD).read_text(encoding="utf-8")
