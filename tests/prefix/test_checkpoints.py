"""What is saved, what is found again, and what is refused."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoProcessor, pipeline

from linmap import LinearVisionPrefixModel, LinearVisionPrefixProcessor
from linmap.encoders import load_encoder
from linmap.errors import BackboneError, ConfigurationError, FingerprintMismatchError, ProjectionError


def logits(model: Any, processor: Any, photos: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model(**processor(images=photos, return_tensors="pt")).logits


@pytest.fixture(scope="module")
def saved(photo_model: Any, tmp_path_factory: Any) -> Any:
    """(model, processor, folder of the projection-only checkpoint)."""
    model, processor = photo_model("gptj")
    folder = tmp_path_factory.mktemp("checkpoint")
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model, processor, folder


def test_a_checkpoint_holds_what_was_learned_and_nothing_else(saved: Any) -> None:
    """Trap T5: keys to leave out are matched exactly."""
    _, _, folder = saved
    assert set(load_file(folder / "model.safetensors")) == {"projector.weight", "projector.bias"}
    assert (folder / "README.md").is_file()


def test_save_then_load_gives_bit_equal_logits(saved: Any, photos: Any) -> None:
    """Traps T2 and T4: the frozen parts come back with their own weights, never with random ones."""
    model, processor, folder = saved
    again = LinearVisionPrefixModel.from_pretrained(folder)
    assert torch.equal(logits(model, processor, photos), logits(again, processor, photos))
    assert not any(parameter.requires_grad for part in again.frozen_parts() for parameter in part.parameters())
    assert all(parameter.requires_grad for parameter in again.projector.parameters())


def test_without_its_encoder_a_model_takes_its_features_and_still_names_it(
    saved: Any, photos: Any, tmp_path: Any
) -> None:
    model, processor, folder = saved
    blind = LinearVisionPrefixModel.from_pretrained(folder, encoder=False)
    assert blind.encoder is None
    inputs = processor(images=photos, return_tensors="pt")
    features = model.encode_images(inputs.pop("pixel_values"))
    assert torch.equal(blind(**inputs, image_features=features).logits, logits(model, processor, photos))
    blind.save_pretrained(tmp_path)
    again = LinearVisionPrefixModel.from_pretrained(tmp_path)
    assert torch.equal(logits(again, processor, photos), logits(model, processor, photos))
    with pytest.raises(ConfigurationError, match="was loaded without its encoder, and a self-contained checkpoint"):
        blind.save_pretrained(tmp_path, include_backbones=True)


@pytest.mark.parametrize("family", ["gpt2", "gptj", "opt", "llama"])
def test_a_self_contained_checkpoint_needs_nothing_else(
    family: str, photo_model: Any, photos: Any, tmp_path: Any
) -> None:
    model, processor = photo_model(family)
    model.save_pretrained(tmp_path, include_backbones=True)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["checkpoint_contents"] == "full"
    config["backbones"]["language_model"]["name"] = "/gone"
    (tmp_path / "config.json").write_text(json.dumps(config))
    again = LinearVisionPrefixModel.from_pretrained(tmp_path)
    assert torch.equal(logits(model, processor, photos), logits(again, processor, photos))
    assert model.config.checkpoint_contents == "projector"


def test_the_auto_classes_and_the_pipeline_know_the_model(saved: Any, photos: Any) -> None:
    model, processor, folder = saved
    auto = AutoModelForImageTextToText.from_pretrained(folder)
    assert type(auto) is LinearVisionPrefixModel
    assert torch.equal(logits(model, processor, photos), logits(auto, AutoProcessor.from_pretrained(folder), photos))
    captioner = pipeline("image-text-to-text", model=auto, processor=processor)
    text = captioner(images=photos[0], text="A picture of", generate_kwargs={"max_new_tokens": 3})[0]["generated_text"]
    assert text.startswith("A picture of")


def test_a_saved_configuration_holds_no_local_path_of_the_language_model(saved: Any) -> None:
    """Trap T14."""
    _, _, folder = saved
    config = json.loads((folder / "config.json").read_text())
    assert "_name_or_path" not in config["text_config"] or config["text_config"]["_name_or_path"] == ""
    assert "quantization_config" not in config["text_config"]


def test_a_language_model_that_has_gone_is_an_error_and_never_random(saved: Any, tmp_path: Any) -> None:
    model, _, _ = saved
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["backbones"]["language_model"]["name"] = str(tmp_path / "gone")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(BackboneError, match=r"language model .*gone' cannot be loaded.*Give a Hub id, a directory"):
        LinearVisionPrefixModel.from_pretrained(tmp_path)


def test_a_checkpoint_that_names_no_backbone_asks_for_it(
    feature_model: Any, features: Any, tiny_lm: Any, tmp_path: Any
) -> None:
    model, processor = feature_model("gpt2")
    model.save_pretrained(tmp_path)
    with pytest.raises(BackboneError, match=r"does not say which language_model.*Pass language_model="):
        LinearVisionPrefixModel.from_pretrained(tmp_path)
    again = LinearVisionPrefixModel.from_pretrained(tmp_path, language_model=tiny_lm("gpt2"))
    inputs = processor(image_features=features(1), return_tensors="pt")
    assert torch.equal(model(**inputs).logits, again(**inputs).logits)


def test_another_language_model_under_the_same_name_is_refused(saved: Any, tiny_lm: Any, tmp_path: Any) -> None:
    model, _, _ = saved
    model.save_pretrained(tmp_path)
    other = tmp_path / "other"
    tiny_lm("gptj", seed=1).save_pretrained(other)
    with pytest.raises(FingerprintMismatchError, match=r"sha256 found .* expected"):
        LinearVisionPrefixModel.from_pretrained(tmp_path, language_model=str(other))


def test_a_projection_of_another_width_is_an_error(saved: Any, feature_model: Any, tmp_path: Any) -> None:
    _, _, folder = saved
    narrow, _ = feature_model("gpt2")
    narrow.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(ProjectionError, match=r"does not fit: found .*\(16, 6\).*needed .*\(16, 64\)"):
        LinearVisionPrefixModel.from_pretrained(tmp_path)


def test_a_folder_without_a_projection_says_what_it_holds(saved: Any, tmp_path: Any) -> None:
    model, _, _ = saved
    model.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ProjectionError, match=r"holds no model\.safetensors.*Found: .*config\.json"):
        LinearVisionPrefixModel.from_pretrained(tmp_path)


def test_a_name_that_is_nowhere_is_one_clear_error() -> None:
    with pytest.raises(BackboneError, match="No checkpoint at 'no/where': it is no directory here"):
        LinearVisionPrefixModel.from_pretrained("no/where")


def test_a_language_model_in_the_cache_needs_no_hub(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub is asked for digest and licence only; unreachable, it raises errors of its HTTP client."""
    from linmap.language import loading

    snapshot = tmp_path / "models--some--lm" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    save_file({"weight": torch.ones(1)}, snapshot / "model.safetensors")
    (tmp_path / "models--some--lm" / "refs").mkdir()
    (tmp_path / "models--some--lm" / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    found = loading._hub_fingerprint("some/lm", None)
    assert (found.revision, found.file) == ("a" * 40, "model.safetensors")
    assert found.sha256 is not None


def without_one_weight(folder: Any) -> str:
    """Takes one tensor out of a weight file, and names it."""
    weights = load_file(folder / "model.safetensors")
    name = sorted(weights)[-1]
    kept = {key: value for key, value in weights.items() if key != name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    return name


@pytest.mark.parametrize("part", ["encoder", "language_model"])
def test_a_frozen_part_with_missing_weights_is_an_error_and_never_random(
    part: str, photo_model: Any, tmp_path: Any
) -> None:
    model, _ = photo_model("gptj")
    model.save_pretrained(tmp_path, include_backbones=True)
    name = without_one_weight(tmp_path / part)
    with pytest.raises(BackboneError, match=rf"lacks 1 of its weights, such as {name}.*never replaced by random"):
        LinearVisionPrefixModel.from_pretrained(tmp_path)


def test_what_learns_beside_the_projection_is_not_left_out_in_silence(photo_model: Any, tmp_path: Any) -> None:
    model, _ = photo_model("gptj")
    next(model.language_model.parameters()).requires_grad_(True)
    with pytest.raises(ConfigurationError, match=r"1 weights of the language_model learn.*include_backbones=True"):
        model.save_pretrained(tmp_path)
    model.save_pretrained(tmp_path, include_backbones=True)


def test_an_encoder_of_another_image_size_comes_back_with_it(tiny_lm_dir: Any, photos: Any, tmp_path: Any) -> None:
    encoder_kwargs = {"pretrained": False, "seed": 0, "image_size": 96}
    model = LinearVisionPrefixModel.from_backbones(
        "timm:test_vit", str(tiny_lm_dir("gptj")), grid_size=2, encoder_kwargs=encoder_kwargs
    )
    processor = LinearVisionPrefixProcessor.for_model(model)
    model.save_pretrained(tmp_path)
    again = LinearVisionPrefixModel.from_pretrained(tmp_path)
    assert again.encoder.config.image_size == 96
    assert torch.equal(logits(model, processor, photos), logits(again, processor, photos))


def test_an_encoder_that_does_not_fit_is_refused_when_it_is_loaded(saved: Any) -> None:
    other = load_encoder("timm:test_resnet", pretrained=False, seed=0)
    with pytest.raises(ProjectionError, match=r"'timm:test_resnet.*': that one gives 4 image tokens of 96 channels"):
        LinearVisionPrefixModel.from_pretrained(saved[2], encoder=other)


def test_unknown_arguments_are_named(saved: Any) -> None:
    with pytest.raises(ConfigurationError, match="does not know load_in_4bit"):
        LinearVisionPrefixModel.from_pretrained(saved[2], load_in_4bit=True)


def test_dtype_and_device_map_reach_the_language_model_alone(saved: Any) -> None:
    again = LinearVisionPrefixModel.from_pretrained(saved[2], dtype=torch.bfloat16, device_map="cpu")
    assert again.language_model.dtype == torch.bfloat16
    assert again.projector.weight.dtype == again.encoder.dtype == torch.float32


def in_bfloat16(tiny_lm_dir: Any) -> Any:
    return LinearVisionPrefixModel.from_backbones(
        "timm:test_vit",
        str(tiny_lm_dir("gptj")),
        grid_size=2,
        encoder_kwargs={"pretrained": False, "seed": 0, "dtype": torch.bfloat16},
        dtype="bfloat16",
    )


@pytest.mark.parametrize("include_backbones", [False, True])
@pytest.mark.parametrize("asked", [{}, {"dtype": None}, {"dtype": "auto"}, {"torch_dtype": "auto"}])
def test_frozen_parts_come_back_in_the_dtype_they_were_saved_with(
    asked: Any, include_backbones: bool, tiny_lm_dir: Any, photos: Any, tmp_path: Any
) -> None:
    model = in_bfloat16(tiny_lm_dir)
    processor = LinearVisionPrefixProcessor.for_model(model)
    model.save_pretrained(tmp_path, include_backbones=include_backbones)
    again = LinearVisionPrefixModel.from_pretrained(tmp_path, **asked)
    assert again.language_model.dtype == again.encoder.dtype == torch.bfloat16
    assert again.projector.weight.dtype == torch.float32
    assert torch.equal(logits(model, processor, photos), logits(again, processor, photos))


@pytest.mark.parametrize("include_backbones", [False, True])
def test_a_dtype_that_is_asked_for_wins_over_the_saved_one(
    include_backbones: bool, tiny_lm_dir: Any, tmp_path: Any
) -> None:
    in_bfloat16(tiny_lm_dir).save_pretrained(tmp_path, include_backbones=include_backbones)
    again = LinearVisionPrefixModel.from_pretrained(tmp_path, dtype="float32", encoder_kwargs={"dtype": torch.float32})
    assert again.language_model.dtype == again.encoder.dtype == torch.float32


def test_a_frozen_part_moved_to_another_dtype_is_the_same_part_and_comes_back_in_it(
    photo_model: Any, tmp_path: Any
) -> None:
    model, _ = photo_model("gptj")
    for dtype in (torch.float16, torch.float32, torch.bfloat16):
        model.language_model.to(dtype)
        model.save_pretrained(tmp_path)
        assert LinearVisionPrefixModel.from_pretrained(tmp_path).language_model.dtype == dtype


def test_a_language_model_given_as_an_object_does_not_keep_the_record_of_another(
    saved: Any, tiny_lm: Any, tmp_path: Any
) -> None:
    again = LinearVisionPrefixModel.from_pretrained(saved[2], language_model=tiny_lm("gptj", seed=1))
    again.save_pretrained(tmp_path)
    with pytest.raises(BackboneError, match=r"does not say which language_model.*Pass language_model="):
        LinearVisionPrefixModel.from_pretrained(tmp_path)


def test_an_encoder_given_as_an_object_is_recorded_by_its_own_name(saved: Any, tmp_path: Any) -> None:
    other = load_encoder("timm:test_vit", pretrained=False, seed=1)
    LinearVisionPrefixModel.from_pretrained(saved[2], encoder=other).save_pretrained(tmp_path)
    again = LinearVisionPrefixModel.from_pretrained(tmp_path)
    assert again.config.backbones["encoder"]["seed"] == 1
    assert torch.equal(next(again.encoder.parameters()), next(other.parameters()))


def test_a_language_model_that_moved_keeps_its_record_where_its_digest_agrees(saved: Any, tmp_path: Any) -> None:
    recorded = saved[0].config.backbones["language_model"]
    shutil.copytree(recorded["name"], tmp_path / "moved")
    again = LinearVisionPrefixModel.from_pretrained(saved[2], language_model=str(tmp_path / "moved"))
    assert again.config.backbones["language_model"] == recorded


def test_a_language_model_that_cannot_be_told_to_be_the_recorded_one_is_recorded_anew(
    saved: Any, tiny_lm: Any, tmp_path: Any
) -> None:
    saved[0].save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["backbones"]["language_model"]["sha256"] = None
    (tmp_path / "config.json").write_text(json.dumps(config))
    other = tmp_path / "other"
    tiny_lm("gptj", seed=1).save_pretrained(other)
    again = LinearVisionPrefixModel.from_pretrained(tmp_path, language_model=str(other))
    assert again.config.backbones["language_model"]["name"] == str(other)
    assert again.config.backbones["language_model"]["sha256"] is not None


def test_a_model_loaded_from_a_self_contained_checkpoint_is_saved_as_one_unless_told_otherwise(
    photo_model: Any, tmp_path: Any
) -> None:
    model, _ = photo_model("gptj")
    model.save_pretrained(tmp_path / "full", include_backbones=True)
    again = LinearVisionPrefixModel.from_pretrained(tmp_path / "full")
    again.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "language_model" / "model.safetensors").is_file()
    assert json.loads((tmp_path / "again" / "config.json").read_text())["checkpoint_contents"] == "full"
    again.save_pretrained(tmp_path / "projection", include_backbones=False)
    assert not (tmp_path / "projection" / "language_model").exists()
    assert json.loads((tmp_path / "projection" / "config.json").read_text())["checkpoint_contents"] == "projector"


CHANGED = r"language_model is no longer the one recorded.*changed since '.*' was loaded.*include_backbones=True"


def test_an_adapter_merged_into_the_language_model_is_not_left_out_in_silence(
    photo_model: Any, photos: Any, tmp_path: Any
) -> None:
    from peft import LoraConfig, get_peft_model

    model, processor = photo_model("llama")
    tuned = get_peft_model(model, LoraConfig(target_modules=["q_proj"], init_lora_weights=False))
    merged = tuned.merge_and_unload()
    merged.requires_grad_(False)
    with pytest.raises(ConfigurationError, match=CHANGED):
        merged.save_pretrained(tmp_path)
    merged.save_pretrained(tmp_path, include_backbones=True)
    again = LinearVisionPrefixModel.from_pretrained(tmp_path)
    assert torch.equal(logits(merged, processor, photos), logits(again, processor, photos))


def test_weights_that_learned_and_were_frozen_again_are_not_left_out_in_silence(
    saved: Any, photos: Any, tmp_path: Any
) -> None:
    _, processor, folder = saved
    model = LinearVisionPrefixModel.from_pretrained(folder)
    inputs = processor(images=photos[:1], text="a dog runs", return_tensors="pt")
    labels = inputs["input_ids"].masked_fill(inputs["input_ids"] == processor.image_token_id, -100)
    model.language_model.requires_grad_(True)
    optimizer = torch.optim.AdamW(model.language_model.parameters(), lr=1e-3)
    model(**inputs, labels=labels).loss.backward()
    optimizer.step()
    model.language_model.requires_grad_(False)
    with pytest.raises(ConfigurationError, match=CHANGED):
        model.save_pretrained(tmp_path)


def test_an_encoder_put_in_place_of_the_recorded_one_is_not_left_out_in_silence(saved: Any, tmp_path: Any) -> None:
    model = LinearVisionPrefixModel.from_pretrained(saved[2])
    model.encoder = load_encoder("timm:test_vit", pretrained=False, seed=1)
    with pytest.raises(ConfigurationError, match="encoder is no longer the one recorded"):
        model.save_pretrained(tmp_path)


def test_standard_arguments_that_change_nothing_are_taken(saved: Any) -> None:
    LinearVisionPrefixModel.from_pretrained(
        saved[2], use_safetensors=True, low_cpu_mem_usage=True, weights_only=True, offload_buffers=True
    )


def test_loading_info_is_given_as_transformers_gives_it(saved: Any) -> None:
    model, info = LinearVisionPrefixModel.from_pretrained(saved[2], output_loading_info=True)
    _, theirs = type(model.language_model).from_pretrained(
        model.config.backbones["language_model"]["name"], output_loading_info=True
    )
    assert type(model) is LinearVisionPrefixModel
    assert info == theirs


def test_hub_arguments_reach_the_tokenizer_and_the_language_model(tiny_lm_dir: Any, tmp_path: Any) -> None:
    cache, commit = tmp_path / "cache", "a" * 40
    shutil.copytree(tiny_lm_dir("gptj"), cache / "models--some--lm" / "snapshots" / commit)
    (cache / "models--some--lm" / "refs").mkdir()
    (cache / "models--some--lm" / "refs" / "kept").write_text(commit)
    hub = {"cache_dir": str(cache), "local_files_only": True, "token": "hf_test"}
    settings = {"feature_dim": 6, "num_image_tokens": 4}
    model = LinearVisionPrefixModel.from_backbones(None, "some/lm", revision="kept", **hub, **settings)
    assert model.config.image_token_id == 300  # the first free id of the tokenizer, not of the wider vocabulary
    assert model.config.backbones["language_model"]["revision"] == commit
    model.save_pretrained(tmp_path / "saved")
    again = LinearVisionPrefixModel.from_pretrained(tmp_path / "saved", revision="of-the-checkpoint", **hub)
    assert torch.equal(model.language_model.lm_head.weight, again.language_model.lm_head.weight)


def test_an_adapter_that_would_lose_the_projection_is_refused(photo_model: Any) -> None:
    """Trap T12: native `add_adapter` freezes the projector and saves without it."""
    from peft import LoraConfig

    model, _ = photo_model("llama")
    with pytest.raises(ProjectionError, match=r"LoraConfig\(\.\.\., modules_to_save=\['projector'\]\)"):
        model.add_adapter(LoraConfig(target_modules=["q_proj"]))


def test_lora_trains_and_comes_back_with_its_projection(photo_model: Any, photos: Any, tmp_path: Any) -> None:
    from peft import LoraConfig, PeftModel, get_peft_model

    model, processor = photo_model("llama")
    model.save_pretrained(tmp_path / "start")
    config = LoraConfig(target_modules=["q_proj", "v_proj"], modules_to_save=["projector"])
    tuned = get_peft_model(model, config)
    inputs = processor(images=photos[:1], text="a dog runs", return_tensors="pt")
    labels = inputs["input_ids"].masked_fill(inputs["input_ids"] == processor.image_token_id, -100)
    optimizer = torch.optim.SGD([p for p in tuned.parameters() if p.requires_grad], lr=0.5)
    before = {name: value.clone() for name, value in tuned.state_dict().items()}
    tuned.train()
    for _ in range(2):  # LoRA's B starts at zero, so A moves from the second step on
        tuned(**inputs, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    changed = {name for name, value in tuned.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all("lora_" in name or "projector.modules_to_save" in name for name in changed)
    tuned.save_pretrained(tmp_path / "tuned")
    start = LinearVisionPrefixModel.from_pretrained(tmp_path / "start")
    again = PeftModel.from_pretrained(start, tmp_path / "tuned").eval()
    with torch.inference_mode():
        assert torch.equal(tuned.eval()(**inputs).logits, again(**inputs).logits)
