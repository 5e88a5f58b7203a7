"""Few-shot VQA: the prompts, and the law of the support cache: it is equal to not reusing."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from linmap.errors import CaptioningError, ConfigurationError, ImageCountError
from linmap.prefix.few_shot import FewShotAnswerer, SolvedExample
from linmap.prefix.few_shot_cache import SupportCache
from linmap.prefix.few_shot_prompts import cut_answer, question_prompt, solved_prompt

FAMILIES = ("gpt2", "gptj", "opt", "llama")
QUESTIONS = ["what is it?", "what is on the wooden table", "how many dogs run"]
SOLVED = [("what colour is the ball?", "red"), ("who rides?", "a man")]


def answerer(parts: tuple[Any, Any], features: torch.Tensor | None, shots: int = 2, **settings: Any) -> FewShotAnswerer:
    examples = [
        SolvedExample(question, answer, None if features is None else features[number])
        for number, (question, answer) in enumerate(SOLVED[:shots])
    ]
    return FewShotAnswerer(*parts, examples, **({"max_new_tokens": 5} | settings))


def test_the_prompt_is_the_papers():
    assert question_prompt("what is it?", "<image>") == "<image>Q: what is it? A:"
    assert solved_prompt("what is it?", "a dog", "<image>") == "<image>Q: what is it? A: a dog\n"


def test_a_question_is_one_line():
    assert solved_prompt("what\n is \t it?", " a\ndog ") == "Q: what is it? A: a dog\n"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" red\nblue", "red"),
        ("\n red", "red"),
        (" red Q: what", "red"),
        ("Q: what", ""),
        ("", ""),
        (" 2 dogs ", "2 dogs"),
    ],
)
def test_an_answer_ends_with_its_line_or_before_the_next_question(text, answer):
    assert cut_answer(text) == answer


@pytest.mark.parametrize("blind", [False, True], ids=["seeing", "blind"])
@pytest.mark.parametrize("family", FAMILIES)
def test_reusing_the_support_equals_not_reusing_it_in_a_padded_batch(family, blind, feature_model, features):
    parts = feature_model(family, bos=family in ("opt", "llama"))
    support, seen = (None, None) if blind else (features(2), features(3))
    how = {"return_dict_in_generate": True, "output_logits": True, "sighted": not blind}
    found = []
    for reuse in (True, False):
        one = answerer(parts, support, reuse=reuse, sighted=how["sighted"])
        found.append(one.generate(QUESTIONS, seen, return_dict_in_generate=True, output_logits=True))
    reused, read_again = found
    length = reused.sequences.shape[1] - len(reused.logits)
    assert torch.equal(reused.sequences[:, length:], read_again.sequences[:, length:])
    for ours, theirs in zip(reused.logits, read_again.logits, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shots", [0, 1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_answers_are_those_of_the_whole_prompt_through_the_processor(family, shots, feature_model, features):
    """The reference is the plain way: one text with all its `<image>`, one question at a time."""
    model, processor = parts = feature_model(family, bos=True)
    support, seen = features(2)[:shots], features(3)
    ours = dict(answerer(parts, support, shots).answer(QUESTIONS, seen))
    for place, question in enumerate(QUESTIONS):
        text = "".join(solved_prompt(*solved, "<image>") for solved in SOLVED[:shots])
        text += question_prompt(question, "<image>")
        inputs = processor(
            image_features=torch.cat([support, seen[place : place + 1]]), text=[text], return_tensors="pt"
        )
        ids = model.generate(**inputs, max_new_tokens=5)[0, inputs["input_ids"].shape[1] :]
        assert ours[place] == cut_answer(processor.tokenizer.decode(ids, skip_special_tokens=True))


def test_the_answers_do_not_depend_on_the_batch_size(feature_model, features):
    one = answerer(feature_model("llama"), features(2))
    answers = [dict(one.answer(QUESTIONS, features(3), batch_size=size)) for size in (1, 2, 32)]
    assert answers[0] == answers[1] == answers[2]
    assert sorted(answers[0]) == [0, 1, 2]


@pytest.mark.parametrize("shots", [0, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_questions_about_one_photo_share_what_is_kept_of_it(family, shots, feature_model, features):
    parts = feature_model(family, bos=True)
    asked, photos = [*QUESTIONS, "what is it?", "is it red?"], [1, 0, 1, 1, 0]
    shared = answerer(parts, features(2), shots, max_new_tokens=12)
    plain = answerer(parts, features(2), shots, max_new_tokens=12, reuse=False)
    seen = features(3)[:2]
    ours = dict(shared.answer(asked, seen, photos, batch_size=2))
    assert ours == dict(plain.answer(asked, seen, photos)) == dict(plain.answer(asked, seen[photos]))


def test_images_behind_a_text_are_those_that_are_asked_for(feature_model, features):
    model, processor = feature_model("llama")
    support = SupportCache.of(model, [5, 6, 7])
    images = support.behind(model, features(3), batch_size=2)
    cache = images.expanded([2, 0])
    assert (len(images), cache.get_seq_length()) == (7, 7)
    for row, image in enumerate((2, 0)):
        ids = torch.tensor([[5, 6, 7, *[processor.image_token_id] * 4]])
        alone = model(ids, image_features=features(3)[image : image + 1], use_cache=True).past_key_values
        for ours, theirs in zip(cache.layers, alone.layers, strict=True):
            torch.testing.assert_close(ours.keys[row], theirs.keys[0], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(ours.values[row], theirs.values[0], atol=1e-5, rtol=1e-5)


def test_the_cache_is_never_changed_by_who_goes_on_from_it(feature_model, features):
    model, _ = feature_model("gptj")
    cache = SupportCache.of(model, [5, 6, 7])
    before = [layer.keys.clone() for layer in cache.expanded(1).layers]
    taken = cache.expanded(2)
    row = torch.full((2, 5), 8)
    model(row[:, 3:], attention_mask=torch.ones(2, 5), past_key_values=taken)
    for layer in taken.layers:
        layer.keys.zero_()
    assert (len(cache), taken.get_seq_length()) == (3, 5)
    for kept, now in zip(before, cache.expanded(1).layers, strict=True):
        assert torch.equal(kept, now.keys)


def test_a_model_that_counts_places_gets_questions_of_one_length_at_a_time(tiny_tokenizer, features):
    """MPT's biases count the places between two words, padding included."""
    from transformers import MptConfig, MptForCausalLM

    from linmap import LinearVisionPrefixModel, LinearVisionPrefixProcessor

    torch.manual_seed(0)
    lm = MptForCausalLM(MptConfig(d_model=16, n_heads=2, n_layers=2, max_seq_len=128, vocab_size=320)).eval()
    for parameter in lm.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    tokenizer = tiny_tokenizer()
    model = LinearVisionPrefixModel.from_backbones(None, lm, tokenizer=tokenizer, feature_dim=6, num_image_tokens=4)
    parts = model, LinearVisionPrefixProcessor.for_model(model, tokenizer)
    reused, read_again = (answerer(parts, features(2), reuse=reuse) for reuse in (True, False))
    assert not SupportCache.of(model, [5, 6, 7]).takes_padding
    assert dict(reused.answer(QUESTIONS, features(3))) == dict(read_again.answer(QUESTIONS, features(3)))


