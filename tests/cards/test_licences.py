"""What a card says of the licences of the parts around what was learned."""

from __future__ import annotations

import pytest

from linmap.cards import model_card
from linmap.cards.licences import forbids_nothing, notice
from linmap.weights.identity import Fingerprint


def _part(license_name: str | None, **facts: object) -> Fingerprint:
    return Fingerprint(name="org/part", library="transformers", id="org/part", license=license_name, **facts)


@pytest.mark.parametrize("name", ["mit", "MIT", "Apache-2.0", "apache-2.0", "bsd-3-clause", "cc-by-4.0", "cc0-1.0"])
def test_a_licence_that_forbids_nothing_is_not_named_at_the_top(name):
    assert forbids_nothing(name)
    assert notice("encoder", _part(name)) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cc-by-nc-4.0", "**No commercial use:** the encoder, `org/part`, is under `cc-by-nc-4.0`, which forbids"),
        ("CC-BY-NC-SA-4.0", "**No commercial use:**"),
        ("cc-by-nc-nd-4.0", "**No commercial use, no altered copies:**"),
        ("fair-noncommercial-research-license", "**No commercial use:**"),
        ("apple-amlr", "**For research only:**"),
        ("qwen-research", "**For research only:**"),
        ("bigscience-bloom-rail-1.0", "**Restricted uses:**"),
        ("creativeml-openrail-m", "**Restricted uses:**"),
        ("openrail++", "**Restricted uses:**"),
        ("llama3.1", "**Restricted uses:**"),
        ("gemma", "**Restricted uses:**"),
        ("other", "**Terms of its own:**"),
        (None, "**Licence unknown:** the encoder, `org/part`, came without a stated licence"),
        ("UNKNOWN", "**Licence unknown:**"),
        ("stabilityai-ai-community", "**Read the licence:**"),
        ("MIT AND cc-by-nc-4.0", "**No commercial use:**"),
    ],
)
def test_a_licence_that_forbids_something_is_one_sentence_with_its_part(name, said):
    line = notice("encoder", _part(name))
    assert line.startswith(said)
    assert "`org/part`" in line
    assert line.endswith(".")
    assert "\n" not in line


def test_random_weights_have_no_licence_to_speak_of():
    assert notice("encoder", _part(None, pretrained=False, seed=0)) is None


KINDS = {
    "linear_vision_prefix": ("encoder", "language_model"),
    "dual_encoder": ("image_encoder", "text_encoder"),
    "decap": ("dual_encoder", "decoder"),
    "clippo": ("tower",),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_sentence_stands_before_everything_that_a_card_says(kind):
    for bad in KINDS[kind]:
        parts = {role: _part("cc-by-nc-4.0" if role == bad else "mit").to_dict() for role in KINDS[kind]}
        trained = ["tower"] if kind == "clippo" else []
        body = str(model_card(kind=kind, backbones=parts, trained=trained)).split("\n# ")[1]
        assert body.split("\n\n")[1].startswith("> **No commercial use:**")
        assert f"the {bad.replace('_', ' ')}, `org/part`" in body
        assert body.count("\n> ") == 1


def test_the_header_offers_no_more_than_what_is_ones_own():
    def header(license_name: str | None, **facts: object) -> str | None:
        parts = {"encoder": _part(license_name).to_dict(), "language_model": _part("mit").to_dict()}
        return model_card(backbones=parts, training={"license": "mit"}, **facts).data.license

    assert header("cc-by-nc-4.0") == "mit"  # the frozen part is elsewhere, and has its own card
    assert header("cc-by-nc-4.0", trained=["encoder"]) == "other"
    assert header(None, complete=True) == "other"
    assert header("apache-2.0", complete=True) == "mit"


def test_a_licence_that_nobody_gave_is_not_made_up():
    assert model_card(backbones={"encoder": _part("mit").to_dict()}).data.license is None


def test_a_checkpoint_that_holds_its_frozen_parts_says_so():
    parts = {"encoder": _part("mit").to_dict(), "language_model": _part("mit").to_dict()}
    complete = str(model_card(backbones=parts, complete=True))
    assert "loading needs nothing else" in complete
    assert "Loading finds these parts again" not in complete
