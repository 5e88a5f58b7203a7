"""What captions of animals get right, by WordNet, which comes with a wheel: every test here needs it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from linmap.errors import EvaluationError
from linmap.evaluation import (
    Animal,
    AnimalNames,
    AttributeTable,
    concept_columns,
    concept_scores,
    concept_table,
    plot_concepts,
)
from linmap.evaluation.attributes import visible_words

pytestmark = pytest.mark.weights

TABLE = {
    "zebra": {"black": 1.0, "white": 1.0, "brown": 0.0, "stripes": 1.0, "big": 1.0, "hooves": 1.0, "smelly": 0.0},
    "horse": {"black": 1.0, "white": 1.0, "brown": 1.0, "stripes": 0.0, "big": 1.0, "hooves": 1.0, "smelly": 0.0},
    "collie": {"black": 1.0, "white": 1.0, "brown": 1.0, "stripes": 0.0, "big": 0.0, "hooves": 0.0, "smelly": 1.0},
    "dalmatian": {"black": 1.0, "white": 1.0, "brown": 0.0, "stripes": 0.0, "big": 0.0, "hooves": 0.0, "smelly": 1.0},
}


def _named(caption: str, *classes: str, photographed: tuple[str, ...] = ()) -> list[str]:
    names = AnimalNames([Animal.called(name) for name in classes], photographed)
    return [one.sense for one in names.in_caption(caption)]


@pytest.mark.parametrize(
    ("caption", "senses"),
    [
        ("A dog, two DOGS and a puppy!", ["dog.n.01", "dog.n.01", "puppy.n.01"]),
        ("a man and a woman with a child and people", []),
        ("a polar bear by the water", ["ice_bear.n.01"]),
        ("a hot dog and a teddy bear", []),
        ("geese over oxen", ["goose.n.01", "cattle.n.01"]),
        ("a young male swings a bat at the giant", []),
        ("a seal and a tiger", []),  # their most usual senses are no animals
        ("", []),
        ("ein Hund läuft 🐕 \x00", []),
    ],
)
def test_a_word_is_an_animal_where_that_is_its_most_usual_sense(caption, senses):
    assert _named(caption) == senses


def test_the_classes_are_animals_whatever_else_their_names_mean():
    assert _named("a seal and two tigers", "seal", "tiger") == ["seal.n.09", "tiger.n.02"]


def test_a_word_that_captions_use_otherwise_counts_where_such_animals_are_photographed():
    assert _named("two bats", "bat") == []
    assert _named("two bats", "bat", photographed=("bat",)) == ["bat.n.01"]
    assert _named("a young mouse", "mouse", photographed=("mouse",)) == ["mouse.n.01"]


def test_the_classes_of_awa2_name_themselves():
    classes = ["antelope", "beaver", "buffalo", "cow", "dolphin", "mole", "moose", "otter", "ox", "seal", "skunk"]
    classes += ["grizzly bear", "killer whale", "persian cat", "german shepherd", "spider monkey", "giant panda"]
    animals = {name: Animal.called(name) for name in classes}
    finder = AnimalNames(list(animals.values()), classes)
    for name, animal in animals.items():
        (found,) = finder.in_caption(f"a photo of a {name}.")
        assert animal.covers(found.sense), name
        assert animal.likeness(found.sense) == 1


def test_a_class_that_is_no_animal_is_an_error():
    for name in ("bicycle", "blorb", "man", ""):
        with pytest.raises(
            EvaluationError, match=f"WordNet knows no animal called '{name}'. Give the class another name"
        ):
            Animal.called(name)


def test_a_kind_of_the_class_is_the_right_name_and_what_is_wider_is_not():
    found = concept_scores(["a puppy", "a collie", "an animal", "a cat"], ["dog"] * 4)
    assert found.scores.right_class == 50
    assert found.classes[0].taken_for == (("animal", 1), ("cat", 1))
    assert found.wrong == 2


def test_right_names_of_all_photos_are_100_and_no_names_at_all_leave_nothing_to_average():
    right = concept_scores(["a zebra", "a horse"], ["zebra", "horse"], TABLE)
    assert concept_columns(right.scores) == {
        "any animal": 100,
        "right class": 100,
        "mean of classes": 100,
        "Wu-Palmer": 100,
        "properties": 100,
    }
    none = concept_scores(["two men", ""], ["zebra", "horse"], TABLE)
    assert concept_columns(none.scores) == {"any animal": 0, "right class": 0, "mean of classes": 0}
    assert (none.in_table, none.times_said, none.attributes) == (0, 0, ())


def test_a_near_name_scores_more_than_a_far_one():
    near, far = (concept_scores([f"a {word}"] * 2, ["zebra"] * 2, TABLE) for word in ("horse", "collie"))
    assert near.scores.wu_palmer_wrong > far.scores.wu_palmer_wrong
    assert near.scores.properties_wrong == 80  # of black, white, brown, big, hooves a zebra has all but brown
    assert far.scores.properties_wrong == pytest.approx(100 * 2 / 3)
    assert near.scores.right_class == far.scores.right_class == 0


def test_of_several_animals_the_nearest_to_the_photo_counts():
    found = concept_scores(["a collie and a horse", "a bird and a zebra"], ["zebra", "zebra"], TABLE)
    assert found.scores.properties_wrong == 80
    assert found.scores.right_class == 50
    assert found.classes[0].taken_for == (("horse", 1),)


def test_every_class_weighs_the_same_in_their_mean():
    found = concept_scores(["a dog"] * 4, ["dog", "dog", "dog", "cat"])
    assert (found.scores.right_class, found.scores.mean_per_class) == (75, 50)
    assert [(one.name, one.photos, one.right) for one in found.classes] == [("cat", 1, 0), ("dog", 3, 100)]


def test_blind_is_the_mean_over_all_other_photos():
    captions = ["a brown dog", "a striped horse", "a zebra", "nothing", "a dog and a zebra"]
    classes = ["dog", "horse", "zebra", "horse", "dog"]
    found = concept_scores(captions, classes, TABLE)
    shifted = [
        concept_scores(captions, classes[step:] + classes[:step], TABLE).scores.right_class for step in range(1, 5)
    ]
    assert found.blind.right_class == pytest.approx(np.mean(shifted))  # the four shifts pair each with each other once
    assert found.blind.names_animal == found.scores.names_animal == 80


def test_a_captioner_that_says_the_same_of_every_photo_is_as_good_blind():
    found = concept_scores(["a black dog"] * 6, ["dog"] * 3 + ["zebra"] * 3, TABLE)
    assert concept_columns(found.blind) == pytest.approx(concept_columns(found.scores))
    assert [(one.name, one.times, one.right, one.blind) for one in found.attributes] == [("black", 6, 100, 100)]


def test_what_is_said_of_an_animal_stands_in_front_of_its_name():
    found = concept_scores(
        [
            "a brown zebra",  # wrong
            "two big black and white zebras",  # right, three times
            "a man in a brown shirt and a striped zebra",  # right: stripes; the shirt is not the zebra's
            "a zebra that is brown",  # not read
            "a smelly zebra",  # cannot be seen
        ],
        ["zebra"] * 5,
        TABLE,
    )
    assert found.times_said == 5
    assert found.scores.said == 80
    assert {one.name: (one.times, one.right) for one in found.attributes} == {
        "black": (1, 100),
        "white": (1, 100),
        "brown": (1, 0),
        "stripes": (1, 100),
        "big": (1, 100),
    }


def test_a_wider_animal_looks_as_its_kinds_do_on_average():
    table = AttributeTable(TABLE, [Animal.called("dog")])
    at = dict(zip(table.attributes, table.of("dog.n.01"), strict=True))
    assert at == {"black": 1, "white": 1, "brown": 0.5, "stripes": 0, "big": 0, "hooves": 0}
    assert np.array_equal(table.of("puppy.n.01"), table.of("dog.n.01"))  # no class of the table, but one of the photos
    assert np.array_equal(table.of("bird.n.01"), None)
    assert table.of("animal.n.01") is None
    right = concept_scores(["a puppy", "a brown dog"], ["dog", "dog"], TABLE)
    assert (right.scores.properties, right.scores.said) == (100, 50)


def test_attributes_that_come_without_words_are_said_by_their_own_names():
    assert visible_words(["smelly", "stripes", "Long_Tail|tail"]) == {
        "stripes": ("striped", "stripes"),
        "Long_Tail|tail": ("long tail", "tail"),
    }
    with pytest.raises(EvaluationError, match="None of the 1 attributes can be seen in a photo"):
        visible_words(["smelly"])


def test_without_a_table_the_names_are_scored_all_the_same():
    with_table = concept_scores(["a horse", "a dog"], ["zebra", "dog"], TABLE)
    without = concept_scores(["a horse", "a dog"], ["zebra", "dog"])
    assert without.scores.wu_palmer_wrong == with_table.scores.wu_palmer_wrong
    assert without.scores.properties is without.scores.said is None


@pytest.mark.parametrize(
    ("captions", "classes", "table", "said"),
    [
        (["a dog"], ["dog"], None, "1 captions were given for 1 classes; expected one each, and at least two"),
        (["a dog"] * 3, ["dog"] * 2, None, "3 captions were given for 2 classes"),
        (["a dog"] * 2, ["dog"] * 2, {"sofa": {"red": 1.0}}, "WordNet knows no animal called 'sofa'"),
        (["a dog"] * 2, ["dog"] * 2, {"cat": {"red": 1.0}, "dog": {"big": 1.0}}, "must all have the same attributes"),
    ],
)
def test_what_cannot_be_scored_says_so(captions, classes, table, said):
    with pytest.raises(EvaluationError, match=said):
        concept_scores(captions, classes, table)


def test_the_table_and_the_picture_have_the_control_beside_every_captioner(tmp_path):
    rows = {
        "trained": concept_scores(["a zebra", "a brown horse"], ["zebra", "horse"], TABLE),
        "$odd$ [b]": concept_scores(["two men", ""], ["zebra", "horse"], TABLE),
    }
    table = concept_table(rows)
    assert [str(cell) for cell in table.columns[0].cells] == [
        "trained",
        "  trained, blind",
        "$odd$ [b]",
        "  $odd$ [b], blind",
    ]
    plot_concepts(rows, tmp_path / "concepts.png")
    with Image.open(tmp_path / "concepts.png") as picture:
        assert picture.format == "PNG"
    with pytest.raises(EvaluationError, match="cannot be written"):
        plot_concepts(rows, tmp_path / "nowhere" / "concepts.png")
