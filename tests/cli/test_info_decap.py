"""`linmap info` of a DeCap model: decoder, memory, text tower, strategy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="module")
def decap_dir(
    tmp_path_factory: pytest.TempPathFactory,
    dual_dir: Path,
    tiny_tokenizer: Callable[..., object],
) -> Path:
    """A decoder of random weights behind the tiny dual encoder, with a memory of three captions in int8."""
    from transformers import GPT2Config

    from linmap import DeCapModel, DeCapProcessor, SupportMemory
    from linmap.dual.embedding import embed_texts
    from linmap.dual.named import load_dual_encoder

    tokenizer = tiny_tokenizer()
    dual = load_dual_encoder(str(dual_dir))
    decoder = GPT2Config(n_layer=1, n_embd=16, n_head=2, n_positions=64)
    model = DeCapModel.from_backbones(str(dual_dir), decoder, tokenizer=tokenizer, tau=0.02)
    texts = ["a dog runs", "two men", "a red car"]
    model.memory = SupportMemory.from_latents(
        embed_texts(*dual, texts), texts, dtype="int8", text_tower=dual.model.text_fingerprint()
    )
    folder = tmp_path_factory.mktemp("decap")
    model.save_pretrained(folder)
    DeCapProcessor.for_model(model, tokenizer).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("name", "kind"), [("default-decap", "decap"), ("default-dual-encoder", "dual encoder")])
def test_bundled_models_have_names(linmap, name, kind):
    facts = json.loads(linmap("info", name, "--json").out)
    assert (facts["model"], facts["kind"]) == (name, kind)


def test_the_table_names_decoder_memory_tower_and_strategy(linmap, decap_dir, dual_dir):
    ran = linmap("info", decap_dir)
    assert (ran.code, ran.err) == (0, "")
    for words in (
        "dual encoder",
        "decoder",
        "gpt2, 300 tokens",
        "3 captions in int8",
        "projection",
        "0.02",
        "32 channels",
        "label smoothing 0.1",
        "memory/memory.json",
    ):
        assert words in ran.out
    assert "not known" not in ran.out.split("Where the frozen parts come from")[0]


def test_json_holds_sizes_and_where_the_latents_come_from(linmap, decap_dir, dual_dir):
    from linmap import DeCapModel

    model = DeCapModel.from_pretrained(decap_dir)
    facts = json.loads(linmap("info", decap_dir, "--json").out)
    assert facts["kind"] == "decap"
    assert facts["trained"]["decoder"]["parameters"] == sum(weight.numel() for weight in model.decoder.parameters())
    assert facts["trained"]["projector"]["parameters"] == 32 * 16 + 16
    dual = facts["frozen"]["dual_encoder"]
    assert dual["name"] == str(dual_dir)
    towers = (model.dual_encoder.image_encoder, model.dual_encoder.text_encoder)
    heads = (model.dual_encoder.image_projection, model.dual_encoder.text_projection)
    assert dual["parameters"] == sum(weight.numel() for part in (*towers, *heads) for weight in part.parameters())
    tower = model.dual_encoder.text_fingerprint().to_dict()
    assert facts["decap"]["text_tower"] == facts["memory"]["text_tower"] == tower
    assert (facts["memory"]["captions"], facts["memory"]["dtype"]) == (3, "int8")
    assert (facts["decap"]["strategy"], facts["decap"]["tau"]) == ("projection", 0.02)
    assert facts["files"]["model.safetensors"] == (decap_dir / "model.safetensors").stat().st_size


def test_a_dual_encoder_that_is_not_here_is_named_and_its_size_not_known(linmap, decap_dir, tmp_path):
    folder = shutil.copytree(decap_dir, tmp_path / "decap")
    config = json.loads((folder / "config.json").read_text())
    config["backbones"]["dual_encoder"]["name"] = "open_clip:ViT-B-32/openai"
    (folder / "config.json").write_text(json.dumps(config))
    shutil.rmtree(folder / "memory")
    facts = json.loads(linmap("info", folder, "--json").out)
    assert facts["frozen"]["dual_encoder"]["name"] == "open_clip:ViT-B-32/openai"
    assert facts["frozen"]["dual_encoder"]["parameters"] is None
    assert facts["memory"] is None
    out = linmap("info", folder).out
    assert "not here" in out
    assert "none; --memory DIR gives it one" in out


def test_a_frozen_decoder_is_named_with_its_origin(linmap, tmp_path, tiny_lm_dir):
    from linmap import DeCapModel, DeCapProcessor

    name = str(tiny_lm_dir("gpt2"))
    model = DeCapModel.from_backbones(None, name, latent_dim=6, prefix_length=2)
    model.save_pretrained(tmp_path / "frozen")
    DeCapProcessor.for_model(model).save_pretrained(tmp_path / "frozen")
    facts = json.loads(linmap("info", tmp_path / "frozen", "--json").out)
    assert facts["frozen"]["decoder"]["name"] == name
    assert facts["frozen"]["decoder"]["parameters"] == model.decoder.num_parameters()
    assert list(facts["trained"]) == ["projector"]
    assert "2 x 16 channels in front of the text" in linmap("info", tmp_path / "frozen").out


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "holds no model.safetensors with a projection"),
        (lambda folder: (folder / "memory" / "memory.json").write_text("{"), "memory.json is damaged"),
    ],
)
def test_a_damaged_model_is_one_line(linmap, decap_dir, tmp_path, damage, words):
    folder = shutil.copytree(decap_dir, tmp_path / "broken")
    damage(folder)
    ran = linmap("info", folder)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("linmap: error: ")
    assert ran.err.count("\n") == 1
    assert words in ran.err


def test_a_decoder_whose_projection_is_missing_is_named(linmap, decap_dir, tmp_path):
    from safetensors.torch import save_file

    folder = shutil.copytree(decap_dir, tmp_path / "broken")
    save_file({"decoder.weight": torch.zeros(1)}, folder / "model.safetensors")
    assert "holds no projector.weight. Train the model, or fetch it again" in linmap("info", folder).err
