from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, BloomConfig

from linmap import LinearVisionPrefixModel
from linmap.errors import ConfigurationError, ProjectionError
from linmap.prefix.adapters import BottleneckAdapter, behind_mlps
from linmap.weights.samples import samples_of

FAMILIES = ("gpt2", "gptj", "opt", "llama")
IDS = torch.tensor([[5, 6, 7, 8]])


def moved(model: Any) -> Any:
    """The model with adapters that do something, as after training."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in model.adapters.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3)
    return model


def logits(model: Any, processor: Any, features: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model(**processor(image_features=features, return_tensors="pt")).logits


@pytest.mark.parametrize("family", FAMILIES)
def test_fresh_adapters_hardly_change_the_language_model_and_trained_ones_do(
    family: str, feature_model: Any, features: Any
) -> None:
    plain, processor = feature_model(family)
    adapted, _ = feature_model(family, adapter_downsample=4)
    without, fresh = (logits(model, processor, features(2)) for model in (plain, adapted))
    assert not torch.equal(without, fresh)
    torch.testing.assert_close(without, fresh, rtol=0, atol=0.1 * float(without.std()))
    assert (logits(moved(adapted), processor, features(2)) - without).abs().max() > 0.3 * float(without.std())


@pytest.mark.parametrize("family", FAMILIES)
def test_an_adapter_stands_behind_every_mlp(family: str, tiny_lm: Any) -> None:
    language_model = tiny_lm(family)
    adapted, adapters = behind_mlps(language_model, 4)
    assert len(adapters) == 2  # one a block
    seen: list[int] = []
    for number, adapter in enumerate(adapters):
        adapter.register_forward_hook(lambda *_, number=number: seen.append(number))
    adapted(IDS)
    assert seen == [0, 1]
    language_model(IDS)
    assert seen == [0, 1]  # the one that was given is as it was


@pytest.mark.parametrize("family", FAMILIES)
def test_what_an_adapter_adds_is_its_own_network_of_the_mlp_s_output(family: str, tiny_lm: Any) -> None:
    language_model = tiny_lm(family)
    adapted, adapters = behind_mlps(language_model, 2)
    before: list[torch.Tensor] = []
    after: list[torch.Tensor] = []
    for adapter in adapters:
        adapter.register_forward_pre_hook(lambda _, inputs: before.append(inputs[0]))
        adapter.register_forward_hook(lambda _, __, output: after.append(output))
    adapted(IDS)
    for adapter, mlp_output, output in zip(adapters, before, after, strict=True):
        inner = torch.relu(mlp_output @ adapter.down.weight.T + adapter.down.bias)
        torch.testing.assert_close(output, mlp_output + inner @ adapter.up.weight.T + adapter.up.bias)


def test_the_language_model_s_own_weights_are_shared_and_stay_as_they_were(feature_model: Any, tiny_lm: Any) -> None:
    language_model = tiny_lm("gptj")
    before = copy.deepcopy(language_model.state_dict())
    plain = language_model(IDS).logits
    adapted, adapters = behind_mlps(language_model, 4)
    assert adapted.state_dict().keys() == before.keys()
    assert adapted.lm_head.weight is language_model.lm_head.weight
    output = adapted(IDS).logits.sum()
    output.backward()
    torch.optim.SGD(adapters.parameters(), lr=0.1).step()
    assert all(torch.equal(before[key], value) for key, value in language_model.state_dict().items())
    assert torch.equal(language_model(IDS).logits, plain)


def test_adapters_learn_with_the_projection_and_nothing_else_does(feature_model: Any, features: Any) -> None:
    model, processor = feature_model("llama", adapter_downsample=4)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    batch = processor(image_features=features(2), return_tensors="pt")
    optimiser = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=1.0)
    model.train()(**batch, labels=batch["input_ids"].masked_fill(batch["input_ids"] >= 300, -100)).loss.backward()
    optimiser.step()
    changed = {
        key.partition(".")[0] for key, value in model.state_dict().items() if not torch.equal(value, before[key])
    }
    assert changed == {"projector", "adapters"}


def test_adapters_are_saved_with_the_projection_and_come_back_equal(
    photo_model: Any, photos: Any, tmp_path: Path
) -> None:
    model, processor = photo_model("gptj", adapter_downsample=4)
    samples = samples_of(model.language_model)
    moved(model).save_pretrained(tmp_path / "learned")
    held = load_file(tmp_path / "learned" / "model.safetensors")
    assert {key.partition(".")[0] for key in held} == {"projector", "adapters"}
    assert "adapters behind the language model's MLPs" in (tmp_path / "learned" / "README.md").read_text()
    model.save_pretrained(tmp_path / "whole", include_backbones=True)
    inputs = processor(images=photos, return_tensors="pt")
    wanted = model(**inputs).logits
    for folder in ("learned", "whole"):
        again = LinearVisionPrefixModel.from_pretrained(tmp_path / folder)
        assert torch.equal(again(**inputs).logits, wanted)
        found = samples_of(again.language_model)
        assert all(torch.equal(one, other) for one, other in zip(samples, found, strict=True))
    bare = AutoModelForCausalLM.from_pretrained(tmp_path / "whole" / "language_model")
    assert not any("adapter" in key for key in bare.state_dict())


def test_a_copy_of_a_model_has_adapters_of_its_own(feature_model: Any, features: Any) -> None:
    model, processor = feature_model("opt", adapter_downsample=4)
    fresh = logits(model, processor, features(1))
    twin = moved(copy.deepcopy(model))
    assert torch.equal(logits(model, processor, features(1)), fresh)
    assert not torch.equal(logits(twin, processor, features(1)), fresh)


def test_generation_with_adapters_reads_each_position_once_or_again_alike(feature_model: Any, features: Any) -> None:
    model, processor = feature_model("gpt2", adapter_downsample=4)
    inputs = processor(image_features=features(2), return_tensors="pt")
    settings = {"max_new_tokens": 6, "do_sample": False}
    cached = moved(model).generate(**inputs, **settings)
    assert torch.equal(cached, model.generate(**inputs, **settings, use_cache=False))


def test_adapters_stay_in_float32_behind_a_half_precision_language_model(tiny_lm: Any) -> None:
    adapted, adapters = behind_mlps(tiny_lm("llama").to(torch.bfloat16), 4)
    assert next(adapters.parameters()).dtype == torch.float32
    assert adapted(IDS).logits.dtype == torch.bfloat16


def test_a_checkpoint_without_its_adapters_is_refused(feature_model: Any, tiny_lm: Any, tmp_path: Path) -> None:
    model, _ = feature_model("gpt2")
    model.save_pretrained(tmp_path)
    model.config.adapter_downsample = 4
    model.config.save_pretrained(tmp_path)
    message = r"The part adapters in .* does not fit: adapters\.0\.down\.bias is missing there, needed \(4,\)"
    with pytest.raises(ProjectionError, match=message):
        LinearVisionPrefixModel.from_pretrained(tmp_path, language_model=tiny_lm("gpt2"))


def test_a_language_model_without_such_mlps_is_refused() -> None:
    bloom = AutoModelForCausalLM.from_config(BloomConfig(hidden_size=16, n_layer=2, n_head=2, vocab_size=50))
    with pytest.raises(ConfigurationError, match=r"BloomForCausalLM has no MLPs of one input in its blocks.*GPT-J"):
        behind_mlps(bloom, 4)
    with pytest.raises(ConfigurationError, match="adapter_downsample is 64, and the language model's hidden states"):
        BottleneckAdapter(16, 64)
