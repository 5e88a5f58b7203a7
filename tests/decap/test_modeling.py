"""The model as a model: what learns, what a latent does, what generate takes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F  # noqa: N812
from transformers import AutoConfig, AutoModel, AutoModelForImageTextToText, GPT2Config

from linmap import DeCapConfig, DeCapModel, SupportMemory
from linmap.errors import ConfigurationError, MemoryMismatchError, UnknownNameError

FAMILIES = ["gpt2", "gptj", "opt", "llama"]


@pytest.fixture
def latents() -> torch.Tensor:
    return torch.randn(3, 8, generator=torch.Generator().manual_seed(1))


def batch(processor: Any, captions: list[str], count: int = 3) -> Any:
    return processor(text=captions[:count], return_tensors="pt")


def test_the_paper_is_the_default() -> None:
    config = DeCapConfig()
    decoder = config.text_config
    assert (decoder.n_layer, decoder.n_head, decoder.n_embd, decoder.vocab_size) == (4, 4, 768, 50257)
    assert (config.latent_dim, config.prefix_length, config.label_smoothing, config.tau) == (512, 1, 0.1, 0.01)
    parameters = sum(weight.numel() for weight in DeCapModel(config).parameters())
    assert parameters == 68_130_816  # as the original counts


def test_only_projection_and_decoder_learn(tiny_decap: Any, captions: list[str], latents: torch.Tensor) -> None:
    model, processor = tiny_decap()
    model.train()
    model(latents, **batch(processor, captions)).loss.backward()
    learning = {name.split(".")[0] for name, weight in model.named_parameters() if weight.grad is not None}
    assert learning == {"projector", "decoder"}
    assert model.decoder.training
    assert not any(module.training for module in model.dual_encoder.modules())


@pytest.mark.parametrize("family", FAMILIES)
def test_in_front_of_a_frozen_language_model_only_the_projection_learns(
    tiny_decap: Any, tiny_lm_dir: Any, captions: list[str], latents: torch.Tensor, family: str
) -> None:
    model, processor = tiny_decap(str(tiny_lm_dir(family)), prefix_length=3)
    model.train()
    output = model(latents, **batch(processor, captions))
    output.loss.backward()
    assert {name for name, weight in model.named_parameters() if weight.grad is not None} == {
        "projector.weight",
        "projector.bias",
    }
    assert not model.decoder.training
    assert output.logits.shape[1] == 3 + batch(processor, captions)["input_ids"].shape[1]
    assert model.eval().generate(latents, max_new_tokens=4).shape == (3, 4)


def test_the_length_of_a_latent_carries_nothing(tiny_decap: Any, latents: torch.Tensor) -> None:
    model, _ = tiny_decap()
    torch.testing.assert_close(model.get_prefix(7 * latents), model.get_prefix(latents))


def test_padding_changes_nothing(tiny_decap: Any, captions: list[str], latents: torch.Tensor) -> None:
    model, processor = tiny_decap()
    together = batch(processor, captions)
    with torch.no_grad():
        logits = model(latents, **together).logits
        for row in range(3):
            alone = processor(text=captions[row], return_tensors="pt")
            length = 1 + alone["input_ids"].shape[1]
            torch.testing.assert_close(
                logits[row, :length], model(latents[row : row + 1], **alone).logits[0], rtol=1e-4, atol=1e-5
            )


def test_the_loss_is_the_mean_over_the_scored_tokens(
    tiny_decap: Any, captions: list[str], latents: torch.Tensor
) -> None:
    model, processor = tiny_decap()
    inputs = batch(processor, captions)
    with torch.no_grad():
        output = model(latents, **inputs)
    scored = inputs["labels"] != -100
    expected = F.cross_entropy(output.logits[:, :-1][scored], inputs["labels"][scored], label_smoothing=0.1)
    torch.testing.assert_close(output.loss, expected)
    with torch.no_grad():  # as Trainer counts over the batches of a step
        half = model(latents, **inputs, num_items_in_batch=2 * int(scored.sum())).loss
    torch.testing.assert_close(2 * half, output.loss)


def test_a_token_that_is_scored_is_never_taken_for_padding(tiny_decap: Any) -> None:
    """The original drops the id 0 from the loss, CLIP's "!" inside a word."""
    _, processor = tiny_decap()
    inputs = processor(text=["a cat", "a dog runs across"], return_tensors="pt")
    assert torch.equal(inputs["labels"] != -100, inputs["attention_mask"].bool())
    assert (inputs["labels"] == processor.tokenizer.eos_token_id).sum(1).tolist() == [1, 1]


def test_noise_is_for_training_alone(tiny_decap: Any, latents: torch.Tensor) -> None:
    model, _ = tiny_decap(latent_noise=0.1)
    still = model.get_prefix(latents)
    assert torch.equal(model.get_prefix(latents), still)
    assert not torch.equal(model.train().get_prefix(latents), still)
    silent, _ = tiny_decap()
    assert torch.equal(silent.train().get_prefix(latents), silent.eval().get_prefix(latents))


