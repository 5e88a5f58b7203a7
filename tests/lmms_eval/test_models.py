"""linmap's models in lmms-eval: found by its own loader, asked through its own requests."""

from __future__ import annotations

import json
import math
from importlib.metadata import entry_points

import pytest
import torch
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

from linmap.errors import EvaluationError

GREEDY = {"max_new_tokens": 5, "do_sample": False}
TEXTS = ["a dog", "what is in this picture of the beach?", "two"]


@pytest.fixture(scope="module")
def prefix(lmms, model_folder):
    words = f"pretrained={model_folder('linear_vision_prefix')},device=cpu,dtype=float32"
    return lmms.get_model("linmap").create_from_arg_string(words, {"batch_size": 2, "max_batch_size": None})


@pytest.fixture(scope="module")
def decap(lmms, model_folder):
    words = f"pretrained={model_folder('decap')},device=cpu"
    return lmms.get_model("linmap_decap").create_from_arg_string(words, {"batch_size": 2})


def test_the_package_names_its_models_to_lmms_eval():
    (found,) = entry_points(group="lmms_eval.models", name="linmap")
    assert found.value == "linmap.lmms_eval:manifests"


def test_lmms_eval_finds_them_and_takes_them_for_models_of_its_own(lmms):
    from lmms_eval.api.model import lmms as base

    assert {"linmap", "linmap_decap"} <= set(lmms.list_available_models())
    for name in ("linmap", "linmap_decap"):
        assert issubclass(lmms.get_model(name), base)


def test_an_answer_is_what_the_model_itself_generates(prefix, asking, pictures):
    answers = prefix.generate_until(asking(prefix, TEXTS, GREEDY))
    for text, picture, answer in zip(TEXTS, pictures, answers, strict=False):
        inputs = prefix.processor(images=[picture], text=[text], return_tensors="pt")
        ids = prefix.model.generate(**inputs, **GREEDY)[0, inputs["input_ids"].shape[1] :]
        assert answer == prefix.processor.tokenizer.decode(ids, skip_special_tokens=True).strip()
    assert len(set(answers)) > 1


def test_answers_come_in_the_order_of_the_requests_whatever_their_length_and_settings(prefix, asking):
    settings = [GREEDY, {**GREEDY, "max_new_tokens": 2}, GREEDY]
    mixed = prefix.generate_until(asking(prefix, TEXTS, settings))
    long = prefix.generate_until(asking(prefix, TEXTS, GREEDY))
    short = prefix.generate_until(asking(prefix, TEXTS, {**GREEDY, "max_new_tokens": 2}))
    assert mixed == [long[0], short[1], long[2]]


