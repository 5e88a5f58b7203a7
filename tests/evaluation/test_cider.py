"""CIDEr-D: laws, a case worked out by hand, and agreement with the COCO evaluation code."""

from __future__ import annotations

import math
import random
import shutil

import pytest

from linmap.errors import CaptionDataError
from linmap.evaluation import cider_d

needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="PTB tokenisation needs Java")

REFERENCES = [
    ["a brown dog runs across the grass", "the dog is running on a lawn"],
    ["two men ride bicycles down the street", "men on bicycles in town"],
    ["a woman stands in front of a building", "a lady before a house"],
]
CANDIDATES = ["a dog runs on the grass", "two men in the street", "a woman in front of a house"]


def simple(candidates, references):
    return cider_d(candidates, references, tokenizer="simple")


def test_a_candidate_that_is_its_only_reference_scores_the_most_there_is():
    references = [["a brown dog runs"], ["two men ride bicycles"], ["one lady stands there alone"]]
    score = simple([texts[0] for texts in references], references)
    assert score.per_image == pytest.approx([1000.0] * 3)
    assert score.value == pytest.approx(1000.0)


def test_a_candidate_that_shares_no_word_scores_nothing():
    assert simple(["x y z", "u v w"], [["a dog"], ["two men"]]).value == 0.0


def test_an_empty_candidate_scores_nothing():
    assert simple(["", "two men ride bicycles"], [["a dog"], ["two men ride bicycles"]]).per_image[0] == 0.0


def test_words_that_every_photo_has_count_for_nothing():
    assert simple(["a dog", "a dog"], [["a dog"], ["a dog"]]).value == 0.0


def test_a_case_worked_out_by_hand():
    # "red ball" against "red box": of 2 unigrams one is shared; every n-gram is in one photo, so the idf is log 2 for
    # each; cosine 1/2 for unigrams, 0 for bigrams, none for longer ones; equal lengths: 10 * (1/2 + 0 + 0 + 0) / 4.
    score = simple(["red ball", "nothing"], [["red box"], ["blue sky"]])
    assert score.per_image[0] == pytest.approx(100 * 10 * 0.5 / 4)


def test_a_caption_two_words_too_long_is_punished_by_the_gaussian():
    score = simple(["dog x y", "-"], [["dog"], ["cat"]])
    # the length is counted in bigrams, 2 against 0; sigma is 6; the cosine of the unigrams 1/sqrt(3) of weights log 2
    # and, for the words of no reference, log 2 too.
    assert score.per_image[0] == pytest.approx(1000 / 4 / math.sqrt(3) * math.exp(-(2**2) / (2 * 6**2)))


def test_the_order_of_photos_and_references_does_not_matter():
    score = simple(CANDIDATES, REFERENCES)
    order = [2, 0, 1]
    mixed = simple([CANDIDATES[i] for i in order], [REFERENCES[i][::-1] for i in order])
    assert mixed.per_image == pytest.approx([score.per_image[i] for i in order])
    assert mixed.value == pytest.approx(score.value)


def test_the_score_is_the_mean_over_the_photos():
    score = simple(CANDIDATES, REFERENCES)
    assert score.value == pytest.approx(sum(score.per_image) / 3)
    assert 0 < score.value < 1000


def test_captions_of_other_photos_score_less():
    assert simple(CANDIDATES[1:] + CANDIDATES[:1], REFERENCES).value < simple(CANDIDATES, REFERENCES).value / 4


def test_case_and_punctuation_do_not_matter():
    shouted = [f"{text.upper()} ." for text in CANDIDATES]
    assert simple(shouted, REFERENCES) == simple(CANDIDATES, REFERENCES)


def test_a_score_of_the_simple_tokenizer_says_that_it_does_not_compare():
    score = simple(CANDIDATES, REFERENCES)
    assert not score.comparable
    assert str(score).endswith("(simple tokenizer: not comparable with published scores)")


@needs_java
def test_a_score_of_the_ptb_tokenizer_compares():
    score = cider_d(CANDIDATES, REFERENCES)
    assert (score.tokenizer, score.comparable) == ("ptb", True)
    assert str(score) == f"{score.value:.1f}"


@needs_java
def test_both_tokenizers_agree_on_plain_words():
    assert cider_d(CANDIDATES, REFERENCES).per_image == pytest.approx(simple(CANDIDATES, REFERENCES).per_image)


def test_the_score_is_that_of_pycocoevalcap():
    from pycocoevalcap.cider.cider import Cider

    words = ["a", "the", "dog", "cat", "man", "woman", "runs", "sits", "on", "in", "grass", "street", "red", "blue"]
    draw = random.Random(0)
    texts = [[" ".join(draw.choices(words, k=draw.randint(1, 9))) for _ in range(6)] for _ in range(30)]
    candidates, references = [row[0] for row in texts], [row[1:] for row in texts]
    value, per_image = Cider().compute_score(
        dict(enumerate(references)), {number: [text] for number, text in enumerate(candidates)}
    )
    score = simple(candidates, references)
    assert score.value == pytest.approx(100 * value)
    assert score.per_image == pytest.approx(100 * per_image)


@pytest.mark.parametrize(
    ("candidates", "references", "message"),
    [
        (["a"], [["a"], ["b"]], "1 captions for 2 photos; give one caption a photo"),
        (["a"], [["a"]], "CIDEr-D over 1 photos means nothing; give at least two"),
        (["a", "b"], [["a"], []], r"Photo 1 needs a list of at least one reference caption; found \[\]"),
        (["a", "b"], ["a", "b"], "Photo 0 needs a list of at least one reference caption; found 'a'"),
    ],
)
def test_what_cannot_be_scored_is_an_error(candidates, references, message):
    with pytest.raises(CaptionDataError, match=message):
        simple(candidates, references)


@needs_java
@pytest.mark.shared
def test_people_score_80_on_flickr8k(shared):
    """Their first caption against the other four: what good captions score, and a guard on the whole chain."""
    from linmap.data import read_captions

    folder = shared / "data" / "flickr8k"
    photos = read_captions(folder / "captions.json", folder / "images", "val")
    score = cider_d([photo.captions[0] for photo in photos], [photo.captions[1:] for photo in photos])
    assert score.value == pytest.approx(80.366, abs=0.001)
