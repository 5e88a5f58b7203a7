"""Questions about photos: what is in the files comes out, what is wrong is named, no example is ever asked about."""

from __future__ import annotations

import json
import random

import datasets
import pytest
from PIL import Image

from linmap.data.images import UnreadableImages, open_photo
from linmap.data.questions import VisualQuestion, questions_from_dataset, read_questions
from linmap.data.support_sets import draw_supports
from linmap.errors import QuestionDataError, TooManyUnreadableImagesError, UnknownNameError, UnreadableImageError

LISTED = [
    {"file": "a.jpg", "question": "what is on the desk?", "answer": "tape_dispenser, book", "split": "train"},
    {"file": "a.jpg", "question": "how many?", "answer": "2", "split": "val"},
    {"file": "b.jpg", "question": "what color?", "answers": ["red", "dark red", "red"], "split": "val"},
]
VQA_QUESTIONS = {
    "data_subtype": "val2014",
    "questions": [
        {"image_id": 42, "question": "What is it?", "question_id": 42001},
        {"image_id": 7, "question": "Is it red?", "question_id": 7000},
    ],
}
VQA_ANSWERS = {
    "annotations": [
        {
            "question_id": 7000,
            "multiple_choice_answer": "yes",
            "answers": [{"answer": word, "answer_id": number} for number, word in enumerate(["yes"] * 8 + ["no"] * 2)],
        },
        {
            "question_id": 42001,
            "multiple_choice_answer": "dog",
            "answers": [{"answer": "dog", "answer_confidence": "yes"}] * 10,
        },
    ]
}


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg", "COCO_val2014_000000000042.jpg", "000000000007.jpg"):
        Image.new("RGB", (4, 4)).save(folder / name)
    return folder


@pytest.fixture
def write(tmp_path):
    def to(content, name="questions.json"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return to


def test_a_list_of_records_is_read_in_order(write, photos):
    read = read_questions(write(LISTED), photos)
    assert [(one.key, one.image.name, one.question, one.answers, one.shown, one.split) for one in read] == [
        ("1", "a.jpg", "what is on the desk?", ("tape_dispenser, book",), "tape dispenser, book", "train"),
        ("2", "a.jpg", "how many?", ("2",), "2", "val"),
        ("3", "b.jpg", "what color?", ("red", "dark red", "red"), "red", "val"),
    ]
    assert read[0].photo == read[1].photo != read[2].photo


def test_a_split_is_chosen(write, photos):
    path = write(LISTED)
    assert [one.key for one in read_questions(path, photos, "val")] == ["2", "3"]
    with pytest.raises(UnknownNameError, match=r"Unknown split 'valid'\. Did you mean 'val'\? Known: train, val\."):
        read_questions(path, photos, "valid")
    without = [{key: value for key, value in one.items() if key != "split"} for one in LISTED]
    with pytest.raises(QuestionDataError, match="names no splits, so there is no 'val' in it"):
        read_questions(write(without), photos, "val")


def test_vqav2_is_read_from_its_two_files(write, photos):
    read = read_questions(write(VQA_QUESTIONS), photos, annotations=write(VQA_ANSWERS, "annotations.json"))
    assert [(one.key, one.image.name, one.question, len(one.answers), one.shown) for one in read] == [
        ("42001", "COCO_val2014_000000000042.jpg", "What is it?", 10, "dog"),
        ("7000", "000000000007.jpg", "Is it red?", 10, "yes"),
    ]


def test_the_answers_of_vqav2_are_asked_for(write, photos):
    with pytest.raises(
        QuestionDataError, match=r"whose answers stand in a file of their own; name it: .*--annotations"
    ):
        read_questions(write(VQA_QUESTIONS), photos)
    with pytest.raises(QuestionDataError, match="is no questions file of VQAv2"):
        read_questions(write(LISTED), photos, annotations=write(VQA_ANSWERS, "annotations.json"))


def test_a_question_without_its_answers_is_named(write, photos):
    fewer = {"annotations": VQA_ANSWERS["annotations"][:1]}
    with pytest.raises(QuestionDataError, match=r"answers 1 questions of .* not: 42001"):
        read_questions(write(VQA_QUESTIONS), photos, annotations=write(fewer, "annotations.json"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "its brackets are nested too deeply"),
        ([], "holds no records; expected either a list of"),
        ({"a": 1}, "holds an object with the keys a; expected either a list of"),
        ([1], "record 1 has int; expected"),
        ([{"file": "a.jpg"}], "record 1 has the keys file; expected"),
        ([{"file": "a.jpg", "question": "what?"}], 'record 1 has no "answer"'),
        ([{"file": 3, "question": "what?", "answer": "a"}], '"file" of record 1 is 3; expected the name of a file'),
        ([{"file": "a.jpg", "question": " ", "answer": "a"}], "question 1: the question is ' '; expected a text"),
        ([{"file": "a.jpg", "question": "what?", "answer": 2}], "question 1: an answer is 2; expected a text"),
        ([{"file": "a.jpg", "question": "what?", "answers": []}], "question 1 has no answer"),
        ([{"file": "a.jpg", "question": "\ud83d", "answer": "a"}], "half of a character"),
        ([{"file": "a.jpg", "question": "what?", "answer": "a", "split": 3}], '"split" of question 1 is 3'),
    ],
)
def test_what_is_no_file_of_questions_is_one_clear_line(write, photos, content, says):
    with pytest.raises(QuestionDataError, match=says):
        read_questions(write(content), photos)


