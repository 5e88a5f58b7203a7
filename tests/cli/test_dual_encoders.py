"""The word after `--model` where a dual encoder is wanted, and what `linmap info` tells of one."""

from __future__ import annotations

import json
import shutil

import pytest


@pytest.fixture
def retrieval(linmap, captions, photos):
    def run(model: object):
        return linmap("evaluate", "retrieval", "--data", captions, "--images", photos, "--json", "--model", model)

    return run


def assert_one_line(ran, *words: str) -> None:
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("linmap: error: ")
    assert ran.err.count("\n") == 1
    for each in words:
        assert each in ran.err


def test_a_captioner_is_no_dual_encoder(retrieval, model_dir):
    assert_one_line(
        retrieval(model_dir), "'linear_vision_prefix', which writes captions", "linmap evaluate caption", "name a dual"
    )


def test_a_dual_encoder_does_not_caption(linmap, dual_dir, text_encoder_dir, photos):
    for folder in (dual_dir, text_encoder_dir("clip")):
        ran = linmap("caption", photos, "--model", folder)
        assert_one_line(ran, "compares photos with texts and does not caption", "linmap evaluate retrieval --model")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere/at/all", "There is no folder 'nowhere/at/all'"),
        ("no-such-owner/no-such-model", "No checkpoint at 'no-such-owner/no-such-model'"),
        ("open_clip:ViT-B-32/no-such-tag", "no-such-tag"),
        ("open_clip:no-such-architecture/openai", "no-such-architecture"),
    ],
)
def test_a_wrong_name_is_one_line(retrieval, name, words):
    assert_one_line(retrieval(name), words)


def test_another_kind_of_model_is_named(retrieval, text_encoder_dir):
    assert_one_line(retrieval(text_encoder_dir("bert")), "holds a model of type 'bert'", "open_clip:NAME/TAG")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "processor_config.json").unlink(), "without its processor"),
        (lambda folder: (folder / "model.safetensors").unlink(), "holds no model.safetensors"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"short"), "cannot be loaded"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json is damaged"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "cannot be loaded"),
    ],
)
def test_a_damaged_model_is_one_line(retrieval, dual_dir, tmp_path, damage, words):
    folder = shutil.copytree(dual_dir, tmp_path / "broken")
    damage(folder)
    assert_one_line(retrieval(folder), words)


def test_a_model_that_reads_features_only_says_so(retrieval, tmp_path):
    from linmap import DualEncoderConfig, DualEncoderModel, DualEncoderProcessor
    from linmap.text_encoders.open_clip_tokens import clip_tokenizer

    DualEncoderModel(DualEncoderConfig(image_feature_dim=4, text_feature_dim=4)).save_pretrained(tmp_path / "heads")
    DualEncoderProcessor(tokenizer=clip_tokenizer()).save_pretrained(tmp_path / "heads")
    assert_one_line(retrieval(tmp_path / "heads"), "holds no image encoder: it reads features")


# ---------------------------------------------------------------------------------------------------------------------


def test_info_names_the_towers_the_heads_and_the_temperature(linmap, dual_dir):
    ran = linmap("info", dual_dir)
    assert (ran.code, ran.err) == (0, "")
    rows = [line.split() for line in ran.out.splitlines()]
    assert ["image", "encoder", "frozen", "306,240", "1.2", "MB", "float32"] in rows
    assert ["image", "head", "trained", "2,048", "8.2", "kB", "float32"] in rows
    assert ["text", "head", "trained", "512", "2.0", "kB", "float32"] in rows
    for words in (
        "timm:test_vit",
        "random, seed 0",
        "64 channels to 32, no bias",
        "at most 32 tokens, pooling mean",
        "0.0700 (cosines times 14.29)",
        "softmax",
    ):
        assert words in ran.out


def test_info_as_json_holds_fingerprints_shapes_and_bytes(linmap, dual_dir):
    facts = json.loads(linmap("info", dual_dir, "--json").out)
    recorded = json.loads((dual_dir / "config.json").read_text())["backbones"]
    assert facts["frozen"].keys() == recorded.keys() == {"image_encoder", "text_encoder"}
    for role, fingerprint in recorded.items():
        assert fingerprint.items() <= facts["frozen"][role].items()
        assert facts["frozen"][role]["in_folder"] is False
    head = {"inputs": 64, "outputs": 32, "parameters": 2048, "bytes": 8192, "dtype": "float32"}
    assert facts["trained"]["image_projection"] == head
    assert facts["kind"] == "dual encoder"
    assert facts["space"]["temperature"] == pytest.approx(0.07)
    assert facts["files"]["model.safetensors"] == (dual_dir / "model.safetensors").stat().st_size


def test_info_tells_which_tower_was_trained_and_the_bias_of_a_sigmoid(linmap, text_encoder_dir, tmp_path):
    from linmap import DualEncoderModel

    model = DualEncoderModel.from_transformers(text_encoder_dir("siglip"), trained_towers=["text"])
    model.save_pretrained(tmp_path)
    facts = json.loads(linmap("info", tmp_path, "--json").out)
    assert (facts["frozen"].keys(), facts["trained"].keys()) == ({"image_encoder"}, {"text_encoder"})
    assert facts["trained"]["text_encoder"]["in_folder"] is True
    assert facts["trained"]["text_encoder"]["parameters"] == model.text_encoder.num_parameters()
    assert facts["space"]["logit_bias"] == pytest.approx(float(model.logit_bias))
    shown = linmap("info", tmp_path).out
    assert "none: the tower's own output" in shown
    assert "sigmoid" in shown


def test_info_of_heads_alone_needs_no_tower(linmap, tmp_path):
    from linmap import DualEncoderConfig, DualEncoderModel

    DualEncoderModel(DualEncoderConfig(image_feature_dim=4, text_feature_dim=6)).save_pretrained(tmp_path)
    ran = linmap("info", tmp_path)
    assert ran.code == 0, ran.err
    assert "6 channels to 512, no bias" in ran.out
    assert "Where the towers come from" not in ran.out


def test_info_needs_no_tower_at_hand(linmap, dual_dir, tmp_path):
    folder = shutil.copytree(dual_dir, tmp_path / "moved")
    config = json.loads((folder / "config.json").read_text())
    config["backbones"]["text_encoder"]["name"] = "hf:nowhere/to-be-found"
    (folder / "config.json").write_text(json.dumps(config))
    assert json.loads(linmap("info", folder, "--json").out)["frozen"]["text_encoder"]["name"].endswith("to-be-found")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda file: file.unlink(), "holds no model.safetensors with what was learned"),
        (lambda file: file.write_bytes(file.read_bytes()[:100]), "model.safetensors is damaged or cut off"),
    ],
)
def test_info_of_a_damaged_model_is_one_line(linmap, dual_dir, tmp_path, damage, words):
    folder = shutil.copytree(dual_dir, tmp_path / "broken")
    damage(folder / "model.safetensors")
    assert_one_line(linmap("info", folder), words)


def test_info_of_another_kind_of_model_says_what_it_tells_of(linmap, text_encoder_dir):
    assert_one_line(
        linmap("info", text_encoder_dir("clip")),
        "of type 'clip'",
        "'linear_vision_prefix', 'dual_encoder', 'clippo' and 'decap'",
    )
