"""A checkpoint holds what was learned and the memory; the rest is found again, checked, never replaced by random."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoProcessor, GPT2Config, LlamaConfig

from linmap import DeCapModel, DeCapProcessor, SupportMemory
from linmap.dual.named import load_dual_encoder
from linmap.errors import (
    BackboneError,
    ConfigurationError,
    FingerprintMismatchError,
    MemoryMismatchError,
    ProjectionError,
)


def saved(tiny_decap: Any, folder: Path, *args: Any, include_backbones: bool | None = None, **settings: Any) -> Any:
    model, processor = tiny_decap(*args, **settings)
    model.save_pretrained(folder, include_backbones=include_backbones)
    processor.save_pretrained(folder)
    return model, processor


def captions_of(model: Any, processor: Any, pictures: Any) -> list[str]:
    return processor.caption(model.generate(**processor(images=pictures, return_tensors="pt")))


def test_what_was_saved_comes_back_the_same(tiny_decap: Any, pictures: Any, tmp_path: Path) -> None:
    model, processor = saved(tiny_decap, tmp_path, tau=0.05)
    again, info = DeCapModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values())
    assert not again.training
    for key, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key
    assert again.config.tau == 0.05
    assert list(again.memory.captions) == list(model.memory.captions)
    found = captions_of(again, DeCapProcessor.from_pretrained(tmp_path), pictures)
    assert found == captions_of(model, processor, pictures)
    assert not any(part.requires_grad for part in again.dual_encoder.parameters())


def test_the_auto_classes_load_it(tiny_decap: Any, pictures: Any, tmp_path: Path) -> None:
    model, processor = saved(tiny_decap, tmp_path)
    again = AutoModel.from_pretrained(tmp_path)
    assert type(again) is DeCapModel
    found = captions_of(again, AutoProcessor.from_pretrained(tmp_path), pictures)
    assert found == captions_of(model, processor, pictures)


def test_a_checkpoint_holds_no_frozen_weight(tiny_decap: Any, tiny_lm_dir: Any, tmp_path: Path) -> None:
    saved(tiny_decap, tmp_path / "scratch")
    parts = {key.partition(".")[0] for key in load_file(tmp_path / "scratch" / "model.safetensors")}
    assert parts == {"projector", "decoder"}
    saved(tiny_decap, tmp_path / "frozen", str(tiny_lm_dir("llama")), prefix_length=2)
    assert set(load_file(tmp_path / "frozen" / "model.safetensors")) == {"projector.weight", "projector.bias"}


def test_a_frozen_language_model_is_found_again(
    tiny_decap: Any, tiny_lm_dir: Any, pictures: Any, tmp_path: Path
) -> None:
    model, processor = saved(tiny_decap, tmp_path, str(tiny_lm_dir("gptj")), prefix_length=2)
    again = DeCapModel.from_pretrained(tmp_path)
    assert captions_of(again, DeCapProcessor.from_pretrained(tmp_path), pictures) == captions_of(
        model, processor, pictures
    )
    assert not any(weight.requires_grad for weight in again.decoder.parameters())


@pytest.mark.parametrize("frozen", [False, True])
def test_a_self_contained_checkpoint_needs_nothing_else(
    tiny_decap: Any, tiny_lm_dir: Any, dual_dir: Path, pictures: Any, tmp_path: Path, frozen: bool
) -> None:
    decoder = (str(tiny_lm_dir("gpt2")),) if frozen else ()
    model, processor = saved(tiny_decap, tmp_path, *decoder, include_backbones=True)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    for record in config["backbones"].values():
        record["name"] = "no/where"
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    again = DeCapModel.from_pretrained(tmp_path)
    assert captions_of(again, DeCapProcessor.from_pretrained(tmp_path), pictures) == captions_of(
        model, processor, pictures
    )
    again.save_pretrained(tmp_path / "again")  # stays what it was
    assert (tmp_path / "again" / "dual_encoder" / "model.safetensors").is_file()


def test_weights_may_be_kept_in_half_the_bytes(tiny_decap: Any, tmp_path: Path) -> None:
    model, _ = tiny_decap()
    model.save_pretrained(tmp_path, state_dict={key: value.half() for key, value in model.state_dict().items()})
    assert all(value.dtype == torch.float16 for value in load_file(tmp_path / "model.safetensors").values())
    again = DeCapModel.from_pretrained(tmp_path)
    assert again.projector.weight.dtype == again.decoder.dtype == torch.float32
    assert DeCapModel.from_pretrained(tmp_path, dtype="bfloat16").decoder.dtype == torch.bfloat16


def test_rotary_positions_stay_exact_in_half_the_bytes(tiny_decap: Any, tmp_path: Path) -> None:
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model, _ = saved(tiny_decap, tmp_path, LlamaConfig(**sizes, max_position_embeddings=64))
    again = DeCapModel.from_pretrained(tmp_path, dtype="bfloat16")
    assert again.projector.weight.dtype == again.decoder.dtype == torch.bfloat16
    positions = dict(model.decoder.named_buffers())
    assert any("inv_freq" in name for name in positions)
    for name, values in again.decoder.named_buffers():
        assert torch.equal(values, positions[name]), name


def test_latents_alone_load_without_the_dual_encoder(tiny_decap: Any, tmp_path: Path) -> None:
    model, _ = saved(tiny_decap, tmp_path)
    again = DeCapModel.from_pretrained(tmp_path, dual_encoder=False, memory=False)
    assert again.dual_encoder is None
    assert again.memory is None
    latents = torch.randn(2, 8)
    assert torch.equal(again.generate(latents), model.generate(latents))


def test_another_memory_is_taken_in_its_place(tiny_decap: Any, tmp_path: Path) -> None:
    model, _ = saved(tiny_decap, tmp_path)
    other = SupportMemory.from_latents(torch.eye(8), list("abcdefgh"), text_tower=model.memory.text_tower)
    other.save_pretrained(tmp_path / "other")
    assert list(DeCapModel.from_pretrained(tmp_path, memory=tmp_path / "other").memory.captions) == list("abcdefgh")
    assert list(DeCapModel.from_pretrained(tmp_path, memory=other).memory.captions) == list("abcdefgh")


def test_a_memory_on_the_hub_is_taken_by_its_id(tiny_decap: Any, tmp_path: Path) -> None:
    model, _ = saved(tiny_decap, tmp_path / "model")
    repository = tmp_path / "hub" / "models--some--memory"  # as the Hub's client keeps what it has fetched
    model.memory.save_pretrained(repository / "snapshots" / ("0" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40, encoding="utf-8")
    again = DeCapModel.from_pretrained(tmp_path / "model", memory="some/memory", cache_dir=tmp_path / "hub")
    assert list(again.memory.captions) == list(model.memory.captions)


def test_a_model_without_a_memory_is_not_saved_beside_one(tiny_decap: Any, tmp_path: Path) -> None:
    model, _ = saved(tiny_decap, tmp_path)
    model.memory = None
    with pytest.raises(ConfigurationError, match="it would come back with that one"):
        model.save_pretrained(tmp_path)
    assert len(DeCapModel.from_pretrained(tmp_path).memory) == 8


def test_a_memory_that_was_swapped_for_one_of_another_tower_is_refused(
    tiny_decap: Any, tiny_dual: Any, tmp_path: Path
) -> None:
    saved(tiny_decap, tmp_path)
    other, _ = tiny_dual()
    with torch.no_grad():
        other.text_projection.weight.mul_(2)
    stranger = SupportMemory.from_latents(torch.eye(8), list("abcdefgh"), text_tower=other.text_fingerprint())
    stranger.save_pretrained(tmp_path / "memory")
    with pytest.raises(MemoryMismatchError):
        DeCapModel.from_pretrained(tmp_path)


def test_another_dual_encoder_is_refused(tiny_decap: Any, tiny_dual: Any, tmp_path: Path) -> None:
    saved(tiny_decap, tmp_path)
    other, _ = tiny_dual()
    with torch.no_grad():
        other.text_projection.weight.mul_(2)
    with pytest.raises(FingerprintMismatchError, match="sha256"):
        DeCapModel.from_pretrained(tmp_path, dual_encoder=other)


def test_a_dual_encoder_whose_image_side_changed_is_noticed(
    tiny_decap: Any, dual_dir: Path, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    given = load_dual_encoder(str(dual_dir)).model
    with torch.no_grad():
        given.image_projection.weight.add_(1)
    decoder = GPT2Config(n_layer=1, n_embd=16, n_head=2)
    DeCapModel.from_backbones(given, decoder, tokenizer=tiny_tokenizer()).save_pretrained(tmp_path)
    with pytest.raises(FingerprintMismatchError, match="sha256"):
        DeCapModel.from_pretrained(tmp_path)
    assert DeCapModel.from_pretrained(tmp_path, dual_encoder=given).dual_encoder is given


def test_a_dual_encoder_that_cannot_be_found_is_an_error(tiny_decap: Any, tmp_path: Path) -> None:
    saved(tiny_decap, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    config["backbones"]["dual_encoder"]["name"] = "/no/where"
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(BackboneError, match="No checkpoint at '/no/where'"):
        DeCapModel.from_pretrained(tmp_path)


@pytest.mark.parametrize("key", ["projector.weight", "decoder.transformer.h.0.attn.c_attn.weight"])
def test_a_weight_that_is_missing_is_an_error_never_random(tiny_decap: Any, tmp_path: Path, key: str) -> None:
    saved(tiny_decap, tmp_path)
    held = load_file(tmp_path / "model.safetensors")
    del held[key]
    save_file(held, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ProjectionError, match=f"{key} is missing"):
        DeCapModel.from_pretrained(tmp_path)


def test_a_tied_embedding_that_is_missing_is_an_error_too(tiny_decap: Any, tmp_path: Path) -> None:
    saved(tiny_decap, tmp_path)
    held = load_file(tmp_path / "model.safetensors")
    table = {key for key in held if "wte" in key or "lm_head" in key}
    assert len(table) == 1  # written once
    save_file({key: held[key] for key in held.keys() - table}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ProjectionError, match="is missing"):
        DeCapModel.from_pretrained(tmp_path)


def test_a_frozen_decoder_that_changed_is_not_lost_silently(tiny_decap: Any, tiny_lm_dir: Any, tmp_path: Path) -> None:
    model, _ = tiny_decap(str(tiny_lm_dir("gpt2")))
    model.decoder.requires_grad_(True)
    with pytest.raises(ConfigurationError, match="weights of the decoder learn, and a checkpoint would lose them"):
        model.save_pretrained(tmp_path)
    model.decoder.requires_grad_(False)
    with torch.no_grad():
        model.decoder.transformer.h[0].attn.c_attn.weight.add_(1)
    with pytest.raises(ConfigurationError, match="no longer the one recorded"):
        model.save_pretrained(tmp_path)
    model.save_pretrained(tmp_path, include_backbones=True)


def test_a_pretrained_decoder_may_learn_and_is_then_part_of_the_checkpoint(
    tiny_decap: Any, tiny_lm_dir: Any, tmp_path: Path
) -> None:
    model, _ = saved(tiny_decap, tmp_path, str(tiny_lm_dir("gptj")), train_decoder=True)
    again = DeCapModel.from_pretrained(tmp_path)
    latents = torch.randn(2, 8)
    assert torch.equal(again.generate(latents), model.generate(latents))
    with pytest.raises(ConfigurationError, match="takes no other"):
        DeCapModel.from_pretrained(tmp_path, decoder=str(tiny_lm_dir("gptj")))


def test_a_dual_encoder_that_was_never_saved_is_not_lost_silently(
    tiny_dual: Any, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    decoder = GPT2Config(n_layer=1, n_embd=16, n_head=2)
    model = DeCapModel.from_backbones(tiny_dual()[0], decoder, tokenizer=tiny_tokenizer())
    with pytest.raises(ConfigurationError, match="dual encoder was made here, so nothing says where to find it again"):
        model.save_pretrained(tmp_path)
    model.save_pretrained(tmp_path, include_backbones=True)
    assert DeCapModel.from_pretrained(tmp_path).dual_encoder is not None


@pytest.mark.weights
def test_the_bundled_dual_encoder_is_recorded_by_name_and_not_by_its_place() -> None:
    given = load_dual_encoder().model
    model = DeCapModel.from_backbones(given, GPT2Config(n_layer=1, n_embd=16, n_head=2))
    assert model.config.backbones["dual_encoder"]["name"] == "default"


def test_arguments_nobody_knows_are_named(tiny_decap: Any, tmp_path: Path) -> None:
    saved(tiny_decap, tmp_path)
    with pytest.raises(ConfigurationError, match="does not know strategie"):
        DeCapModel.from_pretrained(tmp_path, strategie="visual")


def test_the_card_says_what_it_is(tiny_decap: Any, tmp_path: Path) -> None:
    saved(tiny_decap, tmp_path)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    for words in ("arxiv.org/abs/2303.03032", "DeCapModel.from_pretrained", "dual encoder", "--explain"):
        assert words in card
