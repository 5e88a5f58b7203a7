"""Classifiers on CLIPPO's tower: what they keep, what learns, what they answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForVisualQuestionAnswering,
    Trainer,
    TrainingArguments,
)

from linmap import (
    ClippoConfig,
    ClippoForQuestionAnswering,
    ClippoForSequenceClassification,
    ClippoModel,
    ClippoProcessor,
)
from linmap.clippo.question_answering import answer_labels
from linmap.clippo.resolution import see_images_of
from linmap.errors import ConfigurationError

from .conftest import SMALL, build

WORDS = ["dog", "cat", "red", "car"]


@pytest.fixture
def saved(kind, tmp_path):
    """A folder of each kind of model, what it holds, and its processor."""
    model, processor = build(kind)
    model.save_pretrained(tmp_path / "clippo")
    processor.save_pretrained(tmp_path / "clippo")
    return tmp_path / "clippo", model, processor


def test_the_tower_is_kept_and_the_classifier_starts_with_even_odds(saved):
    folder, model, processor = saved
    classifier = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3)
    assert type(classifier) is ClippoForSequenceClassification
    for name, weight in model.state_dict().items():
        assert torch.equal(classifier.clippo.state_dict()[name], weight), name
    logits = classifier(**processor(text=["a dog", "a cat"], return_tensors="pt")).logits
    assert torch.equal(logits, torch.zeros(2, 3))


def test_only_what_a_task_reads_learns(saved):
    folder, _, processor = saved
    texts = processor(text=["a dog", "a cat"], return_tensors="pt")
    pixels = {"pixel_values": torch.rand(2, 3, 48, 48)}
    for task, inputs in ((ClippoForSequenceClassification, texts), (ClippoForQuestionAnswering, pixels)):
        model = task.from_pretrained(folder, num_labels=2).train()
        torch.nn.init.normal_(model.classifier.weight)  # at zero no gradient passes
        model(**inputs, labels=torch.tensor([0, 1])).loss.backward()
        learns = {name for name, weight in model.named_parameters() if weight.requires_grad}
        assert learns == {name for name, weight in model.named_parameters() if weight.grad is not None}
        assert not {"clippo.logit_scale", "clippo.projection.weight"} & learns
        assert any(name.startswith("clippo.") for name in learns)


def test_logits_come_from_the_attention_pooling(saved):
    folder, model, processor = saved
    classifier = ClippoForSequenceClassification.from_pretrained(folder, num_labels=2)
    torch.nn.init.normal_(classifier.classifier.weight)
    inputs = processor(text=["a dog"], return_tensors="pt")
    given = inputs.get("text_pixel_values")
    features = model.encode_texts(given, inputs.get("input_ids"), inputs.get("attention_mask"))
    assert torch.allclose(classifier(**inputs).logits, classifier.classifier(features))


def test_a_classifier_survives_the_disk(saved, tmp_path):
    folder, _, processor = saved
    classifier = ClippoForSequenceClassification.from_pretrained(folder, num_labels=2, problem_type="regression")
    torch.nn.init.normal_(classifier.classifier.weight)
    classifier.save_pretrained(tmp_path / "classifier")
    again = ClippoForSequenceClassification.from_pretrained(tmp_path / "classifier")
    inputs = processor(text=["a dog"], return_tensors="pt")
    assert torch.allclose(classifier(**inputs).logits, again(**inputs).logits, atol=1e-6)
    assert again.config.problem_type == "regression"
    frozen = [name for name, weight in classifier.named_parameters() if not weight.requires_grad]
    assert frozen == [name for name, weight in again.named_parameters() if not weight.requires_grad]


def test_a_classifier_is_no_clippo_model(tmp_path):
    model, _ = build("clippo")
    model.save_pretrained(tmp_path / "clippo")
    ClippoForQuestionAnswering.from_pretrained(tmp_path / "clippo", num_labels=2).save_pretrained(tmp_path / "vqa")
    with pytest.raises(ConfigurationError, match=r"vqa is no ClippoModel: .* other weights are missing\. Load it as"):
        ClippoModel.from_pretrained(tmp_path / "vqa")


def test_a_tower_that_lacks_a_weight_is_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    model, _ = build("clippo")
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["tower.norm.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    for task in (ClippoForSequenceClassification, ClippoForQuestionAnswering):
        with pytest.raises(ConfigurationError, match=r"clippo\.tower\.norm\.weight and 0 other weights are missing"):
            task.from_pretrained(tmp_path, num_labels=2)
    _, info = ClippoModel.from_pretrained(_whole(tmp_path), output_loading_info=True)
    assert not info["missing_keys"]


def _whole(folder: Path) -> Path:
    build("clippo")[0].save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("labels", "count", "loss"),
    [
        (torch.tensor([1, 0]), 3, torch.nn.functional.cross_entropy),
        (torch.tensor([0.5, 2.0]), 1, lambda logits, labels: ((logits[:, 0] - labels) ** 2).mean()),
        (torch.tensor([[1.0, 0.0], [1.0, 1.0]]), 2, torch.nn.functional.binary_cross_entropy_with_logits),
    ],
    ids=["single label", "regression", "multi label"],
)
def test_the_loss_is_that_of_the_problem(labels, count, loss):
    torch.manual_seed(0)
    model = ClippoForSequenceClassification(ClippoConfig(**SMALL, num_labels=count)).eval()
    torch.nn.init.normal_(model.classifier.weight)
    output = model(text_pixel_values=torch.rand(2, 3, 48, 48), labels=labels)
    assert torch.allclose(output.loss, loss(output.logits, labels))


def test_soft_labels_are_scored_answer_by_answer():
    torch.manual_seed(0)
    model = ClippoForQuestionAnswering(ClippoConfig(**SMALL, **answer_labels(["2", "desk", "red"]))).eval()
    torch.nn.init.normal_(model.classifier.weight)
    soft = torch.tensor([[1.0, 0.3, 0.0], [0.0, 0.0, 0.0]])
    output = model(torch.rand(2, 3, 48, 48), labels=soft)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(output.logits, soft, reduction="none")
    assert torch.allclose(output.loss, expected.sum(dim=1).mean())
    assert model.answers_of(torch.eye(3)) == ["2", "desk", "red"]
    with pytest.raises(ConfigurationError, match=r"of shape \(2,\), or what every answer is worth, of shape \(2, 3\)"):
        model(torch.rand(2, 3, 48, 48), labels=torch.zeros(2, 2))


def test_the_visual_question_answering_class_of_transformers_finds_the_model(tmp_path):
    build("clippo")[0].save_pretrained(tmp_path)
    model = AutoModelForVisualQuestionAnswering.from_pretrained(tmp_path, **answer_labels(["2", "desk"]))
    assert type(model) is ClippoForQuestionAnswering
    assert model.config.label2id == {"2": 0, "desk": 1}


def test_dropout_acts_in_training_alone():
    torch.manual_seed(0)
    model = ClippoForQuestionAnswering(ClippoConfig(**SMALL, num_labels=2, classifier_dropout=0.5))
    torch.nn.init.normal_(model.classifier.weight)
    pixels = torch.rand(1, 3, 48, 48)
    model.train()
    assert not torch.equal(model(pixels).logits, model(pixels).logits)
    model.eval()
    assert torch.equal(model(pixels).logits, model(pixels).logits)


def test_a_tower_sees_images_of_another_size_and_the_same_size_changes_nothing(kind):
    model, processor = build(kind)
    pixels = torch.rand(1, 3, 48, 48)
    before = model.encode_images(pixels)
    see_images_of(model, 48)
    assert torch.equal(model.encode_images(pixels), before)
    see_images_of(model, 96)
    assert model.config.image_size == 96
    assert model.encode_images(torch.rand(1, 3, 96, 96)).shape == before.shape
    texts = ClippoProcessor.for_model(model, processor.tokenizer)(text=["a dog"], return_tensors="pt")
    assert model.get_text_features(
        pixel_values=texts.get("text_pixel_values"), input_ids=texts.get("input_ids")
    ).shape == (1, 24)
    with pytest.raises(ConfigurationError, match=r"image_size is 50 and patch_size 16: .*such as 48"):
        see_images_of(model, 50)


def test_pairs_of_sentences_are_learned_from_their_pictures(tmp_path):
    """Do two sentences hold the same word? Neither alone tells; the most frequent class is right in half of them."""
    draw = np.random.default_rng(0)
    pairs = [(WORDS[a], WORDS[b]) for a, b in draw.integers(0, 4, (600, 2))]
    labels = [int(one == two) for one, two in pairs]
    even = [*np.flatnonzero(labels)[:120], *np.flatnonzero(np.array(labels) == 0)[:120]]
    torch.manual_seed(0)
    model = ClippoForSequenceClassification(ClippoConfig(**{**SMALL, "num_hidden_layers": 2}, num_labels=2))
    processor = ClippoProcessor.for_model(model)
    data = [{"text": pairs[row][0], "text_pair": pairs[row][1], "label": labels[row]} for row in even]

    def collate(rows):
        inputs = processor(
            text=[row["text"] for row in rows], text_pair=[row["text_pair"] for row in rows], return_tensors="pt"
        )
        return {**inputs, "labels": torch.tensor([row["label"] for row in rows])}

    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=150,
        per_device_train_batch_size=32,
        learning_rate=2e-3,
        warmup_steps=10,
        use_cpu=True,
        remove_unused_columns=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=0,
    )
    trainer = Trainer(model=model, args=arguments, data_collator=collate, train_dataset=data)
    before = trainer.predict(data)
    assert before.metrics["test_loss"] == pytest.approx(np.log(2), abs=1e-4)
    trainer.train()
    found = trainer.predict(data)
    assert (found.predictions.argmax(-1) == found.label_ids).mean() > 0.9