@pytest.mark.parametrize(
    "annotations",
    [{"annotations": 3}, {"annotations": [{}]}, [], {"annotations": [{"question_id": 42001}, {"question_id": 7000}]}],
)
def test_damaged_annotations_are_one_clear_line(write, photos, annotations):
    with pytest.raises(QuestionDataError, match="are not as VQAv2 has them"):
        read_questions(write(VQA_QUESTIONS), photos, annotations=write(annotations, "annotations.json"))


def test_a_file_or_folder_that_is_not_there_is_named(write, photos, tmp_path):
    with pytest.raises(QuestionDataError, match=r"There is no questions file .*nowhere\.json"):
        read_questions(tmp_path / "nowhere.json", photos)
    with pytest.raises(QuestionDataError, match="There is no folder of photos"):
        read_questions(write(LISTED), tmp_path / "nowhere")


def test_a_missing_photo_is_an_error_or_is_left_out_with_its_questions(write, photos):
    (photos / "a.jpg").unlink()
    path = write(LISTED)
    with pytest.raises(UnreadableImageError, match=r"a\.jpg: there is no such file"):
        read_questions(path, photos)
    unreadable = UnreadableImages(1)
    assert [one.key for one in read_questions(path, photos, unreadable=unreadable)] == ["3"]
    assert len(unreadable.errors) == 1
    (photos / "b.jpg").unlink()
    with pytest.raises(TooManyUnreadableImagesError, match="2 photos cannot be read, at most 1"):
        read_questions(path, photos, unreadable=UnreadableImages(1))


def test_two_questions_of_one_id_are_refused(write, photos):
    twice = VQA_QUESTIONS | {"questions": VQA_QUESTIONS["questions"][:1] * 2}
    with pytest.raises(QuestionDataError, match="two questions have the id 42001"):
        read_questions(write(twice), photos, annotations=write(VQA_ANSWERS, "annotations.json"))


def test_a_dataset_as_on_the_hub_is_read():
    picture = Image.new("RGB", (4, 4), "red")
    rows = {
        "image": [picture, picture],
        "image_id": [5, 5],
        "question_id": [50, 51],
        "question": ["what?", "who?"],
        "answers": [[{"answer": "a dog"}] * 10, [{"answer": "a man"}] * 10],
        "multiple_choice_answer": ["dog", "man"],
    }
    features = datasets.Dataset.from_dict({key: value for key, value in rows.items() if key != "image"}).features
    dataset = datasets.Dataset.from_dict(rows, features=datasets.Features({**features, "image": datasets.Image()}))
    read = questions_from_dataset(dataset)
    assert [(one.key, one.photo, one.shown, len(one.answers)) for one in read] == [
        ("50", "5", "dog", 10),
        ("51", "5", "man", 10),
    ]
    assert open_photo(read[0].image).size == (4, 4)


