from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from linmap import LinearVisionPrefixModel
from linmap.encoders import load_encoder
from linmap.errors import ConfigurationError, ProjectionError
from linmap.prefix.configuration import LinearVisionPrefixConfig


def step(model: Any, processor: Any, photos: Any) -> set[str]:
    """One step of gradient descent on whatever learns; the parts whose weights or statistics changed."""
    before = {key: value.clone() for key, value in model.state_dict().items()}
    inputs = processor(images=photos, return_tensors="pt")
    labels = inputs["input_ids"].masked_fill(inputs["input_ids"] == processor.image_token_id, -100)
    optimiser = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=0.5)
    model.train()(**inputs, labels=labels).loss.backward()
    optimiser.step()
    model.eval()
    return {key.partition(".")[0] for key, value in model.state_dict().items() if not torch.equal(value, before[key])}


def logits(model: Any, processor: Any, photos: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model(**processor(images=photos, return_tensors="pt")).logits


@pytest.mark.parametrize(("learns", "changed"), [(False, {"projector"}), (True, {"projector", "encoder"})])
def test_the_encoder_learns_when_it_is_said_to_and_only_then(
    learns: bool, changed: set[str], photo_model: Any, photos: Any
) -> None:
    model, processor = photo_model("gpt2", trained_encoder=learns)
    assert step(model, processor, photos) == changed


def test_a_trained_encoder_is_in_training_mode_while_it_learns_and_the_language_model_is_not(photo_model: Any) -> None:
    model, _ = photo_model("gpt2", trained_encoder=True)
    model.train()
    assert model.encoder.training
    assert model.encoder.tower.training
    assert not model.language_model.training
    assert model.frozen_parts() == [model.language_model]
    assert not model.eval().encoder.training


@pytest.mark.parametrize("include_backbones", [False, True])
def test_a_trained_encoder_is_saved_with_the_projection_and_comes_back_equal(
    include_backbones: bool, photo_model: Any, photos: Any, tmp_path: Path
) -> None:
    model, processor = photo_model("gptj", trained_encoder=True)
    step(model, processor, photos)
    model.save_pretrained(tmp_path, include_backbones=include_backbones)
    assert {key.partition(".")[0] for key in load_file(tmp_path / "model.safetensors")} == {"projector", "encoder"}
    assert not (tmp_path / "encoder").exists()
    assert "## Trained encoder" in (tmp_path / "README.md").read_text()
    again = LinearVisionPrefixModel.from_pretrained(tmp_path)
    assert torch.equal(logits(again, processor, photos), logits(model, processor, photos))
    assert all(weight.requires_grad for weight in again.encoder.parameters())
    again.save_pretrained(tmp_path / "twice", include_backbones=False)
    twice = LinearVisionPrefixModel.from_pretrained(tmp_path / "twice")
    assert torch.equal(logits(twice, processor, photos), logits(model, processor, photos))


def test_a_trained_encoder_has_a_fingerprint_of_its_own_and_the_card_names_what_it_began_as(
    photo_model: Any, photos: Any, tmp_path: Path
) -> None:
    """Features that the encoder gave before it learned must not pass for its own."""
    model, processor = photo_model("gpt2", trained_encoder=True)
    began_as = model.encoder.fingerprint
    fingerprints = []
    for name in ("once", "twice"):
        step(model, processor, photos)
        model.save_pretrained(tmp_path / name)
        again, without = (
            LinearVisionPrefixModel.from_pretrained(tmp_path / name, encoder=one) for one in (None, False)
        )
        assert again.config.vision_config.fingerprint == without.config.vision_config.fingerprint
        assert again.config.backbones["encoder"] == began_as.to_dict()
        fingerprints.append(again.encoder.fingerprint)
    assert len({began_as, *fingerprints}) == 3


def test_running_statistics_of_a_trained_encoder_are_learned_and_saved(
    tiny_lm_dir: Any, photos: Any, tmp_path: Path
) -> None:
    from linmap import LinearVisionPrefixProcessor

    model = LinearVisionPrefixModel.from_backbones(
        "timm:test_resnet",
        str(tiny_lm_dir("gpt2")),
        grid_size=2,
        trained_encoder=True,
        encoder_kwargs={"pretrained": False},
    )
    processor = LinearVisionPrefixProcessor.for_model(model)
    before = {key: value.clone() for key, value in model.encoder.named_buffers() if key.endswith("running_mean")}
    step(model, processor, photos)
    assert before
    assert not all(torch.equal(value, dict(model.encoder.named_buffers())[key]) for key, value in before.items())
    model.save_pretrained(tmp_path)
    again = LinearVisionPrefixModel.from_pretrained(tmp_path)
    assert torch.equal(logits(again, processor, photos), logits(model, processor, photos))


def test_a_checkpoint_with_its_own_encoder_takes_no_other(photo_model: Any, tmp_path: Path) -> None:
    model, _ = photo_model("gpt2", trained_encoder=True)
    model.save_pretrained(tmp_path)
    for other in ("timm:test_vit", load_encoder("timm:test_vit", pretrained=False)):
        with pytest.raises(ConfigurationError, match="was trained and is part of it; it takes no other"):
            LinearVisionPrefixModel.from_pretrained(tmp_path, encoder=other)


def test_a_model_without_the_encoder_it_learned_with_takes_features_and_is_not_saved(
    photo_model: Any, photos: Any, tmp_path: Path
) -> None:
    model, processor = photo_model("gpt2", trained_encoder=True)
    model.save_pretrained(tmp_path / "whole")
    reader = LinearVisionPrefixModel.from_pretrained(tmp_path / "whole", encoder=False)
    inputs = processor(images=photos, return_tensors="pt")
    with torch.no_grad():
        features = model.encode_images(inputs.pop("pixel_values"))
    assert torch.equal(reader(**inputs, image_features=features).logits, logits(model, processor, photos))
    with pytest.raises(ConfigurationError, match="loaded without its encoder, which learned with the projection"):
        reader.save_pretrained(tmp_path / "lost")


def test_a_checkpoint_that_lacks_its_trained_encoder_is_refused(photo_model: Any, tmp_path: Path) -> None:
    model, _ = photo_model("gpt2")
    model.save_pretrained(tmp_path)
    model.config.trained_encoder = True
    model.config.save_pretrained(tmp_path)
    with pytest.raises(
        ProjectionError, match=r"The part encoder in .* does not fit: encoder\.tower.* is missing there"
    ):
        LinearVisionPrefixModel.from_pretrained(tmp_path)


def test_an_encoder_that_is_not_there_cannot_learn(tiny_lm: Any) -> None:
    with pytest.raises(ConfigurationError, match="trained_encoder=True, and the model has no encoder"):
        LinearVisionPrefixConfig(
            text_config=tiny_lm("gpt2").config, feature_dim=6, num_image_tokens=4, trained_encoder=True
        )
