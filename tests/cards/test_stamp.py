"""Cards that are known as untouched, and that name the repository they stand in."""

from __future__ import annotations

import pytest
from huggingface_hub import ModelCard

from linmap.cards import card_for_repository, is_untouched, model_card, update_model_card, write_model_card
from linmap.cards.card import KINDS
from linmap.cards.stamp import stamped, with_tags

PART = {"name": "gpt2", "library": "transformers", "id": "openai-community/gpt2", "license": "mit"}
PARTS = {
    "linear_vision_prefix": {"encoder": PART, "language_model": PART},
    "dual_encoder": {"image_encoder": PART, "text_encoder": PART},
    "decap": {"dual_encoder": PART},
}
KINDS_OF_CARDS = pytest.mark.parametrize("kind", KINDS)


def _card(kind: str) -> str:
    return stamped(str(model_card(kind=kind, backbones=PARTS.get(kind, {}))))


@KINDS_OF_CARDS
def test_in_a_repository_the_snippets_name_it_and_nothing_else_changes(kind):
    card = _card(kind)
    there = card_for_repository(card, "org/name")
    assert "path/to/this/folder" in card
    assert "path/to/this/folder" not in there
    lines = [(before, after) for before, after in zip(card.splitlines()[:-1], there.splitlines()[:-1], strict=True)]
    assert all(before.replace("path/to/this/folder", "org/name") == after for before, after in lines)
    assert is_untouched(there)


@KINDS_OF_CARDS
def test_a_card_that_was_downloaded_names_the_repository_that_it_is_pushed_to_next(kind):
    card = _card(kind)
    first = card_for_repository(card, "org/name")
    assert card_for_repository(first, "other/name-2") == card_for_repository(card, "other/name-2")
    assert card_for_repository(first, "org/name") == first


def test_the_same_name_elsewhere_in_the_card_is_left():
    facts = {"command": "linmap train --start org/name", "data": "see org/name"}
    card = stamped(str(model_card(backbones=PARTS["linear_vision_prefix"], training=facts)))
    moved = card_for_repository(card_for_repository(card, "org/name"), "other/name")
    assert facts["command"] in moved
    assert facts["data"] in moved


@KINDS_OF_CARDS
def test_more_tags_stand_behind_those_of_the_card_and_nothing_else_changes(kind):
    card = card_for_repository(_card(kind), "org/name")
    tagged = with_tags(card, ["birds", "linmap"])
    assert ModelCard(tagged).data.tags == [*ModelCard(card).data.tags, "birds"]
    assert {*tagged.splitlines()[:-1]} == {*card.splitlines()[:-1], "- birds"}
    assert ModelCard(tagged).text.splitlines()[:-1] == ModelCard(card).text.splitlines()[:-1]
    assert is_untouched(tagged)
    edited = card.replace("## Use", "## How we use it")
    assert "## How we use it" in with_tags(edited, ["birds"])
    assert not is_untouched(with_tags(edited, ["birds"]))


@KINDS_OF_CARDS
def test_an_edited_card_is_returned_as_it_is(kind):
    edited = _card(kind).replace("## Use", "## How we use it")
    assert card_for_repository(edited, "org/name") == edited
    assert card_for_repository("# Mine\n", "org/name") == "# Mine\n"


@KINDS_OF_CARDS
def test_an_edited_card_is_kept_when_the_model_is_saved_again(tmp_path, kind):
    path = write_model_card(tmp_path, kind=kind, backbones=PARTS.get(kind, {}))
    edited = path.read_text().replace("## Limits", "Ask us.\n\n## Limits")
    path.write_text(edited)
    write_model_card(tmp_path, kind=kind, backbones=PARTS.get(kind, {}), training={"data": "other"})
    assert path.read_text() == edited


def test_scores_written_into_a_downloaded_card_leave_it_untouched_and_of_its_repository(tmp_path):
    path = write_model_card(tmp_path, backbones=PARTS["linear_vision_prefix"])
    path.write_text(card_for_repository(path.read_text(), "org/name"))
    update_model_card(tmp_path, [{"metric": "CIDEr-D", "dataset": "COCO", "value": 54.9}])
    text = path.read_text()
    assert is_untouched(text)
    assert 'from_pretrained("org/name")' in text
    moved = card_for_repository(text, "other/thing")
    assert 'from_pretrained("other/thing")' in moved
    assert ModelCard(moved).data.model_name == "thing"
