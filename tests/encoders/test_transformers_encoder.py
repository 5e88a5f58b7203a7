"""Vision models of transformers: from a folder or a (local) hub, with every weight or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, CLIPModel, ViTForImageClassification

from linmap.encoders import ImageEncoder, load_encoder
from linmap.errors import EncoderError, WeightsUnavailableError
from linmap.weights import sha256_of, sha256_of_weights

PIXELS = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("kind", "prefix"), [("beit", 1), ("vit", 1), ("clip-vision", 1), ("registers", 4)])
def test_class_and_register_tokens_are_dropped(hf_dir: Callable[[str], Path], kind: str, prefix: int):
    encoder = load_encoder(f"hf:{hf_dir(kind)}")
    output = AutoModel.from_pretrained(hf_dir(kind)).eval()(PIXELS)
    assert torch.equal(encoder.grid_features(PIXELS), output.last_hidden_state[:, prefix:])
    assert torch.equal(encoder.pooled_features(PIXELS)[:, 0], output.pooler_output)


def test_the_cells_of_a_convolutional_grid_are_in_reading_order(hf_dir: Callable[[str], Path]):
    encoder = load_encoder(f"hf:{hf_dir('resnet')}")
    output = AutoModel.from_pretrained(hf_dir("resnet")).eval()(PIXELS)
    assert torch.equal(encoder.grid_features(PIXELS), output.last_hidden_state.flatten(2).transpose(1, 2))
    assert torch.equal(encoder.pooled_features(PIXELS)[:, 0], output.pooler_output.flatten(1))


def test_a_hierarchical_model_gives_its_merged_grid(hf_dir: Callable[[str], Path]):
    assert load_encoder(f"hf:{hf_dir('swin')}").grid == (8, 8)


def test_of_a_two_tower_model_the_vision_tower_is_taken(hf_dir: Callable[[str], Path]):
    encoder = load_encoder(f"hf:{hf_dir('clip')}")
    vision = CLIPModel.from_pretrained(hf_dir("clip")).eval().vision_model
    assert torch.equal(encoder.grid_features(PIXELS), vision(PIXELS).last_hidden_state[:, 1:])


def test_loading_a_two_tower_model_is_quiet_about_its_text_tower(
    hf_dir: Callable[[str], Path], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    load_encoder(f"hf:{hf_dir('clip')}")
    assert "UNEXPECTED" not in caplog.text + "".join(capfd.readouterr())


def test_a_checkpoint_without_a_pooler_pools_to_its_class_token(hf_dir: Callable[[str], Path], tmp_path: Path):
    encoder = load_encoder(f"hf:{hf_dir('vit-classifier')}")
    whole = ViTForImageClassification.from_pretrained(hf_dir("vit-classifier")).eval().vit
    assert torch.equal(encoder.pooled_features(PIXELS)[:, 0], whole(PIXELS).last_hidden_state[:, 0])
    assert not any("pooler" in name for name in encoder.state_dict())
    encoder.save_pretrained(tmp_path)
    again = ImageEncoder.from_pretrained(tmp_path)
    assert torch.equal(again.pooled_features(PIXELS), encoder.pooled_features(PIXELS))


def test_missing_weights_are_an_error_and_never_random_ones(hf_dir: Callable[[str], Path], tmp_path: Path):
    shutil.copytree(hf_dir("vit"), tmp_path / "deeper")
    config = json.loads((tmp_path / "deeper" / "config.json").read_text())
    (tmp_path / "deeper" / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(
        WeightsUnavailableError, match=r"does not hold all weights of ViTModel: \d+ are missing or of an"
    ):
        load_encoder(f"hf:{tmp_path / 'deeper'}")


def test_weights_of_another_width_are_an_error(hf_dir: Callable[[str], Path], tmp_path: Path):
    shutil.copytree(hf_dir("vit"), tmp_path / "wider")
    config = json.loads((tmp_path / "wider" / "config.json").read_text())
    (tmp_path / "wider" / "config.json").write_text(json.dumps({**config, "intermediate_size": 48}))
    with pytest.raises(WeightsUnavailableError, match=r"does not hold all weights of ViTModel"):
        load_encoder(f"hf:{tmp_path / 'wider'}")


def test_the_fingerprint_of_a_folder_has_its_name_but_its_config_no_path(hf_dir: Callable[[str], Path]):
    folder = hf_dir("vit")
    encoder = load_encoder(f"hf:{folder}")
    fingerprint = encoder.fingerprint
    assert (fingerprint.library, fingerprint.id, fingerprint.revision) == ("transformers", folder.name, None)
    assert fingerprint.sha256 == sha256_of(folder / "model.safetensors")
    assert str(folder) not in json.dumps({**encoder.config.to_dict(), "fingerprint": None})


def test_the_licence_is_the_one_that_the_card_states(hf_dir: Callable[[str], Path], tmp_path: Path):
    shutil.copytree(hf_dir("vit"), tmp_path / "licensed")
    (tmp_path / "licensed" / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    assert load_encoder(f"hf:{tmp_path / 'licensed'}").fingerprint.license == "cc-by-nc-4.0"


def test_sharded_weights_are_read_and_have_one_digest(hf_dir: Callable[[str], Path], tmp_path: Path):
    AutoModel.from_pretrained(hf_dir("vit")).save_pretrained(tmp_path, max_shard_size="5KB")
    shutil.copy(hf_dir("vit") / "preprocessor_config.json", tmp_path)
    encoder = load_encoder(f"hf:{tmp_path}")
    assert encoder.fingerprint.file == "model.safetensors.index.json"
    assert encoder.fingerprint.sha256 == sha256_of_weights(tmp_path / "model.safetensors.index.json")
    whole = load_encoder(f"hf:{hf_dir('vit')}")
    assert torch.equal(encoder.grid_features(PIXELS), whole.grid_features(PIXELS))


def test_a_hub_repository_gives_its_commit(hf_dir: Callable[[str], Path], hub: Any):
    snapshot = hub("owner/tiny-vit", *hf_dir("vit").iterdir())
    encoder = load_encoder("hf:owner/tiny-vit")
    assert encoder.fingerprint.name == "hf:owner/tiny-vit"
    assert encoder.fingerprint.id == "owner/tiny-vit"
    assert encoder.fingerprint.revision == snapshot.name
    assert encoder.fingerprint.file == "model.safetensors"
    again = load_encoder("hf:owner/tiny-vit", expected=encoder.fingerprint)
    assert torch.equal(again.grid_features(PIXELS), encoder.grid_features(PIXELS))


def test_another_image_size_interpolates_the_positions(hf_dir: Callable[[str], Path], tmp_path: Path):
    encoder = load_encoder(f"hf:{hf_dir('vit')}", image_size=64)
    assert encoder.grid == (8, 8)
    encoder.save_pretrained(tmp_path)
    again = ImageEncoder.from_pretrained(tmp_path)
    pixel_values = torch.randn(1, 3, 64, 64)
    assert torch.equal(again.grid_features(pixel_values), encoder.grid_features(pixel_values))


def test_a_random_control_needs_no_weights_in_the_folder(hf_dir: Callable[[str], Path], tmp_path: Path):
    for name in ("config.json", "preprocessor_config.json"):
        shutil.copy(hf_dir("vit") / name, tmp_path)
    control = load_encoder(f"hf:{tmp_path}", pretrained=False, seed=3)
    assert not control.fingerprint.pretrained
    with pytest.raises(WeightsUnavailableError, match=r"holds no weights\. It needs one of: model\.safetensors"):
        load_encoder(f"hf:{tmp_path}")


def test_a_language_model_is_no_image_encoder(hf_dir: Callable[[str], Path]):
    with pytest.raises(EncoderError, match=r"is a 'gpt2' model, which takes no images"):
        load_encoder(f"hf:{hf_dir('gpt2')}")


def test_code_that_comes_with_a_checkpoint_is_not_run(tmp_path: Path):
    config = {"model_type": "novel", "auto_map": {"AutoModel": "modeling_novel.NovelModel"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(EncoderError, match=r"is a 'novel' model.*code that comes with a checkpoint is not run"):
        load_encoder(f"hf:{tmp_path}")


def test_preprocessing_is_never_guessed(hf_dir: Callable[[str], Path], tmp_path: Path):
    for name in ("config.json", "model.safetensors"):
        shutil.copy(hf_dir("vit") / name, tmp_path)
    with pytest.raises(EncoderError, match=r"says nothing about preprocessing \(no preprocessor_config\.json\)"):
        load_encoder(f"hf:{tmp_path}")


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("hf:./nowhere", r"There is no directory '\./nowhere'\. Write hf:DIR or hf:OWNER/REPOSITORY"),
        ("hf:a/b/c", r"There is no directory 'a/b/c'"),
    ],
)
def test_a_folder_that_is_not_there_is_said_so(name: str, match: str):
    with pytest.raises(EncoderError, match=match):
        load_encoder(name)


def test_a_folder_of_something_else_is_said_so(tmp_path: Path):
    with pytest.raises(EncoderError, match=r"holds no config\.json\. Name one that save_pretrained wrote"):
        load_encoder(f"hf:{tmp_path}")


def test_an_unreachable_hub_is_one_clear_error(hub: Any):
    with pytest.raises(
        WeightsUnavailableError, match=r"Cannot reach the Hugging Face Hub for config\.json of 'owner/x'"
    ):
        load_encoder("hf:owner/x")
