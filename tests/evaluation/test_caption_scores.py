"""Several captioners on the same photos: whole sets, domains, single photos."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from linmap.errors import CaptionDataError, EvaluationError, UnknownNameError
from linmap.evaluation import caption_metrics, score_captions

REFERENCES = [
    ["a dog runs on grass", "a brown dog is running"],
    ["two men ride bicycles", "men on bikes in the street"],
    ["a cat sleeps on a table", "a sleeping cat"],
    ["a red car stands in the street", "a parked car"],
    ["a horse jumps over a fence", "a brown horse"],
]
COPIES = [texts[0] for texts in REFERENCES]
GUESSES = ["a dog", "a man in the street", "a cat on a table", "a dog", "a brown horse jumps"]
TEXT_METRICS = ["CIDEr-D", "BLEU-1", "BLEU-4", "ROUGE-L"]


def score(captions, references=REFERENCES, metrics=TEXT_METRICS, **more):
    return score_captions(captions, references, metrics=metrics, tokenizer="simple", **more)


def test_scores_are_those_of_one_captioner_alone():
    found = score({"copies": COPIES, "guesses": GUESSES})
    for name, captions in (("copies", COPIES), ("guesses", GUESSES)):
        assert found[name].scores == pytest.approx(
            caption_metrics(captions, REFERENCES, "simple", metrics=TEXT_METRICS)
        )
        assert list(found[name].scores) == TEXT_METRICS


def test_the_mean_over_the_photos_is_the_score_of_the_whole():
    one = score({"guesses": GUESSES})["guesses"]
    assert set(one.per_photo) == {"CIDEr-D", "ROUGE-L"}  # BLEU is of a set
    for name, values in one.per_photo.items():
        assert len(values) == one.photos == len(REFERENCES)
        assert sum(values) / len(values) == pytest.approx(one.scores[name])


def test_a_domain_is_scored_as_a_set_of_its_own():
    domains = ["in", "out", "in", "out", "in"]
    one = score({"guesses": GUESSES}, domains=domains)["guesses"]
    assert list(one.domains) == ["in", "out"]
    for domain, part in one.domains.items():
        rows = [row for row, of in enumerate(domains) if of == domain]
        alone = score({"guesses": [GUESSES[row] for row in rows]}, [REFERENCES[row] for row in rows])["guesses"]
        assert part.scores == alone.scores
        assert part.photos == len(rows)
    assert one.scores == score({"guesses": GUESSES})["guesses"].scores


def test_the_whole_is_not_the_mean_of_its_domains():
    domains = ["in", "out", "in", "out", "in"]
    one = score({"guesses": GUESSES}, domains=domains)["guesses"]
    mean = sum(part.photos * part.scores["CIDEr-D"] for part in one.domains.values()) / one.photos
    assert one.scores["CIDEr-D"] != pytest.approx(mean)  # as in the table of NoCaps scores of LiMBeR


def test_photos_without_a_domain_count_in_the_whole_alone():
    one = score({"guesses": GUESSES}, domains=["in", None, "in", None, None])["guesses"]
    assert {domain: part.photos for domain, part in one.domains.items()} == {"in": 2}
    assert one.photos == 5


def test_a_domain_of_one_photo_is_left_out():
    assert score({"guesses": GUESSES}, domains=["in"] * 4 + ["out"])["guesses"].domains.keys() == {"in"}


def test_scores_measured_elsewhere_are_averaged_in_every_domain():
    measured = {"guesses": {"CLIPScore": [10.0, 20.0, 30.0, 40.0, 60.0]}}
    domains = ["in", "out", "in", "out", "in"]
    one = score({"guesses": GUESSES}, metrics=["ROUGE-L"], domains=domains, measured=measured)["guesses"]
    assert list(one.scores) == ["ROUGE-L", "CLIPScore"]
    assert one.scores["CLIPScore"] == pytest.approx(32.0)
    assert one.domains["out"].scores["CLIPScore"] == pytest.approx(30.0)
    assert one.per_photo["CLIPScore"] == (10.0, 20.0, 30.0, 40.0, 60.0)


@pytest.mark.skipif(shutil.which("java") is None, reason="METEOR is Java")
def test_meteor_is_there_of_whole_sets_by_one_run_of_java(monkeypatch):
    started, start = [], subprocess.Popen

    def popen(*args, **how):
        started.append(args)
        return start(*args, **how)

    monkeypatch.setattr(subprocess, "Popen", popen)
    domains = ["in", "out", "in", "out", "in"]
    found = score({"copies": COPIES, "guesses": GUESSES}, metrics=["METEOR"], domains=domains)
    assert found["copies"].scores["METEOR"] > found["guesses"].scores["METEOR"] > 0
    assert found["copies"].per_photo == {}
    whole, *parts = (one.scores["METEOR"] for one in (found["guesses"], *found["guesses"].domains.values()))
    assert min(parts) < whole < max(parts)
    assert len(started) == 1


def test_what_is_measured_elsewhere_alone_needs_no_tokens_and_no_java(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    measured = {"guesses": {"CLIPScore": [10.0]}}
    found = score_captions({"guesses": ["a dog"]}, [["a dog"]], metrics=[], measured=measured)
    assert found["guesses"].scores == {"CLIPScore": 10.0}


def test_one_photo_has_every_score_but_cider_d():
    assert score({"one": ["a dog"]}, [["a dog"]], metrics=["BLEU-1", "ROUGE-L"])["one"].photos == 1
    with pytest.raises(CaptionDataError, match="CIDEr-D over 1 photos means nothing"):
        score({"one": ["a dog"]}, [["a dog"]])


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(CaptionDataError, match="4 captions for 5 photos"):
        score({"guesses": GUESSES[1:]})
    with pytest.raises(EvaluationError, match="domains: 2 for 5 photos; give one a photo"):
        score({"guesses": GUESSES}, domains=["in", "out"])
    with pytest.raises(EvaluationError, match="CLIPScore: 1 for 5 photos; give one a photo"):
        score({"guesses": GUESSES}, measured={"guesses": {"CLIPScore": [1.0]}})
    with pytest.raises(UnknownNameError, match=r"Unknown metric of captions 'CIDER'\. .*Known: BLEU-1"):
        score({"guesses": GUESSES}, metrics=["CIDER"])
