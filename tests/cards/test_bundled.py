"""The cards of the bundled models: written by the generator, from what their configurations say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from linmap.cards import is_untouched, model_card
from linmap.hub import FOLDER

KINDS = {"default": "linear_vision_prefix", "default_dual_encoder": "dual_encoder", "default_decap": "decap"}
UNKNOWN = {"No training facts were recorded with these weights.", "Not measured."}


@pytest.fixture(params=KINDS)
def bundled(request: pytest.FixtureRequest) -> Path:
    return FOLDER / str(request.param)


def test_it_is_as_the_generator_wrote_it(bundled):
    assert is_untouched((bundled / "README.md").read_text(encoding="utf-8"))


def test_it_says_all_that_the_generator_says_of_such_a_model_and_in_that_order(bundled):
    config = json.loads((bundled / "config.json").read_text(encoding="utf-8"))
    said = str(model_card(kind=KINDS[bundled.name], backbones=config["backbones"], training={"license": "other"}))
    lines = iter((bundled / "README.md").read_text(encoding="utf-8").splitlines())
    for line in said.splitlines():
        assert line in UNKNOWN or line in lines, f"the bundled card lacks, from here on: {line!r}"


def test_every_score_is_an_eval_result_with_its_split_and_stands_beside_a_control(bundled):
    results = ModelCard.load(bundled / "README.md").data.eval_results
    assert results
    assert all(one.dataset_name.startswith("Flickr8k") and one.dataset_split == "val" for one in results)
    own = {(one.dataset_name, one.metric_type) for one in results if "control" not in one.metric_args}
    held = {(one.dataset_name, one.metric_type) for one in results if "control" in one.metric_args}
    assert own == held


def test_it_says_the_terms_of_its_training_data(bundled):
    text = (bundled / "README.md").read_text(encoding="utf-8")
    assert "- terms: " in text
    assert ModelCard(text).data.license == "other"
