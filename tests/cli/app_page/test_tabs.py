"""What stands behind the tabs, on tiny models."""

from __future__ import annotations

import re

import gradio as gr
import pytest
import torch

from linmap.cli.app_page.caption_tab import caption, inspected
from linmap.cli.app_page.clippo_tab import compared, drawn
from linmap.cli.app_page.decap_tab import explained_caption, support_markup
from linmap.cli.app_page.events import told
from linmap.cli.app_page.layout import make_page
from linmap.cli.app_page.models import Models
from linmap.cli.app_page.questions_tab import SolvedPhoto, answers, with_example
from linmap.cli.app_page.similarity import similarities
from linmap.cli.app_page.tower import seen_by_tower
from linmap.cli.app_page.uploads import uploaded
from linmap.cli.dual_encoders import embed_texts
from linmap.data.encoding import encode_photos
from linmap.decap.strategies import SupportSentence
from linmap.dual.embedding import embed_photos
from linmap.errors import (
    EvaluationError,
    ImageCountError,
    LinmapError,
    ModelNotFoundError,
    PhotoNotFoundError,
    QuestionDataError,
)
from linmap.prefix.captioning import caption_photos
from linmap.prefix.few_shot import FewShotAnswerer, SolvedExample
from linmap.prefix.inspection import inspect_photo


@pytest.fixture(scope="module")
def models() -> Models:
    return Models()


def test_the_page_is_made_without_a_model_being_loaded():
    page = make_page(Models())
    tabs = [block.label for block in page.blocks.values() if isinstance(block, gr.Tab)]
    assert tabs == ["Caption", "Questions", "DeCap", "CLIPPO"]


# Captions.


def test_a_caption_is_that_of_the_model(models, model_dir, photos):
    path, word = str(photos / "a.jpg"), str(model_dir)
    (own,) = caption_photos(*models.captioner(word), [path])
    assert caption(models, path, word, "") == own.caption
    assert caption(models, path, word, None) == own.caption
    with pytest.raises(ImageCountError, match="The texts have 2 <image>, but 1 images were given"):
        caption(models, path, word, "<image><image>")


def test_the_words_of_every_vector_stand_over_the_photo_and_in_the_table(models, model_dir, photos):
    path, word = str(photos / "a.jpg"), str(model_dir)
    found = inspect_photo(*models.captioner(word), path)
    over, summary, table = inspected(models, path, word, centred=False)
    assert over.count("<div title=") == len(found.words) == 4
    assert len(re.findall("<tr>", table)) == 5
    assert f"{found.words[0][0].cosine:.2f}" in table
    near = sum(words[0].cosine > found.chance for words in found.words)
    assert summary.startswith(f"{near} of 4 vectors have a word nearer than")


# Questions.


def test_answers_are_those_behind_the_examples_in_their_order_and_blind_ones_see_no_photo(models, model_dir, photos):
    paths = [str(photos / name) for name in ("a.jpg", "b.png", "c.jpg")]
    model, processor = models.captioner(str(model_dir))
    seen = encode_photos(model.encode_images, processor.image_processor, paths).features
    asked = [("what is it?", "a dog"), ("what runs?", "a cat")]
    solved = [SolvedExample(*texts, feature) for texts, feature in zip(asked, seen[1:], strict=True)]
    blind = [SolvedExample(*texts) for texts in asked]
    ((_, seeing),) = FewShotAnswerer(model, processor, solved).answer(["and now?"], seen[:1])
    ((_, unseeing),) = FewShotAnswerer(model, processor, blind).answer(["and now?"])
    examples = [SolvedPhoto(path, *texts) for path, texts in zip(paths[1:], asked, strict=True)]
    assert answers(models, paths[0], str(model_dir), " and now? ", examples) == (seeing, unseeing)


def test_a_question_may_be_asked_without_examples(models, model_dir, photos):
    seen, blind = answers(models, str(photos / "a.jpg"), str(model_dir), "what runs?", [])
    assert seen
    assert blind


def test_an_example_has_a_photo_that_can_be_read_a_question_and_an_answer(photos, bad_photos):
    path = str(photos / "a.jpg")
    (first,) = with_example([], path, " what is it? ", "a dog ")
    assert first == SolvedPhoto(path, "what is it?", "a dog")
    assert len(with_example([first], path, "and this?", "a cat")) == 2
    for question, answer in ((None, "a dog"), ("what is it?", "  ")):
        with pytest.raises(QuestionDataError, match="A solved example has a photo, a question and an answer"):
            with_example([], path, question, answer)
    with pytest.raises(PhotoNotFoundError, match="There is no photo yet"):
        with_example([], None, "what is it?", "a dog")
    with pytest.raises(LinmapError, match=r"Cannot read text.jpg"):
        with_example([], str(bad_photos / "text.jpg"), "what is it?", "a dog")


def test_without_a_question_nothing_is_asked(models, photos):
    with pytest.raises(QuestionDataError, match="There is no question yet"):
        answers(models, str(photos / "a.jpg"), "default", " ", [])


# DeCap.


def test_a_caption_of_decap_comes_with_its_sentences_the_weightiest_first(models, decap_dir, photos):
    written, support = explained_caption(models, str(photos / "a.jpg"), str(decap_dir), "", 3)
    assert written
    weights = [sentence.weight for sentence in support]
    assert len(weights) == 3
    assert weights == sorted(weights, reverse=True)
    assert 0 < sum(weights) <= 1


