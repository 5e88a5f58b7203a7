from __future__ import annotations

import json
import shutil

import pytest


def test_the_table_names_what_is_frozen_and_what_was_trained(linmap, model_dir):
    ran = linmap("info", model_dir)
    assert (ran.code, ran.err) == (0, "")
    for words in (
        "image encoder",
        "projector",
        "language model",
        "timm:test_vit",
        "random, seed 0",
        "1,040",
        "306,240",
    ):
        assert words in ran.out
    assert "4 tokens an image, from grid features, averaged to 2 x 2" in ran.out
    assert "'A picture of'" in ran.out


def test_json_holds_fingerprints_and_sizes(linmap, model_dir):
    facts = json.loads(linmap("info", model_dir, "--json").out)
    recorded = json.loads((model_dir / "config.json").read_text())["backbones"]
    for role, fingerprint in recorded.items():
        assert fingerprint.items() <= facts["frozen"][role].items()
    projector = facts["trained"]["projector"]
    assert (projector["inputs"], projector["outputs"], projector["parameters"]) == (64, 16, 64 * 16 + 16)
    assert projector["dtype"] == "float32"
    assert facts["prefix"]["tokens_per_image"] == 4
    assert facts["generation"] == {"max_new_tokens": 6}
    assert facts["files"]["model.safetensors"] == (model_dir / "model.safetensors").stat().st_size


def test_the_sizes_are_those_of_the_loaded_model(linmap, model_dir):
    from linmap import LinearVisionPrefixModel

    model = LinearVisionPrefixModel.from_pretrained(model_dir)
    facts = json.loads(linmap("info", model_dir, "--json").out)
    assert facts["frozen"]["encoder"]["parameters"] == model.encoder.num_parameters()
    assert facts["frozen"]["language_model"]["parameters"] == model.language_model.num_parameters()


def test_frozen_parts_need_not_be_at_hand(linmap, model_dir, tmp_path):
    folder = tmp_path / "projection"
    shutil.copytree(model_dir, folder, ignore=shutil.ignore_patterns("encoder", "language_model"))
    config = json.loads((folder / "config.json").read_text())
    config["checkpoint_contents"] = "projector"
    config["backbones"]["language_model"]["name"] = "nowhere/to-be-found"
    (folder / "config.json").write_text(json.dumps(config))
    facts = json.loads(linmap("info", folder, "--json").out)
    assert facts["frozen"]["language_model"]["name"] == "nowhere/to-be-found"
    assert facts["frozen"]["language_model"]["in_folder"] is False


def test_what_learned_beside_the_projection_is_told(linmap, model_dir, tmp_path):
    from linmap import LinearVisionPrefixModel

    model = LinearVisionPrefixModel.from_backbones(
        "timm:test_vit",
        str(model_dir / "language_model"),
        grid_size=2,
        trained_encoder=True,
        adapter_downsample=4,
        encoder_kwargs={"pretrained": False},
    )
    model.save_pretrained(tmp_path)
    facts = json.loads(linmap("info", tmp_path, "--json").out)
    assert list(facts["frozen"]) == ["language_model"]
    learned = {"projector": model.projector, "encoder": model.encoder, "adapters": model.adapters}
    for role, part in learned.items():
        assert facts["trained"][role]["parameters"] == sum(weight.numel() for weight in part.parameters())
    assert facts["trained"]["encoder"]["in_folder"] is True
    shown = linmap("info", tmp_path).out
    assert "adapters" in shown
    assert "Where the parts come from" in shown


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda file: file.unlink(), "holds no model.safetensors with a projection"),
        (lambda file: file.write_bytes(file.read_bytes()[:100]), "model.safetensors is damaged or cut off"),
    ],
)
def test_a_damaged_model_is_one_line(linmap, model_dir, tmp_path, damage, words):
    folder = shutil.copytree(model_dir, tmp_path / "broken")
    damage(folder / "model.safetensors")
    ran = linmap("info", folder)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("linmap: error: ")
    assert ran.err.count("\n") == 1
    assert words in ran.err


@pytest.mark.parametrize(
    ("file", "content", "told", "captioned"),
    [
        (
            "config.json",
            "{",
            "config.json is damaged: Expecting property",
            "config.json is damaged: Expecting property",
        ),
        ("config.json", "[]", "config.json is damaged: it holds a list", "config.json is damaged: it holds a list"),
        ("config.json", '{"model_type": "linear_vision_prefix", "text_config": 3}', "cannot be loaded", "be loaded"),
        ("processor_config.json", "[]", "processor_config.json is damaged: it holds a list", "cannot be loaded"),
        ("tokenizer.json", "{", None, "cannot be loaded"),
    ],
)
def test_damaged_settings_are_one_line(linmap, model_dir, photos, tmp_path, file, content, told, captioned):
    folder = shutil.copytree(model_dir, tmp_path / "broken")
    (folder / file).write_text(content)
    for ran, words in (
        (linmap("info", folder), told),
        (linmap("caption", photos / "a.jpg", "--model", folder), captioned),
    ):
        if words is None:  # `info` tells nothing of the tokenizer
            assert (ran.code, ran.err) == (0, "")
            continue
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("linmap: error: ")
        assert ran.err.count("\n") == 1
        assert words in ran.err
        assert "again" in ran.err
