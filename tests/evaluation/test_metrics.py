"""Metrics as `evaluate` modules: they load offline, their examples are true, they combine."""

from __future__ import annotations

import doctest
import importlib.util

import evaluate
import pytest

from linmap.errors import UnknownNameError
from linmap.evaluation import cider_d, metric_path

PREDICTIONS = ["a dog runs", "two men"]
REFERENCES = [["a dog runs on grass", "a brown dog"], ["two men ride bicycles", "men on bicycles"]]


@pytest.fixture
def metric(tmp_path, monkeypatch):
    monkeypatch.setattr("evaluate.config.HF_MODULES_CACHE", str(tmp_path / "modules"))
    return evaluate.load(metric_path("cider_d"), cache_dir=str(tmp_path))


def test_the_metric_gives_the_score_of_cider_d(metric):
    result = metric.compute(predictions=PREDICTIONS, references=REFERENCES, tokenizer="simple")
    score = cider_d(PREDICTIONS, REFERENCES, tokenizer="simple")
    assert result == {
        "cider_d": score.value,
        "cider_d_per_image": list(score.per_image),
        "cider_d_tokenizer": "simple",
        "cider_d_comparable": False,
    }


def test_predictions_may_come_in_batches(metric):
    for prediction, references in zip(PREDICTIONS, REFERENCES, strict=True):
        metric.add(prediction=prediction, reference=references)
    score = cider_d(PREDICTIONS, REFERENCES, tokenizer="simple")
    assert metric.compute(tokenizer="simple")["cider_d"] == score.value


def test_the_examples_in_its_description_are_true(metric):
    spec = importlib.util.spec_from_file_location("cider_d", metric_path("cider_d"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    test = doctest.DocTestParser().get_doctest(module._KWARGS_DESCRIPTION, {}, "cider_d", None, None)
    assert len(test.examples) == 6
    assert doctest.DocTestRunner().run(test).failed == 0


def test_the_metric_says_what_it_is(metric):
    assert "CIDEr-D measures" in metric.description
    assert "vedantam2015cider" in metric.citation


def test_an_unknown_metric_gets_a_suggestion():
    with pytest.raises(UnknownNameError, match=r"Unknown metric 'cider'\. Did you mean 'cider_d'\? Known: cider_d\."):
        metric_path("cider")
