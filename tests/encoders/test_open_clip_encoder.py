"""open_clip's image towers: the last block as a grid, the image embedding as the pooled feature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from linmap.encoders import image_processor_for, load_encoder
from linmap.errors import EncoderError, WeightsUnavailableError
from linmap.weights import sha256_of


def test_a_resnets_grid_is_its_last_stage_and_its_pooled_feature_is_the_embedding(tiny_open_clip: tuple[str, str]):
    encoder = load_encoder(f"open_clip:{tiny_open_clip[0]}", pretrained=False)
    visual = encoder.tower.network
    pixel_values = torch.randn(2, 3, 64, 64)
    stage = visual.layer4(visual.layer3(visual.layer2(visual.layer1(visual.stem(pixel_values)))))
    assert torch.equal(encoder.grid_features(pixel_values), stage.flatten(2).transpose(1, 2))
    assert torch.equal(encoder.pooled_features(pixel_values)[:, 0], visual(pixel_values))


def test_a_vits_grid_drops_the_class_token(tiny_open_clip: tuple[str, str]):
    encoder = load_encoder(f"open_clip:{tiny_open_clip[1]}", pretrained=False)
    visual = encoder.tower.network
    pixel_values = torch.randn(2, 3, 32, 32)
    found = visual.forward_intermediates(pixel_values, indices=1, output_fmt="NLC", output_extra_tokens=True)
    assert found["image_intermediates_prefix"][-1].shape == (2, 1, 32)
    assert torch.equal(encoder.grid_features(pixel_values), found["image_intermediates"][-1])
    assert torch.equal(encoder.pooled_features(pixel_values)[:, 0], found["image_features"])


@pytest.mark.parametrize(("name", "resize"), [("RN50/openai", "shortest"), ("ViT-B-16-SigLIP/webli", "squash")])
def test_images_are_resized_to_exactly_the_input_size(name: str, resize: str):
    from linmap.encoders.names import EncoderName
    from linmap.encoders.open_clip_encoder import _preprocessing

    entry = open_clip.get_pretrained_cfg(*name.split("/"))
    size = _preprocessing(EncoderName("open_clip", name), entry, 224)["size"]
    assert size == ({"shortest_edge": 224} if resize == "shortest" else {"height": 224, "width": 224})


def test_another_image_size_gives_another_grid(tiny_open_clip: tuple[str, str]):
    for name, side in zip(tiny_open_clip, (128, 64), strict=True):
        encoder = load_encoder(f"open_clip:{name}", pretrained=False, image_size=side)
        assert encoder.grid == (side * 4 // 128, side * 4 // 128) if "RN" in name else encoder.grid == (8, 8)


@pytest.fixture
def published(
    tiny_open_clip: tuple[str, str], hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, Any]:
    """The tiny ViT with weights on the (local) hub that were trained with quick GELU: its name and the whole model."""
    name = tiny_open_clip[1]
    entry = {**open_clip.get_pretrained_cfg("RN50", "openai"), "url": "", "hf_hub": "owner/tiny/", "quick_gelu": True}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, name, {"quick": entry})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = open_clip.create_model(name, force_quick_gelu=True).eval()
    save_file(model.state_dict(), tmp_path / "open_clip_model.safetensors")
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# tiny\n")
    hub("owner/tiny", tmp_path / "open_clip_model.safetensors", tmp_path / "README.md")
    return name, model


def test_pretrained_weights_keep_the_gelu_they_were_trained_with(published: tuple[str, Any], tmp_path: Path):
    name, model = published
    encoder = load_encoder(f"open_clip:{name}/quick")
    pixel_values = torch.randn(1, 3, 32, 32)
    # close, not equal: with gradients, torch's attention takes another path
    torch.testing.assert_close(encoder.pooled_features(pixel_values)[:, 0], model.visual(pixel_values))
    assert encoder.config.model_args["quick_gelu"] is True
    encoder.save_pretrained(tmp_path / "saved")
    again = type(encoder).from_pretrained(tmp_path / "saved")
    assert torch.equal(again.grid_features(pixel_values), encoder.grid_features(pixel_values))


def test_pretrained_weights_come_with_file_digest_and_licence(published: tuple[str, Any], tmp_path: Path):
    fingerprint = load_encoder(f"open_clip:{published[0]}/quick").fingerprint
    assert fingerprint.sha256 == sha256_of(tmp_path / "open_clip_model.safetensors")
    assert (fingerprint.file, fingerprint.license) == ("open_clip_model.safetensors", "mit")
    assert len(fingerprint.revision or "") == 40


def test_weights_out_of_reach_are_an_error_and_never_random_ones(hub: Any):
    with pytest.raises(
        WeightsUnavailableError, match=r"Cannot reach .* 'timm/resnet50_clip.openai', and it is not in the"
    ):
        load_encoder("open_clip:RN50/openai")


def test_weights_have_to_be_named():
    with pytest.raises(EncoderError, match=r"needs to be told which weights .* known tags: cc12m, openai, yfcc15m\."):
        load_encoder("open_clip:RN50")
    with pytest.raises(EncoderError, match=r"has no weights 'laion' for 'RN50'\. Write open_clip:RN50/TAG"):
        load_encoder("open_clip:RN50/laion")


def test_an_unknown_model_gets_suggestions():
    with pytest.raises(EncoderError, match=r"has no model 'RN5'\. Did you mean open_clip:RN50"):
        load_encoder("open_clip:RN5/openai")


@pytest.mark.shared
def test_the_grid_of_a_clip_resnet_is_that_of_the_original_limber(shared: Path):
    """The original's features, token = row * width + column, for a square and a wide image."""
    from open_clip.modified_resnet import ModifiedResNet

    from linmap.encoders.open_clip_encoder import OpenClipTower

    folder = shared / "reference" / "limber"
    network = ModifiedResNet(layers=(1, 1, 1, 1), output_dim=16, heads=4, image_size=96, width=8)
    stored = torch.load(folder / "clip_rn_small_visual.pt", weights_only=True)
    assert not network.load_state_dict(stored, strict=False).unexpected_keys
    tower = OpenClipTower.__new__(OpenClipTower)
    torch.nn.Module.__init__(tower)
    tower.network = network.eval()
    case = np.load(folder / "clip_rn_small.npz")
    for size in ("96", "64x96"):
        found = tower.grid_features(torch.from_numpy(case[f"x_{size}"])).flatten(1, 2)
        torch.testing.assert_close(found, torch.from_numpy(case[f"y_{size}"]), atol=1e-5, rtol=1e-4)
    noise = torch.randn(1, 3, 384, 384, generator=torch.Generator().manual_seed(33))
    found = tower.grid_features(noise).flatten(1, 2)
    torch.testing.assert_close(found, torch.from_numpy(case["y_384"]), atol=1e-5, rtol=1e-4)


def test_the_image_processor_keeps_clips_normalisation(tiny_open_clip: tuple[str, str]):
    encoder = load_encoder(f"open_clip:{tiny_open_clip[1]}", pretrained=False)
    assert image_processor_for(encoder.config).image_mean == pytest.approx([0.48145466, 0.4578275, 0.40821073])