def test_the_strategy_decides_what_is_behind_a_caption(models, decap_dir, photos):
    path, word = str(photos / "a.jpg"), str(decap_dir)
    written, support = explained_caption(models, path, word, "retrieval", 3)
    assert [(written, 1.0)] == [(sentence.caption, sentence.weight) for sentence in support]
    assert explained_caption(models, path, word, "visual", 3)[1] == ()
    assert "no sentence of a memory is behind this" in support_markup(())


def test_a_sentence_is_shown_as_it_is_spelt():
    shown = support_markup([SupportSentence("<b>a & b</b>", 0.25, 0)])
    assert "&lt;b&gt;a &amp; b&lt;/b&gt;" in shown
    assert "25.0%" in shown


# CLIPPO.


def test_what_the_tower_sees_needs_no_weights(photos, monkeypatch, tmp_path):
    monkeypatch.setenv("LINMAP_CACHE", str(tmp_path / "cache"))
    photo, text = seen_by_tower("default", [uploaded(str(photos / "a.jpg"))], ["a dog"])
    assert photo.picture.shape == (224, 224, 3)
    assert text.picture.shape == (224, 224)
    assert photo.patches == text.patches == 14
    assert text.inked == 2
    assert not (tmp_path / "cache").exists()


def test_a_model_of_clippo_says_itself_how_it_sees_and_what_does_not_fit(clippo_dir, photos):
    long = " ".join(["to be or not to be"] * 9)
    photo, text = seen_by_tower(str(clippo_dir), [uploaded(str(photos / "a.jpg"))], [long])
    assert photo.picture.shape == (48, 48, 3)
    assert 6 <= text.inked <= text.patches**2 == 9
    assert text.lost > 100
    shown = drawn([str(photos / "a.jpg")], long, str(clippo_dir))
    assert shown.count("<figure>") == 2
    assert f"{text.lost:,} characters do not fit" in shown


@pytest.mark.parametrize("kind", ["clippo_dir", "dual_dir"])
def test_the_heat_map_shows_the_cosines_of_the_model_and_frames_the_nearest_text(request, models, photos, kind):
    word = str(request.getfixturevalue(kind))
    paths = [str(photos / name) for name in ("a.jpg", "b.png", "c.jpg")]
    texts = ["a dog", "two men"]
    cosines, unread = similarities(models, word, [uploaded(path) for path in paths], texts)
    matcher = models.matcher(word)
    expected = embed_texts(matcher, texts) @ embed_photos(matcher.model, matcher.processor, paths).features.T
    torch.testing.assert_close(cosines, expected)
    assert cosines.abs().max() <= 1 + 1e-6
    shown = compared(models, paths, "a dog\n\n two men ", word)
    assert re.findall(r">(-?\d\.\d\d)</td>", shown) == [f"{value:.2f}" for value in cosines.flatten().tolist()]
    assert shown.count('class="nearest"') == 3
    assert unread == ""


def test_texts_that_the_model_does_not_read_to_their_end_are_told(models, clippo_dir, photos):
    shown = compared(models, [str(photos / "a.jpg")], "a dog\n" + "to be or not to be " * 9, str(clippo_dir))
    assert "1 of 2 texts do not fit: " in shown


def test_what_is_left_out_is_named_below_what_is_shown(models, clippo_dir, photos, bad_photos):
    paths = [str(photos / "a.jpg"), str(bad_photos / "cut.jpg")]
    text = "<script>alert(1)</script>\n" + "\n".join(f"text {number}" for number in range(33))
    for shown in (drawn(paths, text, str(clippo_dir)), compared(models, paths, text, str(clippo_dir))):
        assert "Cannot read cut.jpg: the file is damaged" in shown
        assert "2 texts are left out: 32 are taken at most" in shown
        assert "<script>" not in shown


def test_nothing_to_show_is_told(models, photos, bad_photos):
    with pytest.raises(EvaluationError, match=r"There is nothing to see yet: drop photos, or write texts\. Cannot"):
        drawn([str(bad_photos / "cut.jpg")], " \n", "default")
    with pytest.raises(EvaluationError, match="1 photos and 0 texts found; give at least one of each"):
        compared(models, [str(photos / "a.jpg")], None, "default")


def test_a_captioner_compares_nothing(models, model_dir, photos):
    with pytest.raises(ModelNotFoundError, match="has no space that photos and texts share"):
        compared(models, [str(photos / "a.jpg")], "a dog", str(model_dir))


# Errors.


def test_an_error_is_a_message_on_the_page_and_no_markup():
    def fails() -> None:
        raise LinmapError("There is no <b>folder</b>.")

    with pytest.raises(gr.Error) as raised:
        told(fails)()
    assert raised.value.message == "There is no &lt;b&gt;folder&lt;/b&gt;."
    assert raised.value.duration is None


def test_a_mistake_of_our_own_is_told_and_stands_in_the_terminal(caplog):
    with pytest.raises(gr.Error, match=r"ZeroDivisionError: division by zero \(unexpected; the terminal shows where"):
        told(lambda: 1 / 0)()
    assert "ZeroDivisionError" in caplog.text
