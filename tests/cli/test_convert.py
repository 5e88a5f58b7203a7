from __future__ import annotations

import json

import pytest
import torch

from linmap import ClippoModel, DeCapModel, LinearVisionPrefixModel
from linmap.cli import convert
from linmap.conversion import decap
from tests.conversion.big_vision import golden_parameters, written


@pytest.mark.shared
def test_the_originals_checkpoint_becomes_a_folder(linmap, shared, tmp_path):
    reference = shared / "reference" / "decap"
    config = tmp_path / "decoder_config.json"
    config.write_text(json.dumps(json.loads((reference / "decap.json").read_text())["tiny_config"]))
    checkpoint = reference / "tiny_trained_coco_prefix-009.pt"
    ran = linmap("convert", "decap", checkpoint, "--decoder-config", config, "--out", tmp_path / "model")
    assert (ran.code, ran.out, ran.err) == (0, f"Wrote {tmp_path / 'model'}\n", "")
    model = DeCapModel.from_pretrained(tmp_path / "model", dual_encoder=False)
    assert model.generate(torch.ones(1, 512)).shape[1] <= 30


def test_the_folder_is_called_as_in_the_other_commands_too(linmap, tmp_path):
    asked = ("--decoder-config", tmp_path / "b.json", "--output", tmp_path / "model")
    ran = linmap("convert", "decap", tmp_path / "a.pt", *asked)
    assert (ran.code, ran.out) == (2, "")
    assert "b.json: it cannot be read" in ran.err


def test_what_cannot_be_converted_is_one_line(linmap, tmp_path):
    (tmp_path / "decoder_config.pkl").write_bytes(b"\x80\x04.")
    asked = ("--decoder-config", tmp_path / "decoder_config.pkl", "--out", tmp_path / "model")
    ran = linmap("convert", "decap", tmp_path / "a.pt", *asked)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
    assert "is a pickle, which can run any code" in ran.err
    assert not (tmp_path / "model").exists()


def test_the_command_says_what_it_needs(linmap):
    ran = linmap("convert", "decap", "a.pt")
    assert ran.code == 2
    assert "Missing option '--decoder-config'" in ran.err


def test_the_command_offers_the_clip_that_conversion_takes_by_itself():
    assert convert.ORIGINAL_DUAL_ENCODER == decap.ORIGINAL_DUAL_ENCODER


def test_a_released_projection_becomes_a_folder(linmap, tiny_lm_dir, tmp_path):
    torch.save(torch.nn.Linear(2048, 16).state_dict(), tmp_path / "proj.ckpt")
    asked = ("--recipe", "limber-nfrn50", "--set", f"lm={tiny_lm_dir('gptj')}", "--out", tmp_path / "model")
    ran = linmap("convert", "limber", tmp_path / "proj.ckpt", *asked)
    assert (ran.code, ran.out, ran.err) == (0, f"Wrote {tmp_path / 'model'}\n", "")
    assert LinearVisionPrefixModel.from_pretrained(tmp_path / "model", encoder=False).config.feature_dim == 2048


def test_an_original_clippo_becomes_a_folder(linmap, tmp_path):
    written(tmp_path / "clippo.npz", golden_parameters())
    ran = linmap("convert", "clippo", tmp_path / "clippo.npz", "--out", tmp_path / "model", "--image-size", "20")
    assert (ran.code, ran.out, ran.err) == (0, f"Wrote {tmp_path / 'model'}\n", "")
    assert ClippoModel.from_pretrained(tmp_path / "model").config.image_size == 20


def test_a_file_that_is_no_clippo_is_one_line(linmap, tmp_path):
    (tmp_path / "clippo.npz").write_bytes(b"PK")
    ran = linmap("convert", "clippo", tmp_path / "clippo.npz", "--out", tmp_path / "model")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "is no npz file as np.savez and big_vision write them" in ran.err
    assert not (tmp_path / "model").exists()


def test_clippos_command_says_what_it_needs_and_teaches_the_rest(linmap):
    assert "Missing option '--out'" in linmap("convert", "clippo", "a.npz").err
    said = linmap("convert", "clippo", "--help").out
    assert "clippo_b16_yfcc100m_i21k_init_25c4.npz --out clippo" in " ".join(said.split())
