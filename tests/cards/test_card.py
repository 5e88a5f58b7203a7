"""Model cards from facts."""

from __future__ import annotations

import itertools

import pytest
import yaml
from huggingface_hub import ModelCard

from linmap.cards import model_card, write_model_card
from linmap.errors import UnknownNameError
from linmap.weights.identity import Fingerprint

SHA = "5" * 64
ENCODER = Fingerprint(
    name="wheel:efficientnet-lite0",
    library="timm",
    id="tf_efficientnet_lite0",
    revision="0.1.0",
    file="w.pth",
    sha256=SHA,
).to_dict()
LANGUAGE_MODEL = Fingerprint(
    name="EleutherAI/gpt-j-6b", library="transformers", id="EleutherAI/gpt-j-6b", revision="abc", license="apache-2.0"
).to_dict()
BACKBONES = {"encoder": ENCODER, "language_model": LANGUAGE_MODEL}
ALIKE = {"metric": "CIDEr-D", "dataset": "Flickr8k", "split": "val", "tokenizer": "ptb", "decoding": "greedy"}
SCORES = [
    {**ALIKE, "value": 45.13, "command": "linmap evaluate caption --split val"},
    {**ALIKE, "value": 5.0, "control": "blind", "command": "linmap evaluate caption --split val"},
    {
        **ALIKE,
        "value": 6.26,
        "control": "random-encoder",
        "command": "linmap evaluate caption --control random-encoder",
    },
]


def test_the_header_says_library_task_and_the_models_it_builds_on():
    data = model_card(backbones=BACKBONES, training={"license": "cc-by-4.0"}).data
    assert (data.library_name, data.pipeline_tag, data.license) == ("linmap", "image-text-to-text", "cc-by-4.0")
    assert data.base_model == ["EleutherAI/gpt-j-6b"]
    assert "arxiv:2209.15162" in data.tags


def test_every_frozen_part_stands_with_its_digest_and_licence():
    text = str(model_card(backbones=BACKBONES))
    assert f"| encoder | `wheel:efficientnet-lite0` | timm | 0.1.0 | w.pth | `{SHA}` | not stated |" in text
    assert "| language model | `EleutherAI/gpt-j-6b` | transformers | abc | none | none | apache-2.0 |" in text


def test_controls_stand_in_the_row_of_the_score_they_belong_to():
    text = str(model_card(backbones=BACKBONES, scores=SCORES))
    header = "| metric | dataset | split | tokenizer | decoding | this model | blind control | random encoder control |"
    assert header in text
    assert "| CIDEr-D | Flickr8k | val | ptb | greedy | 45.1 | 5.0 | 6.3 |" in text
    assert text.split("## Scores")[1].count("linmap evaluate caption --split val\n") == 1


def test_a_control_that_was_not_measured_is_not_left_out_in_silence():
    scores = [*SCORES, {**ALIKE, "split": "test", "value": 44.0}]
    assert "| test | ptb | greedy | 44.0 | not measured | not measured |" in str(
        model_card(backbones=BACKBONES, scores=scores)
    )


def test_training_facts_are_listed_and_the_recipe_is_yaml_again():
    recipe = {"model": {"features": "grid"}, "training": {"steps": 3000}}
    training = {
        "recipe": recipe,
        "command": "linmap train x",
        "data": {"name": "Flickr8k", "photos": 6000},
        "best_step": 2800,
    }
    text = str(model_card(backbones=BACKBONES, training=training))
    assert yaml.safe_load(text.split("```yaml\n")[1].split("```")[0]) == recipe
    for line in ("- name: Flickr8k\n- photos: 6000\n", "- best step: 2800\n", "```bash\nlinmap train x\n```"):
        assert line in text


def test_what_is_not_known_is_said_to_be_unknown():
    text = str(model_card(backbones=BACKBONES))
    assert "No training facts were recorded with these weights." in text
    assert "Not measured." in text


def test_a_model_without_encoder_is_not_shown_captioning_a_photo():
    text = str(model_card(backbones={"language_model": LANGUAGE_MODEL}))
    assert "linmap caption" not in text
    assert "The model holds no image encoder" in text


def test_random_weights_are_said_to_be_random():
    random = Fingerprint(name="timm:resnet18", library="timm", id="resnet18", pretrained=False, seed=3).to_dict()
    text = str(model_card(backbones={"encoder": random, "language_model": LANGUAGE_MODEL}))
    assert "The encoder has **random weights**, drawn on purpose as a control with seed 3." in text


def test_language_model_runoff_is_among_the_limits():
    assert '("runoff")' in str(model_card(backbones=BACKBONES))


@pytest.mark.parametrize("training", [None, {"data": "Flickr8k, train split"}, {"recipe": "a: 1", "seconds": 3.5}])
@pytest.mark.parametrize("scores", [None, SCORES])
def test_the_card_is_tidy_markdown(training, scores):
    text = str(model_card(backbones=BACKBONES, training=training, scores=scores))
    assert "\n\n\n" not in text
    assert "None" not in text
    lines = text.splitlines()
    for before, line in itertools.pairwise(lines):
        if line.startswith(("## ", "| metric", "| part")):
            assert before == "", f"no empty line before {line!r}"


