"""The tiny models and tokenizers the other tests stand on."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

FAMILIES = ["gpt2", "gptj", "opt", "llama"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tiny_language_model_is_the_same_each_time_and_generates(tiny_lm, family):
    first, second = tiny_lm(family), tiny_lm(family)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    ids = first.generate(torch.tensor([[5, 6, 7]]), max_new_tokens=3, do_sample=False)
    assert ids.shape[1] > 3
    assert not first.training


@pytest.mark.parametrize("family", FAMILIES)
def test_no_bias_or_norm_of_a_tiny_language_model_is_trivial(tiny_lm, family):
    for name, parameter in tiny_lm(family).named_parameters():
        assert parameter.std() > 0, name


@pytest.mark.parametrize("bos", [False, True])
def test_the_tiny_tokenizer_reads_any_text_and_gives_it_back(tiny_tokenizer, bos):
    tokenizer = tiny_tokenizer(bos=bos)
    text = "A picture of a žluťoučký kůň, 5 €"
    ids = tokenizer(text).input_ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert (ids[0] == tokenizer.bos_token_id) is bos
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (0, 1, 2)
    assert len(tokenizer) == 300


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tiny_language_model_folder_holds_model_and_tokenizer(tiny_lm_dir, family):
    folder = tiny_lm_dir(family)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.config.vocab_size > len(tokenizer)
    assert (tokenizer("a dog").input_ids[0] == tokenizer.bos_token_id) is (family in ("opt", "llama"))