def test_generating_one_by_one_equals_a_batch(tiny_decap: Any, latents: torch.Tensor) -> None:
    model, processor = tiny_decap()
    for options in ({}, {"num_beams": 3}, {"use_cache": False}):
        together = processor.caption(model.generate(latents, **options))
        alone = [processor.caption(model.generate(one[None], **options))[0] for one in latents]
        assert together == alone
        assert len(set(together)) > 1


def test_cached_equals_uncached(tiny_decap: Any, latents: torch.Tensor) -> None:
    model, _ = tiny_decap()
    assert torch.equal(model.generate(latents), model.generate(latents, use_cache=False))


def test_several_sequences_of_a_latent_stand_together(tiny_decap: Any, latents: torch.Tensor) -> None:
    model, _ = tiny_decap()
    beams = model.generate(latents, num_beams=4, num_return_sequences=2)
    assert len(beams) == 6
    torch.manual_seed(0)
    assert len(model.generate(latents, do_sample=True, num_return_sequences=3)) == 9


def test_a_caption_goes_on_from_a_prompt(tiny_decap: Any, latents: torch.Tensor) -> None:
    model, processor = tiny_decap()
    tokenizer = processor.tokenizer
    prompt = tokenizer(["a dog"] * 3, return_tensors="pt")
    prompted = model.generate(latents, input_ids=prompt["input_ids"])
    pad = torch.full((3, 2), tokenizer.pad_token_id)
    padded = model.generate(
        latents,
        input_ids=torch.cat([pad, prompt["input_ids"]], 1),
        attention_mask=torch.cat([torch.zeros_like(pad), prompt["attention_mask"]], 1),
    )
    assert prompted.shape[1] <= 6  # of the caption alone
    assert torch.equal(padded, prompted)


def test_ids_beyond_the_tokenizer_are_never_written(tiny_tokenizer: Any) -> None:
    tokenizer = tiny_tokenizer()
    model = DeCapModel.from_backbones(None, None, tokenizer=tokenizer, latent_dim=8)
    assert model.decoder.config.vocab_size == 50257
    with torch.no_grad():
        model.decoder.transformer.wte.weight[: len(tokenizer)] = 0
    assert model.generate(torch.randn(4, 8), max_new_tokens=5).max() < len(tokenizer)


def test_photos_are_captioned_through_the_memory(tiny_decap: Any, pictures: Any) -> None:
    model, processor = tiny_decap()
    inputs = processor(images=pictures, return_tensors="pt")
    encoded = model.encode_images(**inputs)
    torch.testing.assert_close(encoded.norm(dim=-1), torch.ones(4))
    output = model.generate(**inputs, return_support=True, num_support=3)
    decoded = model.latents_to_decode(encoded)
    torch.testing.assert_close(decoded, model.memory.project(encoded, 0.01))
    assert torch.equal(output.sequences, model.generate(decoded))
    for row in output.support:
        assert [sentence.weight for sentence in row] == sorted((sentence.weight for sentence in row), reverse=True)
        assert all(sentence.caption == model.memory.captions[sentence.index] for sentence in row)
        assert 0 < sum(sentence.weight for sentence in row) <= 1 + 1e-5


def test_a_video_is_the_mean_of_its_frames(tiny_decap: Any, pictures: Any) -> None:
    model, processor = tiny_decap()
    pixels = processor(images=pictures, return_tensors="pt")["pixel_values"]
    video = model.encode_images(pixels.unflatten(0, (2, 2)))
    expected = F.normalize(model.encode_images(pixels).unflatten(0, (2, 2)).mean(1), dim=-1)
    torch.testing.assert_close(video, expected)


def test_strategies_decode_what_the_paper_says(tiny_decap: Any, latents: torch.Tensor) -> None:
    model, processor = tiny_decap()
    unit = F.normalize(latents, dim=-1)
    nearest = model.memory.nearest(unit)
    torch.testing.assert_close(model.latents_to_decode(latents, "nearest"), model.memory.latents(nearest))
    torch.testing.assert_close(model.latents_to_decode(latents, "visual"), unit)
    # towards 0 the projection is the nearest latent
    cold = model.latents_to_decode(latents, "projection", tau=1e-4)
    torch.testing.assert_close(cold, model.latents_to_decode(latents, "nearest"), rtol=1e-3, atol=1e-3)
    output = model.generate(latents, strategy="retrieval", tokenizer=processor.tokenizer, return_support=True)
    wanted = [model.memory.captions[row] for row in nearest]
    assert processor.caption(output.sequences) == wanted
    assert [[(found.caption, found.weight) for found in row] for row in output.support] == [[(w, 1.0)] for w in wanted]
    assert model.generate(latents, strategy="visual", return_support=True).support == [[], [], []]


