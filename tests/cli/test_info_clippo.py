"""`linmap info` of a CLIPPO model, of those it is compared with, and of those that were made from it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

SIZES = {"image_size": 64, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
TOKENS = {"text_input": "tokens", "vocab_size": 320, "max_text_tokens": 12}


@pytest.fixture
def saved(tmp_path):
    def save(**config: object) -> tuple[Path, object]:
        from linmap import ClippoConfig, ClippoModel

        model = ClippoModel(ClippoConfig(**SIZES, projection_dim=16, **config))
        model.save_pretrained(tmp_path / "model")
        return tmp_path / "model", model

    return save


@pytest.mark.parametrize(
    ("config", "system", "parts"),
    [
        ({}, "CLIPPO", {"tower", "projection", "logit_scale"}),
        (
            {"text_patch_embedding": "own", "text_head": "own"},
            "CLIPPO with a separate patch embedding and head for texts",
            {"tower", "text_patch_embedding", "projection", "text_projection", "logit_scale"},
        ),
        (TOKENS, "1T-CLIP", {"tower", "text_embedding", "projection", "logit_scale"}),
        (
            {**TOKENS, "text_tower": "own"},
            "CLIP*",
            {"tower", "text_tower", "text_embedding", "projection", "text_projection", "logit_scale"},
        ),
    ],
)
def test_the_system_its_parts_and_their_sizes_are_told(linmap, saved, config, system, parts):
    folder, model = saved(**config)
    ran = linmap("info", folder, "--json")
    assert (ran.code, ran.err) == (0, "")
    facts = json.loads(ran.out)
    assert (facts["kind"], facts["system"]) == ("clippo", system)
    assert facts["trained"].keys() == parts
    assert facts["parameters"] == sum(part.numel() for part in model.parameters())
    assert sum(part["parameters"] for part in facts["trained"].values()) == facts["parameters"]
    assert facts["space"] == {"projection_dim": 16, "logit_scale": 10.0, "temperature": 0.1}
    assert (facts["texts"]["text_renderer"] is None) == ("text_input" in config)


def test_people_read_how_texts_are_drawn_or_tokenised(linmap, saved):
    shown = " ".join(linmap("info", saved()[0]).out.split())
    for words in (
        "tower trained",
        "64 x 64 pixels, 16 patches of 16",
        "drawn: font_size 16, max_chars 768",
        "random weights",
        "0.1000 (cosines times 10.00)",
    ):
        assert words in shown
    assert "at most 12 of 320 tokens" in linmap("info", saved(**TOKENS)[0]).out


def test_the_temperature_is_read_from_the_weights_in_bfloat16_too(linmap, saved):
    import torch

    folder, model = saved()
    with torch.no_grad():
        model.logit_scale.fill_(math.log(20))
    model.to(torch.bfloat16).save_pretrained(folder)
    facts = json.loads(linmap("info", folder, "--json").out)
    assert facts["space"]["logit_scale"] == pytest.approx(20, rel=0.01)
    assert facts["trained"]["tower"]["dtype"] == "bfloat16"


def test_a_model_tuned_for_a_task_says_so(linmap, saved, tmp_path):
    from linmap.clippo.question_answering import ClippoForQuestionAnswering, answer_labels

    folder, _ = saved()
    tuned = ClippoForQuestionAnswering.from_pretrained(folder, **answer_labels(["2", "table", "red"]))
    tuned.save_pretrained(tmp_path / "tuned")
    facts = json.loads(linmap("info", tmp_path / "tuned", "--json").out)
    assert facts["architecture"] == "ClippoForQuestionAnswering"
    assert facts["trained"]["classifier"]["parameters"] == 3 * 32 + 3
    assert "tuned: ClippoForQuestionAnswering" in " ".join(linmap("info", tmp_path / "tuned").out.split())


def test_a_damaged_model_is_one_line(linmap, saved):
    folder, _ = saved()
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    ran = linmap("info", folder)
    assert (ran.code, ran.out) == (2, "")
    assert "model.safetensors is damaged or cut off" in ran.err
    file.unlink()
    assert "holds no model.safetensors" in linmap("info", folder).err


def test_weights_without_a_tower_are_no_model(linmap, saved):
    import torch
    from safetensors.torch import save_file

    folder, _ = saved()
    save_file({"projection.weight": torch.zeros(16, 32)}, folder / "model.safetensors")
    ran = linmap("info", folder)
    assert (ran.code, ran.out) == (2, "")
    assert "model.safetensors holds no tower" in ran.err