def test_rows_of_a_dataset_with_the_same_bytes_are_about_one_photo():
    red, blue = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    rows = {"image": [red, blue, red], "question": ["what?"] * 3, "answer": ["a", "b", "c"]}
    dataset = datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image())
    first, second, third = questions_from_dataset(dataset)
    assert first.photo == third.photo != second.photo
    assert open_photo(second.image).getpixel((0, 0)) == (0, 0, 255)


def test_a_dataset_without_such_a_column_or_length_is_refused():
    dataset = datasets.Dataset.from_dict({"image": ["a.png"], "question": ["what?"], "reply": ["a dog"]})
    with pytest.raises(UnknownNameError, match="Unknown column 'answers'"):
        questions_from_dataset(dataset)
    assert questions_from_dataset(dataset, answer_column="reply")[0].answers == ("a dog",)
    with pytest.raises(QuestionDataError, match="This is a IterableDataset; give one split of a dataset"):
        questions_from_dataset(dataset.to_iterable_dataset())


# ---------------------------------------------------------------------------------------------------------------------
# The draw.


def about(photo: int, number: int = 0) -> VisualQuestion:
    return VisualQuestion(f"{photo}.{number}", f"{photo}.jpg", str(photo), "what?", ("a",), "a")


def some(count: int) -> list[VisualQuestion]:
    return [about(photo, number) for photo in range(count) for number in range(1 + photo % 3)]


@pytest.mark.parametrize("seed", range(20))
def test_no_question_is_asked_about_the_photo_of_any_example(seed):
    draw = random.Random(seed)
    questions = some(draw.randint(20, 40))
    shots, supports = draw.randint(0, 4), draw.randint(1, 4)
    found = draw_supports(questions, shots, supports, seed)
    shown = [example.photo for support in found for example in support.examples]
    asked = [question for support in found for question in support.questions]
    assert len(found) == supports
    assert len(shown) == len(set(shown)) == shots * supports
    assert not {question.photo for question in asked} & set(shown)
    assert sorted(one.key for one in asked) == sorted(one.key for one in questions if one.photo not in shown)


def test_all_questions_of_a_photo_are_asked_behind_the_same_examples():
    found = draw_supports(some(30), 2, 3)
    photos = [{question.photo for question in support.questions} for support in found]
    assert not photos[0] & photos[1] | photos[0] & photos[2] | photos[1] & photos[2]
    assert {len(of) for of in photos} == {8}


def test_the_seed_alone_decides_the_draw():
    assert draw_supports(some(30), 2, 3, seed=5) == draw_supports(some(30), 2, 3, seed=5)
    assert draw_supports(some(30), 2, 3, seed=5) != draw_supports(some(30), 2, 3, seed=6)


def test_examples_of_another_pool_leave_all_questions_that_are_about_other_photos():
    pool = [about(photo) for photo in range(25, 40)]
    found = draw_supports(some(30), 4, 2, pool=pool)
    shown = {example.photo for support in found for example in support.examples}
    assert shown <= {one.photo for one in pool}
    assert sum(len(support.questions) for support in found) == len([one for one in some(30) if one.photo not in shown])


def test_limit_keeps_the_first_photos_that_are_left():
    (found,) = draw_supports(some(30), 1, limit=4)
    assert len({question.photo for question in found.questions}) == 4


def test_too_few_photos_are_said():
    with pytest.raises(QuestionDataError, match=r"3 sets of 4 examples need 12 photos, and there are 5 to draw from"):
        draw_supports(some(5), 4, 3)
    with pytest.raises(QuestionDataError, match="no question is left to ask"):
        draw_supports(some(4), 2, 2)
    with pytest.raises(QuestionDataError, match="0 sets of 1 examples cannot be drawn"):
        draw_supports(some(4), 1, 0)


@pytest.mark.shared
def test_daquar_is_read(shared):
    read = read_questions(shared / "data/daquar/qa.json", shared / "data/daquar/images", "train")
    assert (len(read), len({one.photo for one in read})) == (6795, 794)