def test_a_card_nobody_touched_is_written_anew(tmp_path):
    write_model_card(tmp_path, backbones=BACKBONES)
    path = write_model_card(tmp_path, backbones=BACKBONES, scores=SCORES)
    assert path == tmp_path / "README.md"
    assert "45.1" in path.read_text()
    assert ModelCard.load(path).data.library_name == "linmap"


def test_an_edited_card_is_kept_unless_told_otherwise(tmp_path):
    path = write_model_card(tmp_path, backbones=BACKBONES)
    edited = path.read_text().replace("## Use", "## How we use it")
    path.write_text(edited)
    write_model_card(tmp_path, backbones=BACKBONES, scores=SCORES)
    assert path.read_text() == edited
    write_model_card(tmp_path, backbones=BACKBONES, overwrite=True)
    assert "## Use" in path.read_text()


def test_a_readme_that_is_not_ours_is_kept(tmp_path):
    (tmp_path / "README.md").write_text("# Mine\n")
    write_model_card(tmp_path, backbones=BACKBONES)
    assert (tmp_path / "README.md").read_text() == "# Mine\n"


TOWERS = {
    "image_encoder": ENCODER,
    "text_encoder": Fingerprint(
        name="hf:owner/text", library="transformers", id="owner/text", revision="abc", license="mit"
    ).to_dict(),
}
RECALL = [
    {"metric": "text to image R@1, %", "split": "val", "photos": 1000, "texts": 5000, "value": 24.5},
    {
        "metric": "text to image R@1, %",
        "split": "val",
        "photos": 1000,
        "texts": 5000,
        "value": 0.1,
        "control": "chance",
    },
]


def test_a_dual_encoder_is_found_under_its_task_and_by_its_tags():
    data = model_card(kind="dual_encoder", backbones=TOWERS).data
    assert (data.library_name, data.pipeline_tag) == ("linmap", "zero-shot-image-classification")
    assert data.base_model == ["owner/text"]
    assert {"dual-encoder", "clip", "contrastive", "arxiv:2103.00020"} <= set(data.tags)


def test_a_trained_tower_is_not_among_the_frozen_parts():
    text = str(model_card(kind="dual_encoder", backbones=TOWERS, trained=["text_encoder"]))
    frozen, trained = text.split("## Trained encoders")
    assert f"| image encoder | `wheel:efficientnet-lite0` | timm | 0.1.0 | w.pth | `{SHA}` | not stated |" in frozen
    assert "| text encoder |" not in frozen
    assert "| text encoder | `hf:owner/text` | transformers | abc | none | none | mit |" in trained
    assert "## Frozen parts" not in str(model_card(kind="dual_encoder", backbones=TOWERS, trained=list(TOWERS)))


def test_a_tower_trained_from_scratch_is_no_control():
    random = {**TOWERS["image_encoder"], "pretrained": False, "seed": 3}
    backbones = {**TOWERS, "image_encoder": random}
    text = str(model_card(kind="dual_encoder", backbones=backbones, trained=["image_encoder"]))
    assert "The image encoder began with random weights with seed 3: it was trained from scratch." in text
    assert "as a control" not in text
    assert "drawn on purpose as a control with seed 3" in str(model_card(kind="dual_encoder", backbones=backbones))


def test_recall_stands_beside_chance():
    text = str(model_card(kind="dual_encoder", backbones=TOWERS, scores=RECALL))
    assert "| metric | split | photos | texts | this model | chance |" in text
    assert "| text to image R@1, % | val | 1000 | 5000 | 24.5 | 0.1 |" in text


def test_a_model_that_takes_features_only_is_not_shown_a_photo():
    for backbones in ({}, {"image_encoder": ENCODER}):
        text = str(model_card(kind="dual_encoder", backbones=backbones))
        assert "photo.jpg" not in text
        assert "The model holds no text encoder" in text


@pytest.mark.parametrize("trained", [[], ["text_encoder"], ["image_encoder", "text_encoder"]])
@pytest.mark.parametrize("training", [None, {"data": {"photos": "6,000"}, "recipe": "a: 1", "command": "linmap train"}])
@pytest.mark.parametrize("scores", [None, RECALL])
@pytest.mark.parametrize("roles", [[], ["image_encoder"], ["image_encoder", "text_encoder"]])
def test_the_card_of_a_dual_encoder_is_tidy_markdown(trained, training, scores, roles):
    backbones = {role: TOWERS[role] for role in roles}
    text = str(model_card(kind="dual_encoder", backbones=backbones, trained=trained, training=training, scores=scores))
    assert "\n\n\n" not in text
    assert "None" not in text
    for before, line in itertools.pairwise(text.splitlines()):
        if line.startswith(("## ", "| metric", "| part", "```python", "```bash")):
            assert before == "", f"no empty line before {line!r}"


def test_a_kind_of_card_that_is_not_there_gets_a_suggestion(tmp_path):
    with pytest.raises(
        UnknownNameError, match=r"Unknown kind of model card 'dual'\. .*Known: clippo, .*decap, dual_encoder, linear_vi"
    ):
        write_model_card(tmp_path, kind="dual", backbones={})