def test_a_sliding_window_gets_questions_of_one_length_at_a_time(tiny_tokenizer, features):
    from transformers import MistralConfig, MistralForCausalLM

    from linmap import LinearVisionPrefixModel, LinearVisionPrefixProcessor

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = MistralConfig(**sizes, num_key_value_heads=2, vocab_size=320, sliding_window=8)
    tokenizer = tiny_tokenizer()
    lm = MistralForCausalLM(config).eval()
    for parameter in lm.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    model = LinearVisionPrefixModel.from_backbones(None, lm, tokenizer=tokenizer, feature_dim=6, num_image_tokens=4)
    parts = model, LinearVisionPrefixProcessor.for_model(model, tokenizer)
    reused, read_again = (answerer(parts, features(2), reuse=reuse) for reuse in (True, False))
    assert not SupportCache.of(model, [5, 6, 7]).takes_padding
    assert dict(reused.answer(QUESTIONS, features(3))) == dict(read_again.answer(QUESTIONS, features(3)))


def test_blind_reads_the_same_words_and_no_image(feature_model, features):
    model, processor = feature_model("llama", bos=True)
    blind, seeing = answerer((model, processor), None, sighted=False), answerer((model, processor), features(2))
    words = [[token for token in one._support_ids if token != processor.image_token_id] for one in (blind, seeing)]
    assert processor.image_token_id not in blind._support_ids
    assert words[0] == words[1]
    assert sorted(dict(blind.answer(QUESTIONS))) == [0, 1, 2]


