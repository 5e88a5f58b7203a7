"""Metrics as `evaluate` modules: they load offline, their examples are true, they combine."""

from __future__ import annotations

import doctest
import importlib.util
import shutil
from pathlib import Path

import evaluate
import pytest
import torch

from linmap.errors import EvaluationError, MissingJavaError, UnknownNameError
from linmap.evaluation import (
    bleu,
    cider_d,
    clip_scores,
    metric_path,
    ref_clip_scores,
    rouge_l,
    vqa_accuracy,
    wups,
)

PREDICTIONS = ["a dog runs", "two men"]
REFERENCES = [["a dog runs on grass", "a brown dog"], ["two men ride bicycles", "men on bicycles"]]
CAPTIONS, PHOTOS = [[3.0, 4.0], [1.0, 1.0]], [[1.0, 0.0], [0.0, -2.0]]
EMBEDDED = [[[0.0, 1.0], [-1.0, 0.0]], [[1.0, 0.5]]]
ANSWERS, PEOPLE = ["Yes.", "two"], [["yes"] * 10, ["2"] * 2 + ["3"] * 8]

needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="METEOR needs Java")
NAMES = [
    "bleu",
    "cider_d",
    "clip_score",
    "glue",
    pytest.param("meteor", marks=needs_java),
    "ref_clip_score",
    "rouge_l",
    "vqa_accuracy",
    pytest.param("wups", marks=pytest.mark.weights),
]


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """Where `evaluate` copies modules to; it goes on using the first such folder of a process."""
    return str(tmp_path_factory.mktemp("modules"))


@pytest.fixture
def load(modules, tmp_path, monkeypatch):
    """Loads a metric as users do, with caches of these tests alone."""
    monkeypatch.setattr("evaluate.config.HF_MODULES_CACHE", modules)
    return lambda name: evaluate.load(metric_path(name), cache_dir=str(tmp_path))


@pytest.fixture
def metric(load):
    return load("cider_d")


def module_of(name):
    spec = importlib.util.spec_from_file_location(name, metric_path(name))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_metric_gives_the_score_of_cider_d(metric):
    result = metric.compute(predictions=PREDICTIONS, references=REFERENCES, tokenizer="simple")
    score = cider_d(PREDICTIONS, REFERENCES, tokenizer="simple")
    assert result == {
        "cider_d": score.value,
        "cider_d_per_image": list(score.per_image),
        "cider_d_tokenizer": "simple",
        "cider_d_comparable": False,
    }


def test_the_metric_gives_the_scores_of_bleu(load):
    result = load("bleu").compute(predictions=PREDICTIONS, references=REFERENCES, tokenizer="simple")
    score = bleu(PREDICTIONS, REFERENCES, "simple")
    assert tuple(result[f"bleu_{n}"] for n in range(1, 5)) == score.values
    assert (result["bleu_tokenizer"], result["bleu_comparable"]) == ("simple", False)


def test_the_metric_gives_the_score_of_rouge_l(load):
    result = load("rouge_l").compute(predictions=PREDICTIONS, references=REFERENCES, tokenizer="simple")
    score = rouge_l(PREDICTIONS, REFERENCES, "simple")
    assert (result["rouge_l"], tuple(result["rouge_l_per_image"])) == (score.value, score.per_image)
    assert (result["rouge_l_tokenizer"], result["rouge_l_comparable"]) == ("simple", False)


def test_meteor_without_java_is_an_error_that_says_what_to_install(load, tmp_path, monkeypatch):
    metric = load("meteor")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingJavaError, match="default-jre-headless"):
        metric.compute(predictions=PREDICTIONS, references=REFERENCES)


def test_the_metric_gives_the_score_of_clip_scores(load):
    result = load("clip_score").compute(predictions=CAPTIONS, images=PHOTOS, encoder="toy")
    score = clip_scores(torch.tensor(PHOTOS), torch.tensor(CAPTIONS), encoder="toy")
    assert result == {
        "clip_score": score.value,
        "clip_score_per_image": list(score.per_image),
        "clip_score_name": "CLIPScore (toy)",
    }


def test_the_metric_gives_the_score_of_ref_clip_scores(load):
    result = load("ref_clip_score").compute(predictions=CAPTIONS, images=PHOTOS, references=EMBEDDED, encoder="toy")
    references = [torch.tensor(rows) for rows in EMBEDDED]
    score = ref_clip_scores(torch.tensor(PHOTOS), torch.tensor(CAPTIONS), references, encoder="toy")
    assert result == {
        "ref_clip_score": score.value,
        "ref_clip_score_per_image": list(score.per_image),
        "ref_clip_score_name": "RefCLIPScore (toy)",
    }


