"""The metrics beside CIDEr-D: laws, cases worked out by hand, agreement with pycocoevalcap."""

from __future__ import annotations

import math
import shutil

import pytest

from linmap.errors import CaptionDataError, MissingJavaError, UnknownNameError
from linmap.evaluation import METRICS, bleu, caption_metrics, cider_d, compare_captions, meteor, rouge_l
from linmap.evaluation.meteor import meteor_of_tokens

needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="METEOR and PTB tokenisation need Java")

REFERENCES = [
    ["a brown dog runs across the grass", "the dog is running on a lawn"],
    ["two men ride bicycles down the street", "men on bicycles in town"],
    ["a woman stands in front of a building", "a lady before a house"],
]
CANDIDATES = ["a dog runs on the grass", "two men in the street", "a woman in front of a house"]


def simple(candidates, references=REFERENCES, **how):
    return caption_metrics(candidates, references, "simple", **how)


def test_without_the_ptb_tokenizer_meteor_is_missing_and_nothing_else():
    assert set(METRICS) - set(simple(CANDIDATES)) == {"METEOR"}


def test_a_caption_that_is_a_reference_scores_the_most_there_is():
    scores = simple([texts[0] for texts in REFERENCES], [texts[:1] for texts in REFERENCES])
    assert scores["CIDEr-D"] == pytest.approx(1000)
    for name in ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L"):
        assert scores[name] == pytest.approx(100, abs=1e-5)


def test_captions_of_other_photos_score_less_by_every_metric():
    own, others = simple(CANDIDATES), simple(CANDIDATES[1:] + CANDIDATES[:1])
    assert all(others[name] < own[name] for name in own)


def test_empty_captions_score_nothing_by_every_metric():
    assert set(simple(["", "", ""]).values()) == {0.0}


def test_cider_d_is_that_of_cider_d():
    assert simple(CANDIDATES)["CIDEr-D"] == cider_d(CANDIDATES, REFERENCES, "simple").value


def test_bleu_worked_out_by_hand():
    # over both photos: 4 of 5 words are in a reference, 2 of 3 pairs, 1 of 1 triple; the closest references have 3
    # and 3 words, 6 against 5 written: brevity exp(1 - 6/5)
    scores = simple(["a dog runs", "red car"], [["a dog runs"], ["a red bus"]])
    brevity = math.exp(1 - 6 / 5)
    assert scores["BLEU-1"] == pytest.approx(100 * brevity * 4 / 5, rel=1e-6)
    assert scores["BLEU-2"] == pytest.approx(100 * brevity * math.sqrt(4 / 5 * 2 / 3), rel=1e-6)
    assert scores["BLEU-3"] == pytest.approx(100 * brevity * (4 / 5 * 2 / 3 * 1 / 1) ** (1 / 3), rel=1e-6)


def test_rouge_l_worked_out_by_hand():
    # "a dog sleeps" and "a brown dog runs" share the sequence "a dog": precision 2/3, recall 2/4, beta 1.2
    scores = simple(["a dog sleeps", "x"], [["a brown dog runs"], ["y"]])
    precision, recall = 2 / 3, 2 / 4
    found = (1 + 1.2**2) * precision * recall / (recall + 1.2**2 * precision)
    assert scores["ROUGE-L"] == pytest.approx(100 * found / 2)


def test_several_captioners_score_as_each_alone():
    rows = {"own": CANDIDATES, "others": CANDIDATES[::-1]}
    found = compare_captions(rows, REFERENCES, "simple")
    assert found == {name: simple(captions) for name, captions in rows.items()}


def test_only_the_metrics_that_are_asked_for_are_measured_in_their_order():
    assert list(simple(CANDIDATES, metrics=["ROUGE-L", "CIDEr-D"])) == ["ROUGE-L", "CIDEr-D"]