def test_the_captions_penalties_and_suppressed_tokens_play_no_part_and_are_put_back(feature_model, features):
    model, processor = feature_model("gpt2")
    plain = dict(answerer((model, processor), features(2)).answer(QUESTIONS, features(3)))
    own = model.generation_config
    own.suppress_tokens, own.num_beams, own.no_repeat_ngram_size = list(range(3, 200)), 3, 1
    assert dict(answerer((model, processor), features(2)).answer(QUESTIONS, features(3))) == plain
    assert model.generation_config is own


def test_the_photo_and_the_examples_change_what_is_answered(feature_model, features):
    parts = feature_model("llama")
    one = answerer(parts, features(2), max_new_tokens=12)
    same = ["what is it?"] * 3
    assert len(set(dict(one.answer(same, 3 * features(3))).values())) > 1
    other = answerer(parts, 3 * features(3)[1:], max_new_tokens=12)
    assert dict(one.answer(same, features(3))) != dict(other.answer(same, features(3)))


def test_the_mark_of_an_image_in_a_question_is_a_word(feature_model, features):
    one = answerer(feature_model("opt"), features(2))
    asked = ["what does <image> mean?", "what does image mean?"]
    first = features(3)[:1].expand(2, -1, -1)
    answers = dict(one.answer(asked, first))
    assert answers[0] == answers[1]


def test_a_question_that_is_too_long_costs_only_its_own_answer(feature_model, features, caplog):
    one = answerer(feature_model("gpt2"), features(2))  # 128 positions
    answers = dict(one.answer(["why " * 200, QUESTIONS[0]], features(2)))
    assert answers == {0: "", 1: dict(one.answer(QUESTIONS[:1], features(2)[1:]))[0]}
    assert "Not answered, since it is too long for the language model" in caplog.text


def test_examples_that_are_too_long_are_refused(feature_model):
    with pytest.raises(
        ConfigurationError, match=r"1 solved examples take \d+ tokens, and the language model reads 128"
    ):
        FewShotAnswerer(*feature_model("gpt2"), [SolvedExample("why " * 200, "because")], sighted=False)


def test_examples_have_photos_all_or_none(feature_model, features):
    examples = [SolvedExample("what?", "a dog", features(1)[0]), SolvedExample("who?", "a man")]
    with pytest.raises(ConfigurationError, match=r"1 of 2 solved examples have features .* all of them features, or"):
        FewShotAnswerer(*feature_model("gpt2"), examples)


def test_each_question_has_a_photo_or_none_has(feature_model, features):
    one = answerer(feature_model("gpt2"), features(2))
    with pytest.raises(ImageCountError, match=r"2 photos were given for 3 questions\. Give one for each"):
        list(one.answer(QUESTIONS, features(2)))
    with pytest.raises(ImageCountError, match="A question is about photo 2, and features of 2 photos were given"):
        list(one.answer(QUESTIONS, features(2), [0, 1, 2]))
    with pytest.raises(CaptioningError, match="The batch size is 0"):
        list(one.answer(QUESTIONS, features(3), batch_size=0))


def test_no_question_is_no_answer(feature_model, features):
    assert list(answerer(feature_model("gpt2"), features(2)).answer([], features(2)[:0])) == []
