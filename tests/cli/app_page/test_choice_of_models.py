"""The choice of models: what is offered, and what is in memory."""

from __future__ import annotations

import gc
import json
import weakref

import pytest

from linmap.cli.app_page.models import MATCHER, Models, clippo_folder
from linmap.cli.models import CAPTIONER, DECAP
from linmap.errors import ModelNotFoundError


def test_a_model_is_offered_on_the_tab_of_its_kind_behind_the_bundled_one(model_dir, decap_dir, dual_dir, clippo_dir):
    given = [str(folder) for folder in (clippo_dir, decap_dir, model_dir, dual_dir, model_dir)]
    models = Models(given)
    assert models.offered(CAPTIONER) == [("the bundled captioner", "default"), (str(model_dir), str(model_dir))]
    assert [word for _, word in models.offered(DECAP)] == ["default", str(decap_dir)]
    assert [word for _, word in models.offered(MATCHER)] == ["default", str(clippo_dir), str(dual_dir)]


def test_models_of_open_clip_are_offered_and_not_looked_for():
    assert Models(["open_clip:ViT-B-32/openai"]).offered(MATCHER)[1][1] == "open_clip:ViT-B-32/openai"


def test_a_word_that_names_no_model_is_refused_before_the_page_is_made(tmp_path):
    with pytest.raises(ModelNotFoundError, match=r"There is no folder '\./nowhere'"):
        Models(["./nowhere"])
    with pytest.raises(ModelNotFoundError, match=r"holds no config\.json, so it is no model"):
        Models([str(tmp_path)])
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}), encoding="utf-8")
    with pytest.raises(ModelNotFoundError, match="holds a model of type 'gpt2'"):
        Models([str(tmp_path)])


def test_a_model_that_was_tuned_for_one_task_compares_nothing(tmp_path):
    config = {"model_type": "clippo", "architectures": ["ClippoForQuestionAnswering"]}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelNotFoundError, match="was tuned for one task and compares nothing any more"):
        Models([str(tmp_path)])


def test_a_model_is_loaded_once_and_gone_before_another_of_its_kind_is_loaded(model_dir, decap_dir, tmp_path):
    models = Models()
    first = models.captioner(str(model_dir))
    assert models.captioner(f" {model_dir} ") is first
    decap = models.decap(str(decap_dir))
    seen = weakref.ref(first.model)
    del first
    (tmp_path / "other").symlink_to(model_dir)
    models.captioner(str(tmp_path / "other"))
    gc.collect()
    assert seen() is None
    assert models.decap(str(decap_dir)) is decap


def test_a_model_that_cannot_be_had_leaves_the_page_usable(model_dir, clippo_dir):
    models = Models()
    with pytest.raises(ModelNotFoundError, match="There is no folder"):
        models.captioner("./nowhere")
    with pytest.raises(ModelNotFoundError, match="compares photos with texts and does not caption"):
        models.captioner(str(clippo_dir))
    for nothing in (None, "", "  "):
        with pytest.raises(ModelNotFoundError, match=r"No model is named\. Choose one from the list"):
            models.captioner(nothing)
    assert models.captioner(str(model_dir)).model.encoder is not None


def test_only_models_of_clippo_say_how_texts_are_drawn(clippo_dir, dual_dir):
    assert clippo_folder(str(clippo_dir)) == clippo_dir
    assert clippo_folder(str(dual_dir)) is None
    assert clippo_folder("default") is None