def test_bleu_and_rouge_l_alone_are_those_of_all_metrics():
    scores = simple(CANDIDATES)
    assert list(bleu(CANDIDATES, REFERENCES, "simple").values) == [scores[f"BLEU-{n}"] for n in range(1, 5)]
    alone = rouge_l(CANDIDATES, REFERENCES, "simple")
    assert alone.value == scores["ROUGE-L"]
    assert alone.per_image == tuple(
        simple([one], [texts], metrics=["ROUGE-L"])["ROUGE-L"]
        for one, texts in zip(CANDIDATES, REFERENCES, strict=True)
    )


def test_scores_of_another_tokenizer_say_that_they_do_not_compare():
    assert str(bleu(["a dog"], [["a dog"]], "simple")).endswith(
        "(simple tokenizer: not comparable with published scores)"
    )
    assert not rouge_l(["a dog"], [["a dog"]], "simple").comparable


@needs_java
def test_bleu_and_rouge_l_are_those_that_pycocoevalcap_gives_for_ptb_tokens():
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    theirs = {number: [{"caption": text} for text in texts] for number, texts in enumerate(REFERENCES)}
    ours = {number: [{"caption": text}] for number, text in enumerate(CANDIDATES)}
    tokens = PTBTokenizer().tokenize(theirs), PTBTokenizer().tokenize(ours)
    values, _ = Bleu(4).compute_score(*tokens, verbose=0)
    assert bleu(CANDIDATES, REFERENCES).values == pytest.approx([100 * value for value in values])
    assert bleu(CANDIDATES, REFERENCES).comparable
    assert rouge_l(CANDIDATES, REFERENCES).value == pytest.approx(100 * Rouge().compute_score(*tokens)[0])


@needs_java
def test_meteor_knows_the_same_words_and_their_stems_in_every_set_of_photos():
    # all words the same, in one piece, is 1 less the penalty gamma 0.6 * (1 piece / 3 words) ** 0.2 of METEOR 1.5 …
    # unless the whole caption is one piece, which is not punished: 1; a stem counts for less; other words for nothing
    references = [["a dog runs"], ["a dog runs"]]
    captions = [["a dog runs"] * 2, ["a dog running"] * 2, ["", "žába ||| žába"], ["a dog runs", "žába"]]
    same, stems, none, mixed = meteor_of_tokens(captions, references, [[0, 1], [0], [1]])
    assert same == pytest.approx([100] * 3)
    assert 50 < stems[0] < same[0]
    assert stems == pytest.approx([stems[0]] * 3)
    assert none == [0, 0, 0]
    assert mixed[1:] == pytest.approx([100, 0])
    assert 0 < mixed[0] < 100


@needs_java
def test_java_that_fails_in_meteor_is_named(tmp_path, monkeypatch):
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'no such machine' >&2\nexit 3\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(MissingJavaError, match=r"Java ran METEOR and failed \(exit code 3\): no such machine"):
        meteor_of_tokens([["a dog"]], [["a dog"]], [[0]])


def test_meteor_without_java_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingJavaError, match="METEOR needs Java, and there is no `java` on the PATH"):
        simple(CANDIDATES, metrics=["METEOR"])


@pytest.mark.parametrize(
    ("run", "error", "words"),
    [
        (lambda: simple(CANDIDATES, metrics=["SPICE"]), UnknownNameError, "Unknown metric of captions 'SPICE'"),
        (lambda: simple(CANDIDATES[:2]), CaptionDataError, "2 captions for 3 photos"),
        (lambda: simple(CANDIDATES[:1], REFERENCES[:1]), CaptionDataError, "CIDEr-D over 1 photos means nothing"),
        (lambda: bleu([], [], "simple"), CaptionDataError, "There is no photo"),
        (lambda: rouge_l(["a"], [[]], "simple"), CaptionDataError, "Photo 0 needs a list of at least one reference"),
        (lambda: meteor(["a"], ["a"]), CaptionDataError, "Photo 0 needs a list of at least one reference"),
    ],
)
def test_what_cannot_be_scored_is_an_error(run, error, words):
    with pytest.raises(error, match=words):
        run()