def test_an_answer_ends_before_the_first_of_the_texts_that_end_one(prefix, asking):
    (whole,) = prefix.generate_until(asking(prefix, TEXTS[:1], {**GREEDY, "max_new_tokens": 12}))
    end = whole[len(whole) // 2]
    (ended,) = prefix.generate_until(asking(prefix, TEXTS[:1], {**GREEDY, "max_new_tokens": 12, "until": [end]}))
    assert ended == whole[: whole.index(end)].strip()


def test_temperature_zero_is_greedy_and_settings_of_other_models_are_named(prefix, asking, caplog):
    said = {"max_new_tokens": 5, "temperature": 0, "top_p": None, "num_beams": 1, "image_aspect_ratio": "original"}
    answers = prefix.generate_until(asking(prefix, TEXTS, said))
    assert answers == prefix.generate_until(asking(prefix, TEXTS, {**GREEDY, "num_beams": 1}))
    assert "generate knows no such setting: image_aspect_ratio" in caplog.text


def test_several_photos_none_and_photos_in_the_text_are_all_placed(prefix, asking, pictures):
    photos = [pictures[:2], [], [pictures[0]]]
    texts = ["both", "no photo", "before <image> after"]
    answers = prefix.generate_until(asking(prefix, texts, GREEDY, photos))
    inputs = prefix.processor(images=[pictures[0]], text=["before <image> after"], return_tensors="pt")
    ids = prefix.model.generate(**inputs, **GREEDY)[0, inputs["input_ids"].shape[1] :]
    assert answers[2] == prefix.processor.tokenizer.decode(ids, skip_special_tokens=True).strip()
    assert len(answers) == 3


def test_a_score_is_the_mean_loss_of_the_continuation_behind_photo_and_text(prefix, asking, pictures):
    ends = [" a dog", " two children play", " b"]
    scored = prefix.loglikelihood(asking(prefix, TEXTS, ends))
    for text, picture, end, (loss, greedy) in zip(TEXTS, pictures, ends, scored, strict=False):
        inputs = prefix.processor(images=[picture], text=[text], return_tensors="pt")
        behind = torch.tensor([prefix.processor.tokenizer(end, add_special_tokens=False)["input_ids"]])
        labels = torch.cat([torch.full_like(inputs["input_ids"], -100), behind], dim=1)
        inputs["input_ids"] = torch.cat([inputs["input_ids"], behind], dim=1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        with torch.no_grad():
            assert math.isclose(loss, float(prefix.model(**inputs, labels=labels).loss), rel_tol=1e-4)
        assert greedy is False


def test_what_is_generated_is_said_to_be_greedy_and_no_likelier_than_anything_else(prefix, asking, pictures):
    inputs = prefix.processor(images=pictures[:1], text=TEXTS[:1], return_tensors="pt")
    token = int(prefix.model(**inputs).logits[0, -1].argmax())
    word = prefix.processor.tokenizer.decode([token])
    if prefix.processor.tokenizer(word, add_special_tokens=False)["input_ids"] != [token]:
        pytest.skip("the tiny model's likeliest token is no text of its own")
    first, other = prefix.loglikelihood(asking(prefix, TEXTS[:1] * 2, [word, " zebra"], [[pictures[0]], [pictures[0]]]))
    assert first[1] is True
    assert first[0] < other[0]  # lmms-eval takes the lowest


def test_the_target_of_a_document_may_be_the_continuation(prefix, asking):
    by_word = prefix.loglikelihood(asking(prefix, TEXTS, "a dog"))
    assert prefix.loglikelihood(asking(prefix, TEXTS, lambda doc: doc["target"])) == by_word


def test_an_unconditional_score_shows_no_photo(prefix, lmms):
    from lmms_eval.api.instance import Instance

    facts = {"task": "photos", "doc_id": 0, "repeats": 1}
    request = Instance("loglikelihood", ("a", " dog"), 0, facts)
    ((loss, _),) = prefix.loglikelihood([request])
    assert loss > 0


def test_blind_shows_no_photo_and_leaves_no_place_for_one(lmms, model_folder, asking, pictures):
    words = f"pretrained={model_folder('linear_vision_prefix')},device=cpu,dtype=float32,blind=True"
    blind = lmms.get_model("linmap").create_from_arg_string(words)
    one, other = (blind.generate_until(asking(blind, TEXTS, GREEDY, [[p]] * 3)) for p in pictures[:2])
    assert one == other
    inputs = blind.processor(text=TEXTS[:1], return_tensors="pt")
    ids = blind.model.generate(**inputs, **GREEDY)[0, inputs["input_ids"].shape[1] :]
    assert one[0] == blind.processor.tokenizer.decode(ids, skip_special_tokens=True).strip()


@pytest.mark.parametrize(("prompt", "text"), [("Q: {context} A:", "Q: a dog A:"), ("own", None)])
def test_the_prompt_stands_around_the_text_of_the_task(lmms, model_folder, asking, pictures, prompt, text):
    words = f"pretrained={model_folder('linear_vision_prefix')},device=cpu,dtype=float32,prompt={prompt}"
    model = lmms.get_model("linmap").create_from_arg_string(words)
    (answer,) = model.generate_until(asking(model, TEXTS[:1], GREEDY))
    inputs = model.processor(images=pictures[:1], text=text and [text], return_tensors="pt")
    ids = model.model.generate(**inputs, **GREEDY)[0, inputs["input_ids"].shape[1] :]
    assert answer == model.processor.tokenizer.decode(ids, skip_special_tokens=True).strip()


def test_decap_captions_as_it_does_elsewhere(decap, asking, pictures):
    from linmap.decap.captioning import caption_photos

    answers = decap.generate_until(asking(decap, TEXTS, {"max_new_tokens": 5}))
    made = caption_photos(decap.model, decap.processor, pictures[:3], max_new_tokens=5)
    assert answers == [one.caption for one in made]


@pytest.fixture
def bars():
    """Progress bars as a user has them, whatever the program switched off in this process before."""
    off = are_progress_bars_disabled()
    enable_progress_bars()
    yield
    if off:
        disable_progress_bars()


@pytest.mark.usefixtures("bars")
def test_a_bar_shows_how_far_it_is(prefix, asking, capsys):
    prefix.generate_until(asking(prefix, TEXTS, GREEDY))
    assert "3/3" in capsys.readouterr().err


def test_what_cannot_be_asked_is_refused_by_what_was_found(prefix, decap, asking, pictures, lmms, model_folder):
    with pytest.raises(EvaluationError, match="shows a dict with document 0; models of linmap look at photos"):
        prefix.generate_until(asking(prefix, TEXTS[:1], GREEDY, [[{"array": [0.0]}]]))
    with pytest.raises(EvaluationError, match="several rounds"):
        prefix.generate_until_multi_round([])
    with pytest.raises(EvaluationError, match="DeCap captions photos, and scores no choices"):
        decap.loglikelihood([])
    with pytest.raises(EvaluationError, match="DeCap captions one photo; document 0 shows 2"):
        decap.generate_until(asking(decap, TEXTS[:1], {}, [pictures[:2]]))
    words = f"pretrained={model_folder('linear_vision_prefix')},device=cpu"
    with pytest.raises(EvaluationError, match=r"no argument is called pretained\. There are: pretrained, revision"):
        lmms.get_model("linmap")(pretained="x")
    with pytest.raises(EvaluationError, match="batch_size is auto; give a whole number"):
        lmms.get_model("linmap").create_from_arg_string(words, {"batch_size": "auto"})


TASK = """
task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: {kind}
doc_to_visual: !function seen.doc_to_visual
doc_to_text: A picture of
doc_to_target: {target}
{more}
"""
CHOICES = """doc_to_choice: ["a dog", "a cat"]
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true"""
FREE = """generation_kwargs:
  max_new_tokens: 4
  temperature: 0
process_results: !function seen.process_results
metric_list:
  - metric: letters
    aggregation: !function seen.mean
    higher_is_better: true"""
SEEN = """
from PIL import Image

def doc_to_visual(doc):
    return [Image.open(doc["photo"]).convert("RGB")]

def process_results(doc, results):
    return {"letters": len(results[0])}

def mean(values):
    return sum(values) / len(values)
"""


@pytest.mark.filterwarnings("ignore")  # lmms-eval's own
def test_tasks_of_captions_and_of_choices_run_through_lmms_eval_itself(prefix, pictures, tmp_path, monkeypatch):
    evaluator = pytest.importorskip("lmms_eval.evaluator")
    tasks = pytest.importorskip("lmms_eval.tasks")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    documents = []
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / f"{number}.png")
        documents.append({"photo": str(tmp_path / f"{number}.png"), "answer": "a dog", "label": 0})
    data = tmp_path / "photos.jsonl"
    data.write_text("".join(json.dumps(one) + "\n" for one in documents))
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "seen.py").write_text(SEEN)
    for name, kind, target, more in (
        ("tiny_captions", "generate_until", "answer", FREE),
        ("tiny_choices", "multiple_choice", "label", CHOICES),
    ):
        said = TASK.format(name=name, data=data, kind=kind, target=target, more=more)
        (tmp_path / "tasks" / f"{name}.yaml").write_text(said)
    manager = tasks.TaskManager("ERROR", include_path=str(tmp_path / "tasks"), include_defaults=False)
    before = (prefix.model, dict(prefix.task_dict))
    try:
        found = evaluator.simple_evaluate(
            prefix, tasks=["tiny_captions", "tiny_choices"], task_manager=manager, log_samples=True, bootstrap_iters=0
        )
    finally:
        prefix.model, prefix.task_dict = before  # lmms-eval empties a model that it is done with
    assert found["results"]["tiny_captions"]["letters,none"] > 0
    choices = found["samples"]["tiny_choices"]
    assert len(choices) == 4
    for one in choices:
        dog, cat = (loss for ((loss, _),) in one["resps"])
        assert one["acc"] == float(dog < cat)