@pytest.mark.parametrize("name", ["clip_score", "ref_clip_score"])
def test_embeddings_of_several_widths_are_an_error(load, name):
    more = {"references": EMBEDDED} if name == "ref_clip_score" else {}
    with pytest.raises(EvaluationError, match="predictions differ in length: 2 to 3 numbers"):
        load(name).compute(predictions=[[3.0, 4.0], [1.0, 1.0, 1.0]], images=PHOTOS, encoder="toy", **more)


def test_the_metric_gives_the_score_of_vqa_accuracy(load):
    result = load("vqa_accuracy").compute(predictions=ANSWERS, references=PEOPLE)
    score = vqa_accuracy(ANSWERS, PEOPLE)
    assert result == {"vqa_accuracy": score.value, "vqa_accuracy_per_question": list(score.per_question)}


@pytest.mark.weights
@pytest.mark.parametrize("references", [["sofa", "dog"], [["sofa"], ["dog", "lion"]]], ids=["one", "several"])
def test_the_metric_gives_the_score_of_wups_with_one_right_answer_or_several(load, references):
    result = load("wups").compute(predictions=["couch", "cat"], references=references, threshold=0.0)
    score = wups(["couch", "cat"], references, 0.0)
    assert result == {"wups": score.value, "wups_per_question": list(score.per_question), "wups_threshold": 0.0}


def test_predictions_may_come_in_batches(metric):
    for prediction, references in zip(PREDICTIONS, REFERENCES, strict=True):
        metric.add(prediction=prediction, reference=references)
    score = cider_d(PREDICTIONS, REFERENCES, tokenizer="simple")
    assert metric.compute(tokenizer="simple")["cider_d"] == score.value


def test_answers_may_come_in_batches(load):
    metric = load("vqa_accuracy")
    for answer, people in zip(ANSWERS, PEOPLE, strict=True):
        metric.add_batch(predictions=[answer], references=[people])
    assert metric.compute()["vqa_accuracy"] == vqa_accuracy(ANSWERS, PEOPLE).value


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_in_its_description_are_true(name, load):
    load(name)  # into the caches of this test
    test = doctest.DocTestParser().get_doctest(module_of(name)._KWARGS_DESCRIPTION, {}, name, None, None)
    assert len(test.examples) >= 5
    assert doctest.DocTestRunner().run(test).failed == 0


@pytest.mark.parametrize("name", NAMES)
def test_the_metric_says_what_it_is(name, load):
    metric = load(name)
    assert " measures " in metric.description
    assert metric.citation.strip().startswith("@inproceedings{")
    assert "predictions" in metric.inputs_description


def test_glue_is_scored_as_no_other_task_than_the_one_that_is_named(load, tmp_path):  # load: its caches
    with pytest.raises(UnknownNameError, match=r"Unknown task of GLUE 'stbs'\. Did you mean 'stsb'\?"):
        evaluate.load(metric_path("glue"), "stbs", cache_dir=str(tmp_path))
    with pytest.raises(UnknownNameError, match=r"Unknown task of GLUE 'default'\. Known: cola, "):
        evaluate.load(metric_path("glue"), cache_dir=str(tmp_path)).compute(predictions=[1], references=[1])


def test_an_unknown_metric_gets_a_suggestion():
    with pytest.raises(UnknownNameError, match=r"Unknown metric 'cider'\. Did you mean 'cider_d'\? Known: bleu, c"):
        metric_path("cider")


def test_every_metric_is_tried_here_and_told_of_in_the_guide(repository):
    folders = {folder.parent.name for folder in Path(metric_path("bleu")).parents[1].glob("*/*.py")}
    assert {getattr(name, "values", (name,))[0] for name in NAMES} == folders
    guide = (repository / "docs" / "guides" / "field-tools.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in guide for name in folders)


def test_the_folder_of_a_metric_is_a_path_to_it_too(modules, tmp_path, monkeypatch):
    monkeypatch.setattr("evaluate.config.HF_MODULES_CACHE", modules)
    metric = evaluate.load(str(Path(metric_path("vqa_accuracy")).parent), cache_dir=str(tmp_path))
    assert metric.compute(predictions=["Yes."], references=[["yes"] * 10])["vqa_accuracy"] == 100
