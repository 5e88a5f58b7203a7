"""Models of open_clip and transformers keep their embeddings and logits."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from transformers import AutoModel, CLIPModel

from linmap import DualEncoderModel, DualEncoderProcessor
from linmap.errors import ConfigurationError, EncoderError

TEXTS = ["a photo of a dog", "two cats on a mat"]


@pytest.mark.parametrize(("name", "heads"), [("ViT-B-32", True), ("RN50", False)])
def test_an_open_clip_model_keeps_its_embeddings_and_logits(name: str, heads: bool) -> None:
    torch.manual_seed(0)
    theirs = open_clip.create_model(name).eval()
    ours = DualEncoderModel.from_open_clip(name, model=theirs)
    assert (ours.image_projection is not None) == heads
    pixels, ids = torch.randn(2, 3, 224, 224), open_clip.tokenize(TEXTS)
    with torch.no_grad():
        images, texts, scale = theirs(pixels, ids)
        output = ours(pixel_values=pixels, input_ids=ids)
        words = ours.get_text_features(**DualEncoderProcessor.for_model(ours)(text=TEXTS, return_tensors="pt"))
    torch.testing.assert_close(output.image_embeds, images, atol=1e-5, rtol=0)
    torch.testing.assert_close(output.text_embeds, texts, atol=1e-5, rtol=0)
    torch.testing.assert_close(output.logits_per_image, scale * images @ texts.T, atol=1e-5, rtol=0)
    torch.testing.assert_close(words, texts, atol=1e-5, rtol=0)


def test_taking_a_model_over_changes_nothing_of_it() -> None:
    theirs = open_clip.create_model("ViT-B-32")
    before = {key: value.clone() for key, value in theirs.state_dict().items()}
    DualEncoderModel.from_open_clip("ViT-B-32", model=theirs)
    assert theirs.state_dict().keys() == before.keys()
    assert all(parameter.requires_grad for parameter in theirs.parameters())


@pytest.mark.parametrize("kind", ["clip", "siglip"])
@pytest.mark.parametrize("how", ["the model", "its folder", "from_pretrained"])
def test_a_two_tower_model_of_transformers_keeps_its_embeddings_and_logits(
    text_encoder_dir: Callable[[str], Path], kind: str, how: str
) -> None:
    folder = text_encoder_dir(kind)
    theirs = AutoModel.from_pretrained(folder).eval()
    if how == "from_pretrained":
        ours = DualEncoderModel.from_pretrained(folder)
    else:
        ours = DualEncoderModel.from_transformers(theirs if how == "the model" else folder)
    pixels, ids = torch.randn(2, 3, 32, 32), torch.randint(3, 300, (2, 16))
    ids[:, -1] = 1  # end of text
    with torch.no_grad():
        expected, output = theirs(pixel_values=pixels, input_ids=ids), ours(pixel_values=pixels, input_ids=ids)
    for name in ("image_embeds", "text_embeds", "logits_per_image", "logits_per_text"):
        torch.testing.assert_close(output[name], expected[name], atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_what_was_taken_from_transformers_survives_the_disk(
    text_encoder_dir: Callable[[str], Path], tmp_path: Path, kind: str
) -> None:
    model = DualEncoderModel.from_transformers(text_encoder_dir(kind))
    model.save_pretrained(tmp_path)
    DualEncoderProcessor.for_model(model).save_pretrained(tmp_path)
    again = DualEncoderModel.from_pretrained(tmp_path)
    inputs = DualEncoderProcessor.from_pretrained(tmp_path)(text=["a dog"], return_tensors="pt")
    with torch.no_grad():
        assert torch.equal(again.get_text_features(**inputs), model.get_text_features(**inputs))
        pixels = torch.randn(1, 3, 32, 32)
        assert torch.equal(again.get_image_features(pixels), model.get_image_features(pixels))
        assert torch.equal(again.logit_scale, model.logit_scale)


def test_random_weights_of_open_clip_are_found_again_by_their_seed(tmp_path: Path) -> None:
    model = DualEncoderModel.from_open_clip("ViT-B-32", pretrained=False, seed=5)
    model.save_pretrained(tmp_path)
    again = DualEncoderModel.from_pretrained(tmp_path)
    ids = torch.tensor([[49406, 320, 49407]])
    with torch.no_grad():
        assert torch.equal(again.get_text_features(ids), model.get_text_features(ids))
        pixels = torch.randn(1, 3, 224, 224)
        assert torch.equal(again.get_image_features(pixels), model.get_image_features(pixels))


def test_a_model_that_was_given_as_an_object_is_saved_whole_or_not_at_all(
    text_encoder_dir: Callable[[str], Path], tmp_path: Path
) -> None:
    theirs = AutoModel.from_pretrained(text_encoder_dir("clip")).eval()
    model = DualEncoderModel.from_transformers(copy.deepcopy(theirs))
    with pytest.raises(ConfigurationError, match="Nothing says where the image_encoder came from"):
        model.save_pretrained(tmp_path)
    model.save_pretrained(tmp_path, include_backbones=True)
    pixels = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        again = DualEncoderModel.from_pretrained(tmp_path).get_image_features(pixels)
        assert torch.equal(again, model.get_image_features(pixels))


def test_other_models_are_refused_with_the_way_out(text_encoder_dir: Callable[[str], Path]) -> None:
    with pytest.raises(
        EncoderError, match=r"is a 'bert' model; taken as a whole are clip and siglip\. Join the towers"
    ):
        DualEncoderModel.from_transformers(text_encoder_dir("bert"))
    with pytest.raises(EncoderError, match=r"has no model 'ViT-B-23'\. Did you mean open_clip:ViT-B-32"):
        DualEncoderModel.from_open_clip("ViT-B-23/openai")
    with pytest.raises(EncoderError, match=r"needs to be told which weights to take for 'ViT-B-32'"):
        DualEncoderModel.from_open_clip("ViT-B-32")


def test_the_towers_of_a_pretrained_model_can_be_set_to_learn(text_encoder_dir: Callable[[str], Path]) -> None:
    model = DualEncoderModel.from_transformers(text_encoder_dir("clip"), trained_towers=["image"])
    assert all(parameter.requires_grad for parameter in model.image_encoder.parameters())
    assert not any(parameter.requires_grad for parameter in model.text_encoder.parameters())
    assert isinstance(AutoModel.from_pretrained(text_encoder_dir("clip")), CLIPModel)


def test_a_whole_model_is_read_with_every_weight(text_encoder_dir: Callable[[str], Path]) -> None:
    kinds: dict[str, Any] = {
        kind: DualEncoderModel.from_transformers(text_encoder_dir(kind)) for kind in ("clip", "siglip")
    }
    assert (kinds["clip"].logit_bias, kinds["clip"].config.loss) == (None, "softmax")
    assert kinds["siglip"].logit_bias is not None
    assert (kinds["siglip"].image_projection, kinds["siglip"].config.loss) == (None, "sigmoid")


def test_a_live_open_clip_model_brings_its_own_preprocessing_and_size() -> None:
    theirs, _, _ = open_clip.create_model_and_transforms(
        "ViT-B-32", force_image_size=64, image_mean=(0.5,) * 3, image_std=(0.25,) * 3
    )
    ours = DualEncoderModel.from_open_clip("ViT-B-32", model=theirs)
    processor = DualEncoderProcessor.for_model(ours)
    assert list(processor.image_processor.image_mean) == [0.5] * 3
    assert list(processor.image_processor.image_std) == [0.25] * 3
    pixels = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = theirs.eval().encode_image(pixels, normalize=True)
        torch.testing.assert_close(ours.get_image_features(pixels), expected, atol=1e-5, rtol=0)


def test_a_random_siglip_of_open_clip_starts_with_its_own_bias_and_loss() -> None:
    from linmap.dual.pretrained import _start_of

    scale, bias = _start_of(open_clip.get_model_config("ViT-B-16-SigLIP"))
    assert (scale.exp().item(), bias.item()) == (pytest.approx(1 / 0.07), -10.0)


def test_a_model_without_its_image_processor_is_not_saved_where_it_could_not_be_loaded(
    text_encoder_dir: Callable[[str], Path], tmp_path: Path
) -> None:
    AutoModel.from_pretrained(text_encoder_dir("clip")).save_pretrained(tmp_path / "bare")
    model = DualEncoderModel.from_transformers(tmp_path / "bare")
    with pytest.raises(ConfigurationError, match="The image encoder came without its image processor"):
        model.save_pretrained(tmp_path / "learned")
    model.save_pretrained(tmp_path / "whole", include_backbones=True)
    pixels = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        again = DualEncoderModel.from_pretrained(tmp_path / "whole")
        assert torch.equal(again.get_image_features(pixels), model.get_image_features(pixels))


def test_a_whole_model_takes_no_other_towers(text_encoder_dir: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigurationError, match="is a whole model with both its towers; it takes no others"):
        DualEncoderModel.from_pretrained(text_encoder_dir("clip"), image_encoder="timm:test_vit")