def test_a_model_without_a_memory_says_what_is_missing(tiny_decap: Any, pictures: Any) -> None:
    model, processor = tiny_decap()
    model.memory = None
    inputs = processor(images=pictures, return_tensors="pt")
    with pytest.raises(ConfigurationError, match="'projection' asks a support memory, and the model has none"):
        model.generate(**inputs)
    assert len(model.generate(**inputs, strategy="visual")) == 4


@pytest.mark.parametrize("how", [{"return_support": True}, {"tau": 0.02}])
def test_what_only_a_strategy_reads_is_not_passed_over_in_silence(
    tiny_decap: Any, latents: torch.Tensor, how: Any
) -> None:
    model, _ = tiny_decap()
    with pytest.raises(ConfigurationError, match=r"tau and return_support have no meaning\. Give a strategy"):
        model.generate(latents, **how)


def test_a_memory_of_another_space_is_refused(tiny_decap: Any, tiny_dual: Any) -> None:
    model, _ = tiny_decap()
    with pytest.raises(ConfigurationError, match="memory holds latents of 4 channels, the decoder takes 8"):
        model.memory = SupportMemory.from_latents(torch.eye(4), list("abcd"))
    other, _ = tiny_dual(text_dropout=0.1)
    with torch.no_grad():
        other.text_projection.weight.mul_(2)
    with pytest.raises(MemoryMismatchError):
        model.memory = SupportMemory.from_latents(torch.eye(8), list("abcdefgh"), text_tower=other.text_fingerprint())
    assert len(model.memory) == 8  # the one it had


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({}, "Give either latents or pixel_values"),
        ({"latents": torch.ones(1, 8), "pixel_values": torch.ones(1, 3, 8, 8)}, "and not both"),
        ({"latents": torch.ones(1, 7)}, r"latents has shape \(1, 7\); expected \(batch, 8\)"),
        ({"latents": torch.ones(1, 8), "strategy": "retrieval"}, "need the tokenizer"),
    ],
)
def test_what_generate_cannot_use_is_named(tiny_decap: Any, how: Any, words: str) -> None:
    model, _ = tiny_decap()
    with pytest.raises(ConfigurationError, match=words):
        model.generate(**how)


def test_an_unknown_strategy_is_named(tiny_decap: Any) -> None:
    model, _ = tiny_decap()
    with pytest.raises(UnknownNameError, match=r"Unknown strategy 'nearby'.*nearest, projection, retrieval, visual"):
        model.generate(torch.ones(1, 8), strategy="nearby")
    with pytest.raises(UnknownNameError, match="Unknown strategy"):
        DeCapConfig(strategy="nearby")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"tau": 0}, "tau is 0; it must be above 0"),
        ({"latent_noise": -1}, "latent_noise is -1"),
        ({"latent_noise": float("nan")}, "latent_noise is nan"),
        ({"label_smoothing": 1.0}, r"label_smoothing is 1.0; it must lie in \[0, 1\)"),
        ({"prefix_length": 0}, "prefix_length is 0; it must be at least 1"),
    ],
)
def test_numbers_out_of_range_are_named(setting: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        DeCapConfig(**setting)


def test_latents_alone_need_no_dual_encoder() -> None:
    decoder = GPT2Config(n_layer=1, n_embd=16, n_head=2, vocab_size=50, eos_token_id=1, bos_token_id=1)
    model = DeCapModel.from_backbones(None, decoder, latent_dim=6)
    assert model.generate(torch.randn(2, 6), max_new_tokens=3).shape[0] == 2
    with pytest.raises(ConfigurationError, match="holds no dual encoder"):
        model.generate(pixel_values=torch.ones(1, 3, 8, 8))
    with pytest.raises(ConfigurationError, match="give latent_dim"):
        DeCapModel.from_backbones(None, decoder)
    with pytest.raises(ConfigurationError, match="frozen ones never write"):
        DeCapModel.from_backbones(None, decoder, latent_dim=6, train_decoder=False)


def test_the_future_does_not_reach_back(tiny_decap: Any, captions: list[str], latents: torch.Tensor) -> None:
    """Trap T1: a shared configuration turns the causal mask off."""
    model, processor = tiny_decap()
    ids = batch(processor, captions)["input_ids"]
    with torch.no_grad():
        before = model(latents, input_ids=ids).logits
        ids[:, -1] = 5
        after = model(latents, input_ids=ids).logits
    assert torch.equal(before[:, :-1], after[:, :-1])


def test_the_auto_classes_build_it() -> None:
    config = AutoConfig.for_model("decap", latent_dim=6, text_config=GPT2Config(n_layer=1, n_embd=16, n_head=2))
    assert type(AutoModel.from_config(config)) is DeCapModel
    assert type(AutoModelForImageTextToText.from_config(config)) is DeCapModel
